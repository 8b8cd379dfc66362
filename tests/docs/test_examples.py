"""Every Python example in the documentation runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LIMIT_S = 60


def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    for example in PYTHON_BLOCK.findall(page.read_text()):
        answer = subprocess.run(
            [sys.executable, "-W", "error", "-c", example],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert answer.returncode == 0, f"{example}\n{answer.stderr}"
