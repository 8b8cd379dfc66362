"""What was acknowledged survives; the bar `survival` runs the same many more times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_no_acknowledged_message_is_lost_to_kills_and_full_disks() -> None:
    script = ROOT / "benchmarks/survival.py"
    command = [sys.executable, str(script), "--kills", "6", "--full-disks", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "6 kills, 4 full disks: 0 of " in done.stdout.splitlines()[-1]
