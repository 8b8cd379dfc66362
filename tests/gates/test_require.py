"""REQUIRE=all: a skipped check is a failed one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SKIPPING = """
import pytest

def test_runs():
    pass

def test_skips():
    pytest.skip("this machine has no moon")

@pytest.mark.xfail(reason="known")
def test_expected():
    assert False
"""


def run(folder: Path, root: Path, require: str) -> str:
    """Run pytest on the tests above under the project's own conftest."""
    (folder / "conftest.py").write_text((root / "tests/conftest.py").read_text())
    (folder / "test_it.py").write_text(SKIPPING)
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "MYNA_REQUIRE": require},
    )
    return answer.stdout + answer.stderr


def test_a_skip_is_counted_with_its_reason(tmp_path: Path, root: Path) -> None:
    answer = run(tmp_path, root, "")
    assert "SKIPPED [1] test_it.py:8: this machine has no moon" in answer
    assert "1 passed, 1 skipped, 1 xfailed" in answer


def test_under_require_all_a_skip_fails(tmp_path: Path, root: Path) -> None:
    answer = run(tmp_path, root, "all")
    assert "REQUIRE=all allows no skip, but: Skipped: this machine has no moon" in answer
    assert "1 failed, 1 passed, 1 xfailed" in answer


def test_an_unknown_word_is_refused(tmp_path: Path, root: Path) -> None:
    assert "MYNA_REQUIRE is 'some'" in run(tmp_path, root, "some")


def test_make_passes_the_word_on(root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    assert "MYNA_REQUIRE=$(REQUIRE)" in makefile
    assert "make test REQUIRE=all" in (root / ".ci/run").read_text()
