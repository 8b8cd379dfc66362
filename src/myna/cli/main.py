"""The door of the command line: a table of commands, and what becomes of their errors.

Exit codes: 0 done, 1 failed, 2 wrong usage or invalid input, 3 not found, 4 the model is damaged or
not supported, 130 interrupted. Not here: any command; each is imported when it is called, so that
help and short answers come at once.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from myna.cli.plain import run_plain

if TYPE_CHECKING:
    from typer import Typer

COMMANDS = {
    "run": "Answer one prompt",
    "chat": "Talk with a model",
    "talk": "Talk with a model, aloud",
    "see": "Talk with a model about what a camera sees",
    "transcribe": "Write down what is said in a file",
    "say": "Speak a text",
    "caption": "Describe a picture, a sound or a clip",
    "tour": "See what the model in the box can do, hands off",
    "edit": "Change pictures as a prompt says",
    "serve": "Serve a model over HTTP, to OpenAI clients",
    "ps": "Show which models a running server holds",
    "stop": "Unload a model from a running server",
    "key": "Make a key for clients of a server",
    "list": "Show the models one can name, and which are here",
    "pull": "Fetch a model",
    "quantize": "Write a model anew in fewer bits",
    "show": "Tell what is known about a model",
    "fit": "Tell whether a model will run here, and how fast",
    "rm": "Delete a model from this machine",
    "check": "Find out whether a model works as it should here",
    "bench": "Measure how fast a model is here",
    "train": "Train the model in the box anew",
    "eval": "Measure what a model can do, on held-out questions",
    "doctor": "Look at this machine and say what would help",
    "config": "Show the settings, and where each comes from",
    "completion": "Write a script that completes commands in a shell",
    "version": "Show versions",
}
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

HELP = """\
Myna: Qwen's omni models, whole, on the machine you have.

Usage: myna COMMAND [OPTIONS]

Commands:
{commands}

`myna COMMAND --help` tells more. Answers go to stdout, all else to stderr.
Exit codes: 0 done, 1 failed, 2 wrong usage or invalid input, 3 not found,
4 the model is damaged or not supported, 130 interrupted."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with its exit code."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(help_text(), file=sys.stdout if argv else sys.stderr)
        return 0 if argv else EXIT_USAGE
    name = "version" if argv[0] == "--version" else argv[0]
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        _complain(
            f"there is no command {name!r}\n"
            f"hint: {f'did you mean `myna {close[0]}`?' if close else '`myna --help` lists them'}"
        )
        return EXIT_USAGE
    return _run_command(name, argv[1:])


def help_text() -> str:
    """Write the help that lists all commands."""
    commands = "\n".join(f"  {name:<12}{summary}" for name, summary in COMMANDS.items())
    return HELP.format(commands=commands)


def app_of(module: ModuleType) -> Typer:
    """Make the application of one command."""
    # Slow to import, and commands of mere flags need none of it.
    import typer  # noqa: PLC0415

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(help=module.command.__doc__)(module.command)
    return app


def _run_command(name: str, args: Sequence[str]) -> int:
    """Import and call a command; turn what it raises into words and an exit code."""
    # The door of the command line needs nothing of ours, so that help comes at once.
    from myna.core.errors import MynaError  # noqa: PLC0415

    try:
        module = importlib.import_module(f"myna.cli.commands.{name}")
        if hasattr(module, "FLAGS"):
            return run_plain(module, name, args)
        app_of(module)(args=list(args), prog_name=f"myna {name}")
    except MynaError as error:
        _complain(error.message)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our answer has left; a flush at exit must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_FAILED
    return 0


def _complain(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
