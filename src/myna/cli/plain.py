"""Commands whose only options are flags, read without the library that the others use.

That library takes longer to import than these commands take to answer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType

EXIT_USAGE = 2
HELP_FLAG = "--help"


def run_plain(module: ModuleType, name: str, args: Sequence[str]) -> int:
    """Run a command of a module with `FLAGS`, which maps each flag to its help; returns 0 or 2."""
    flags: dict[str, str] = module.FLAGS
    if HELP_FLAG in args:
        print(_help(module, name))
        return 0
    for word in args:
        if word.removeprefix("--") not in flags or not word.startswith("--"):
            print(
                f"Usage: myna {name} [OPTIONS]\nTry 'myna {name} --help' for help.\n\n"
                f"Error: No such option or argument: {word}",
                file=sys.stderr,
            )
            return EXIT_USAGE
    module.command(**{flag: f"--{flag}" in args for flag in flags})
    return 0


def options_of(module: ModuleType) -> list[str]:
    """List the options of a command of flags."""
    return [*(f"--{flag}" for flag in module.FLAGS), HELP_FLAG]


def _help(module: ModuleType, name: str) -> str:
    rows = {f"--{flag}": text for flag, text in module.FLAGS.items()}
    rows[HELP_FLAG] = "Show this message and exit."
    width = max(map(len, rows))
    options = "\n".join(f"  {option.ljust(width)}  {text}" for option, text in rows.items())
    return f"Usage: myna {name} [OPTIONS]\n\n  {module.command.__doc__}\n\nOptions:\n{options}"
