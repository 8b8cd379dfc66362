"""The README's table of speed is what the benchmarks measured last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def test_the_table_equals_the_results(root: Path, written_by: Callable[[str], str]) -> None:
    table = written_by("speed_table.py")
    assert table.startswith("<!-- speed")
    assert table in (root / "README.md").read_text(), "hint: make reference"
