"""What the allocator keeps, it need not fill with zeros again."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace

import pytest

from myna.kernels import allocator
from myna.kernels.allocator import give_back_freed_memory, keep_freed_memory


class Library:
    """Stand for a C library and remember what its allocator was told."""

    def __init__(self, name: None) -> None:
        self.told: list[tuple[int, int]] = []

    def mallopt(self, parameter: int, value: int) -> int:
        self.told.append((parameter, value))
        return 1


def test_the_allocator_is_told_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(None)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    monkeypatch.setattr(sys, "platform", "linux")
    assert keep_freed_memory()
    assert library.told == [
        (allocator.M_TRIM_THRESHOLD, allocator.KEPT_BYTES),
        (allocator.M_MMAP_THRESHOLD, allocator.MAPPED_BYTES),
        (allocator.M_ARENA_MAX, allocator.MAX_ARENAS),
    ]


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()


def test_freed_memory_is_given_back_where_the_system_can(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=asked.append))
    monkeypatch.setattr(sys, "platform", "linux")
    give_back_freed_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    give_back_freed_memory()
    assert asked == [0]
