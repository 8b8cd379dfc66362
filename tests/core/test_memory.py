"""What a container may use is all the memory there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna.core import memory
from myna.core.memory import available_memory_bytes, machine_memory_bytes

WHOLE = machine_memory_bytes()


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("limit", "used", "free"), [("1000\n", "300\n", 700), ("1000\n", "2000\n", 0)]
)
def test_a_container_has_no_more_memory_than_it_may_use(
    cgroup: Path, limit: str, used: str, free: int
) -> None:
    (cgroup / "memory.max").write_text(limit)
    (cgroup / "memory.current").write_text(used)
    assert machine_memory_bytes() == 1000
    assert available_memory_bytes() == free


@pytest.mark.parametrize("limit", ["max\n", None])
def test_without_a_limit_the_machine_is_all_there_is(cgroup: Path, limit: str | None) -> None:
    if limit is not None:
        (cgroup / "memory.max").write_text(limit)
    assert machine_memory_bytes() >= WHOLE
    assert 0 < available_memory_bytes() <= machine_memory_bytes()


def test_a_limit_without_a_count_leaves_what_the_machine_has(cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("1000")
    assert available_memory_bytes() > 1000


def test_without_a_list_of_memory_half_of_it_counts_as_free(
    cgroup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MEMINFO", cgroup / "none")
    assert available_memory_bytes() == pytest.approx(machine_memory_bytes() / 2, abs=1)
