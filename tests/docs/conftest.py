"""The pages of the documentation, and the blocks of code and words in backticks on them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *ROOT.glob("README.md"),
        *ROOT.glob("CONTRIBUTING.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("src/myna/**/README.md"),
    ]
)


@pytest.fixture(params=PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def page(request: pytest.FixtureRequest) -> Path:
    """Give every page in turn."""
    path: Path = request.param
    return path


@pytest.fixture(scope="session")
def root() -> Path:
    """Give the repository's folder."""
    return ROOT


@pytest.fixture
def written_by() -> Callable[[str], str]:
    """Run a script of `scripts`, and give what it writes."""

    def run(script: str) -> str:
        command = [sys.executable, ROOT / "scripts" / script]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return run
