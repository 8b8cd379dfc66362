"""Put the exported model into the package: the model in the box.

    myna train nano --stage export
    python scripts/fill_box.py

Files that are the same already are left alone, so that a part that was not trained anew is not
written anew. `make box` goes on from here: the tour, the evaluation, the card, the floors of tests.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
from pathlib import Path

from myna.train.stages.export import NAME, NANO, check_size
from myna.train.workshop import folder

BOX = Path(__file__).parents[1] / "src/myna/embedded/nano"
WRITTEN_LATER = ("README.md", "curves.svg", "evaluation.json", "training.json")


def fill(source: Path, box: Path) -> list[str]:
    """Bring the box to what was exported; give the names of files that changed."""
    size = check_size(source)
    box.mkdir(exist_ok=True)
    changed = []
    for path in sorted(source.iterdir()):
        target = box / path.name
        if not target.is_file() or not filecmp.cmp(path, target, shallow=False):
            shutil.copyfile(path, target)
            changed.append(path.name)
    kept = {*WRITTEN_LATER, *(path.name for path in source.iterdir())}
    for path in box.iterdir():
        if path.name not in kept:
            path.unlink()
            changed.append(path.name)
    print(f"{size / 1e6:.2f} MB in {box}; changed: {', '.join(changed) or 'nothing'}")
    return changed


def main() -> None:
    """Fill the box."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=None, help="default: the workshop's export")
    parser.add_argument("--box", type=Path, default=BOX, help="default: the package's own")
    found = parser.parse_args()
    fill(found.source or folder(NAME) / NANO, found.box)


if __name__ == "__main__":
    main()
