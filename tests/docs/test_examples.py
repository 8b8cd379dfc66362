"""Every Python example in the documentation runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from myna import embedded

PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LIMIT_S = 60
SERVED = "http://127.0.0.1:8000"  # where examples expect a server; tests have one on a free port
READY = re.compile(r"http://127\.0\.0\.1:\d+")


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Serve what `make run` serves."""
    if embedded.folder() is None:
        pytest.skip("the model is not in the box; run `make box`")
    command = [sys.executable, "-m", "myna", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            found = (READY.search(line) for line in server.stderr)
            yield next(match[0] for match in found if match is not None)
        finally:
            server.terminate()
            server.stderr.read()


def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    for example in PYTHON_BLOCK.findall(page.read_text()):
        if SERVED in example:
            example = example.replace(SERVED, request.getfixturevalue("address"))
        answer = subprocess.run(
            [sys.executable, "-W", "error", "-c", example],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert answer.returncode == 0, f"{example}\n{answer.stderr}"
        assert answer.stdout.strip(), f"{example}\nshowed nothing"
