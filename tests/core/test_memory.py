"""What a container may use is all the memory there is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from myna.core import memory
from myna.core.memory import available_memory_bytes, machine_memory_bytes, used_memory_bytes

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


def test_what_is_used_is_that_of_this_process_and_those_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "PROC", tmp_path)
    assert used_memory_bytes() == 0
    own = os.getpid()
    for pid, parent, pages in ((own, 1, 1), (own + 1, own, 10), (own + 2, own + 1, 100), (1, 0, 9)):
        (tmp_path / str(pid)).mkdir()
        fields = ["S", str(parent), *["0"] * 19, str(pages), "0"]
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a (name)) {' '.join(fields)}\n")
    assert used_memory_bytes(own + 1) == 110 * os.sysconf("SC_PAGE_SIZE")
    assert used_memory_bytes() == 111 * os.sysconf("SC_PAGE_SIZE")


def test_this_process_uses_memory() -> None:
    assert used_memory_bytes() > 10**6
