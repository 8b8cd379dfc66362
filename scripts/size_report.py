"""Count lines by room, and fail on a file that is too long to read (ruff watches the functions).

python scripts/size_report.py
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 500
SOURCES = ("*.py", "*.cpp", "*.h")


def source_files(top: Path) -> Iterator[Path]:
    """List the source files under a folder."""
    for pattern in SOURCES:
        yield from sorted(top.rglob(pattern))


def room_of(path: Path) -> str:
    """Name the room a file is counted in."""
    parts = path.relative_to(ROOT).parts
    if parts[0] != "src":
        return parts[0]
    return f"myna.{parts[2]}" if len(parts) > 3 else "myna"


def report() -> tuple[Counter[str], Counter[str], list[str]]:
    """Return lines by room, files by room, and what is too long."""
    lines: Counter[str] = Counter()
    files: Counter[str] = Counter()
    faults: list[str] = []
    for top in ("src", "tests", "scripts", "benchmarks", "examples"):
        for path in source_files(ROOT / top):
            count = len(path.read_text().splitlines())
            lines[room_of(path)] += count
            files[room_of(path)] += 1
            if count > MAX_FILE_LINES:
                name = path.relative_to(ROOT)
                faults.append(
                    f"{name} has {count} lines, at most {MAX_FILE_LINES}: split its story"
                )
    return lines, files, faults


def main() -> None:
    """Print the report; exit with 1 if anything is too long."""
    lines, files, faults = report()
    for room in sorted(lines):
        print(f"{room:16} {files[room]:4} files {lines[room]:6} lines")
    print(f"{'all':16} {files.total():4} files {lines.total():6} lines")
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
