"""The command line's reference is what `--help` says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def test_the_reference_equals_the_help(root: Path, written_by: Callable[[str], str]) -> None:
    page = root / "docs/reference/cli.md"
    assert page.read_text() == written_by("cli_reference.py"), "hint: make reference"
