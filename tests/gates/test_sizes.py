"""The size report, which is a script of the house."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LONG_FILE_LINES = 501


def run_in(folder: Path, root: Path) -> subprocess.CompletedProcess[str]:
    """Run a copy of the script inside a folder, which it takes for the repository."""
    script = folder / "scripts/size_report.py"
    script.parent.mkdir()
    script.write_text((root / "scripts/size_report.py").read_text())
    return subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)


def test_lines_are_counted_by_room(tmp_path: Path, root: Path) -> None:
    room = tmp_path / "src/myna/room"
    room.mkdir(parents=True)
    (room / "story.py").write_text("one = 1\ntwo = 2\n")
    answer = run_in(tmp_path, root)
    assert answer.returncode == 0
    assert ["myna.room", "1", "files", "2", "lines"] in [
        line.split() for line in answer.stdout.splitlines()
    ]


def test_a_long_file_fails(tmp_path: Path, root: Path) -> None:
    (tmp_path / "src/myna").mkdir(parents=True)
    (tmp_path / "src/myna/long.py").write_text("pass\n" * LONG_FILE_LINES)
    answer = run_in(tmp_path, root)
    assert answer.returncode == 1
    assert "src/myna/long.py has 501 lines, at most 500: split it" in answer.stderr
