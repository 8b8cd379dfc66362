"""Measure the quick questions with the model in the box, and write the floors that tests keep.

python scripts/quick_floors.py
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

import msgspec

from myna import embedded
from myna.core.progress import silent
from myna.evals import quick
from myna.pipeline.load import LoadOptions
from myna.pipeline.service import load_service

TESTS = Path(__file__).parents[1] / "tests/evals"


async def measure(model: Path, questions: Path) -> dict[str, float]:
    """Put the questions to a model, and tell what it earned."""
    items = quick.read(questions)
    service = load_service(model, LoadOptions(model_id=embedded.NAME), silent)
    started_s = time.monotonic()
    try:
        found = await quick.examine(service, items)
    finally:
        await service.close()
    for row, credit in found.items():
        print(f"{row}: {credit:.3f}")
    print(f"{len(items)} questions in {time.monotonic() - started_s:.0f} s")
    return quick.floors(found, items)


def main() -> None:
    """Write the floors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=embedded.folder())
    parser.add_argument("--tests", type=Path, default=TESTS)
    found = parser.parse_args()
    if found.model is None:
        raise SystemExit("there is no model in the box; run `python scripts/fill_box.py` first")
    floors = asyncio.run(measure(found.model, found.tests / "quick.msgpack"))
    written = msgspec.json.format(msgspec.json.encode(floors), indent=1)
    (found.tests / "quick_floors.json").write_bytes(written + b"\n")


if __name__ == "__main__":
    main()
