"""The command line's reference is what `--help` says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_reference_equals_the_help(root: Path) -> None:
    written = subprocess.run(
        [sys.executable, root / "scripts/cli_reference.py"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    page = root / "docs/reference/cli.md"
    assert page.read_text() == written, "hint: make reference"
