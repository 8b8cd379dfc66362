"""Finding and loading the compiled kernels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from myna.kernels import native as module
from myna.kernels.native import Native, library_path, load_library, native


def test_a_missing_library_is_said_once_and_gives_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LIBRARY", "absent.so")
    native.cache_clear()
    assert native() is None
    assert native() is None
    native.cache_clear()
    assert len(caplog.records) == 1
    assert "kernels=none hint: with a C++ compiler" in caplog.text


def test_a_broken_library_is_reported_and_gives_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "broken.so"
    path.write_bytes(b"not a library")
    assert load_library(path) is None
    assert "kernels=none" in caplog.text
    assert str(path) in caplog.text
    assert "install myna again" in caplog.text


def test_a_library_of_another_version_is_reported(
    kernels: Native, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = library_path()
    assert path is not None
    monkeypatch.setattr(module, "INTERFACE_VERSION", 10**6)
    assert load_library(path) is None
    assert "not 1000000" in caplog.text


def test_a_level_knows_its_name(kernels: Native) -> None:
    assert kernels.levels[kernels.level] == kernels.name
    assert "baseline" in kernels.levels.values()


ONE_OPENMP = """
import torch
from myna.kernels.linear import linear_bf16
linear_bf16(torch.ones(1, 64).bfloat16(), torch.ones(4096, 64).bfloat16())
maps = open("/proc/self/maps").read().split()
print("\\n".join({word for word in maps if "omp" in word.rsplit("/", 1)[-1]}))
"""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system shows no memory maps")
def test_the_process_has_one_openmp_runtime() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", ONE_OPENMP], check=True, capture_output=True, text=True
    )
    runtimes = answer.stdout.split()
    assert len(runtimes) == 1, runtimes
    assert "torch" in runtimes[0]
