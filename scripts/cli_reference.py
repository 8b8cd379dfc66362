"""Write the command line's reference from its own help, and what the environment may say.

python scripts/cli_reference.py > docs/reference/cli.md
"""

from __future__ import annotations

import contextlib
import io
import os

from myna.cli.main import COMMANDS, run
from myna.core.settings import NAMES

WIDTH = "100"


def help_of(*words: str) -> str:
    """Ask the command line for help, as wide as this page."""
    os.environ.update(COLUMNS=WIDTH, TERMINAL_WIDTH=WIDTH, NO_COLOR="1")
    answer = io.StringIO()
    with contextlib.redirect_stdout(answer):
        code = run([*words, "--help"])
    assert code == 0, (words, code)
    lines = [line.rstrip() for line in answer.getvalue().strip("\n").splitlines()]
    return "\n".join(lines)


def reference() -> str:
    """Put the help of every command on one page."""
    parts = ["# Command line", "`make reference` writes this page from `--help`."]
    parts += [f"```console\n$ myna --help\n{help_of()}\n```"]
    for name in COMMANDS:
        parts += [f"## {name}", f"```console\n$ myna {name} --help\n{help_of(name)}\n```"]
    rows = [f"| `{name}` | {meaning} |" for name, meaning in NAMES.items()]
    parts += ["## Environment", "\n".join(["| variable | what it says |", "|---|---|", *rows])]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
