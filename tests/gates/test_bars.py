"""The bars: what docs/bars.md promises is what benchmarks/bars.py runs."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROW = re.compile(r"^\| (?P<what>[^|]+) \| `python benchmarks/bars\.py (?P<words>[^`]+)` \|", re.M)


@pytest.fixture
def bars(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the script."""
    spec = importlib.util.spec_from_file_location("bars", root / "benchmarks/bars.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bars", module)
    monkeypatch.syspath_prepend(root / "benchmarks")
    spec.loader.exec_module(module)
    return module


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "benchmarks/bars.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_document_lists_every_bar_with_its_words(root: Path, bars: ModuleType) -> None:
    rows = ROW.findall((root / "docs/bars.md").read_text())
    assert rows == [
        (bar.must, " ".join([name, *(f"--{need} {need.upper()}" for need in bar.needs)]))
        for name, bar in bars.BARS.items()
    ]


def test_every_file_that_a_bar_runs_is_there(root: Path, bars: ModuleType) -> None:
    paths: list[str] = []
    for bar in bars.BARS.values():
        if isinstance(bar.show, bars.Tests):
            paths += bar.show.paths
        elif isinstance(bar.show, bars.Script):
            paths.append(f"benchmarks/{bar.show.words[0]}")
    assert [path for path in paths if not (root / path).exists()] == []


def test_a_bar_that_holds_prints_its_figure_last(root: Path) -> None:
    done = run(root, "layouts")
    assert done.returncode == 0, done.stdout
    assert re.search(
        r"^layouts: no tensor left.* \(\d+ tests, \d+ s\)$", done.stdout.splitlines()[-1]
    )


def test_a_bar_that_cannot_be_shown_is_not_reached(root: Path) -> None:
    done = run(root, "speed")
    assert done.returncode == 1
    wanted = "speed: BELOW THE BAR: it needs --qwen, and nothing was given"
    assert done.stdout.splitlines()[-1] == wanted


def test_a_failing_test_is_below_the_bar(bars: ModuleType, tmp_path: Path) -> None:
    failing = tmp_path / "test_failing.py"
    failing.write_text("def test_it():\n    assert 1 == 2\n")
    with pytest.raises(bars.Missed, match="1 failed"):
        bars.Tests("nothing", (str(failing),))(bars.Files())


def test_an_excused_test_is_below_the_bar(bars: ModuleType, tmp_path: Path) -> None:
    excused = tmp_path / "test_excused.py"
    excused.write_text("import pytest\n\ndef test_it():\n    pytest.xfail('not today')\n")
    with pytest.raises(bars.Missed, match="1 xfailed"):
        bars.Tests("nothing", (str(excused),))(bars.Files())


def test_an_unknown_bar_is_told_the_known_ones(root: Path) -> None:
    done = run(root, "hight")
    assert done.returncode == 2
    assert "unknown: hight; known are parity, mutants" in done.stderr
