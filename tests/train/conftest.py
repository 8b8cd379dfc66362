"""A workshop of its own for every test."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "workshop"
    monkeypatch.setenv("MYNA_TRAIN_DIR", str(path))
    return path
