"""The README's table of speed is what the benchmarks measured last."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_table_equals_the_results(root: Path) -> None:
    written = subprocess.run(
        [sys.executable, root / "scripts/speed_table.py"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert written in (root / "README.md").read_text(), "hint: make reference"
