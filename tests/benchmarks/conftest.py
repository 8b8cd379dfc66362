"""The scripts of benchmarks/, which are no package: each is imported by its name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
POOL_VALUES = 1 << 20  # few numbers to draw weights from, so that tests need no time for them


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a script; its weights are drawn from a small pool."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(importlib.import_module("random_weights"), "POOL_VALUES", POOL_VALUES)
    return importlib.import_module


@pytest.fixture
def released(script: Callable[[str], ModuleType]) -> ModuleType:
    """Import what is known of the released models."""
    return script("released")
