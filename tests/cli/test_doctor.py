"""`myna doctor`: what it finds on good machines and on poor ones."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from myna.cli import examination
from myna.cli.examination import Finding, examine
from myna.core.settings import read_settings


def finding(what: str) -> Finding:
    return next(found for found in examine(read_settings()) if found.what == what)


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make importing these modules fail."""
    real: Callable[..., Any] = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name in names:
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


def test_doctor_shows_findings_and_hints(myna: Any) -> None:
    code, out, _ = myna("doctor")
    assert code == 0
    for what in ("python", "torch", "processor", "kernels", "memory", "disk", "models"):
        assert what in out
    assert "hint: models: myna pull smollm2-135m" in out
    assert myna("doctor", "--strict")[0] == 1  # There are no models.


def test_doctor_answers_in_json(myna: Any) -> None:
    findings = json.loads(myna("doctor", "--json")[1])
    assert {found["mark"] for found in findings} <= {"good", "poor"}


def test_a_missing_part_is_a_failure_with_a_hint(
    myna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "torch", "myna.kernels.native")
    assert finding("torch").mark == "fail"
    assert "pip install torch==2.13.0" in (finding("torch").hint or "")
    assert finding("kernels").mark == "fail"
    assert finding("memory").found.endswith("can be used")
    assert myna("doctor")[0] == 1


def test_kernels_that_were_not_compiled_are_poor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("myna.kernels.native.native", lambda: None)
    assert finding("kernels").mark == "poor"
    assert "C++ compiler" in (finding("kernels").hint or "")


@pytest.mark.parametrize(
    ("lines", "mark", "found"),
    [
        ("model name\t: Some CPU\nflags\t\t: fpu avx2 amx_int8\n", "good", "avx2 amx_int8"),
        ("model name\t: Old CPU\nflags\t\t: fpu sse2\n", "poor", "no vector extensions known"),
    ],
)
def test_processors_are_judged_by_their_extensions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lines: str, mark: str, found: str
) -> None:
    (tmp_path / "cpuinfo").write_text(lines)
    monkeypatch.setattr(examination, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(examination.platform, "machine", lambda: "x86_64")
    assert finding("processor").mark == mark
    assert found in finding("processor").found


def test_little_memory_and_disk_are_poor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "available_memory_bytes", lambda: 10**9)
    monkeypatch.setattr(examination, "SMALL_DISK_BYTES", 2**60)
    assert finding("memory").mark == "poor"
    assert finding("memory").found == "1 GB can be used"
    assert finding("disk").mark == "poor"


def test_a_folder_that_cannot_be_written_to_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(examination.tempfile, "TemporaryFile", refuse)
    assert finding("disk").mark == "fail"
    assert "cannot be written to (Permission denied)" in finding("disk").found


def test_installed_models_are_named_and_damaged_ones_told(home: Path) -> None:
    folder = home / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert finding("models").found.startswith("mine (")
    (folder / ".myna.json").write_text("{")
    assert finding("models").mark == "fail"
    assert "hint: myna rm mine" in finding("models").found
