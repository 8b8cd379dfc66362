"""A home of the test's own, and the command line as a function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from myna import embedded
from myna.cli.main import run

Myna = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep every test away from the user's models and settings, and the box empty."""
    home = tmp_path / "home"
    for name in ("MYNA_API_KEY", "MYNA_MODEL", "MYNA_HUB_ENDPOINT", "MYNA_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MYNA_HOME", str(home))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(embedded, "folder", lambda: None)
    return home


@pytest.fixture
def myna(capsys: pytest.CaptureFixture[str]) -> Myna:
    """Run a command in this process; returns exit code, stdout and stderr."""

    def call(*argv: str) -> tuple[int, str, str]:
        code = run(argv)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
