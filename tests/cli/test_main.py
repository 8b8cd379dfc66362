"""The door of the command line: help, mistakes, exit codes, and how fast it opens."""

from __future__ import annotations

import importlib
import resource
import subprocess
import sys
from typing import Any

import pytest

from myna.cli.main import COMMANDS
from myna.core.errors import BadCheckpoint, InvalidRequest, MynaError, NotFound, Unavailable

STARTUP_S = 0.2
HEAVY = (
    "torch",
    "numpy",
    "fastapi",
    "starlette",
    "uvicorn",
    "huggingface_hub",
    "rich.console",
    "typer",
)


def test_help_lists_every_command_on_stdout(myna: Any) -> None:
    code, out, err = myna("--help")
    assert (code, err) == (0, "")
    for name, summary in COMMANDS.items():
        assert name in out
        assert summary in out
    assert myna("-h")[1] == myna("help")[1] == out


def test_no_command_at_all_shows_help_as_a_mistake(myna: Any) -> None:
    code, out, err = myna()
    assert (code, out) == (2, "")
    assert "Usage: myna COMMAND" in err


def test_an_unknown_command_is_told_its_neighbour(myna: Any) -> None:
    assert myna("sevre") == (
        2,
        "",
        "error: there is no command 'sevre'\nhint: did you mean `myna serve`?\n",
    )
    assert "`myna --help` lists them" in myna("xyzzy")[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_module_and_help(myna: Any, name: str) -> None:
    module = importlib.import_module(f"myna.cli.commands.{name}")
    code, out, _ = myna(name, "--help")
    assert code == 0
    assert f"Usage: myna {name}" in out
    assert module.command.__doc__.split("\n")[0][:40] in " ".join(out.split())


def test_a_wrong_option_is_a_usage_error(myna: Any) -> None:
    code, out, err = myna("list", "--sideways")
    assert (code, out) == (2, "")
    assert "--sideways" in err
    assert myna("list", "here")[0] == 2
    assert "--sideways" in myna("rm", "--sideways")[2]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequest("bad\nhint: good"), 2),
        (NotFound("gone"), 3),
        (BadCheckpoint("broken"), 4),
        (Unavailable("later"), 1),
        (MynaError("hm"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_has_its_exit_code(
    myna: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(**_: bool) -> None:
        """Fail."""
        raise error

    monkeypatch.setattr("myna.cli.commands.list.command", fail)
    found, out, err = myna("list")
    assert (found, out) == (code, "")
    if isinstance(error, MynaError):
        assert err == f"error: {error.message}\n"


def test_a_wrong_setting_is_told_by_every_command(
    myna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYNA_OFFLINE", "maybe")
    assert myna("list")[0] == 2
    assert "MYNA_OFFLINE is 'maybe'" in myna("list")[2]


def test_a_reader_that_leaves_is_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "myna", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait() in (0, 1)


@pytest.mark.parametrize("argv", [["--help"], ["list"], ["version"], ["list", "--json"]])
def test_short_answers_load_nothing_heavy(argv: list[str]) -> None:
    code = (
        "import sys\n"
        "from myna.cli.main import run\n"
        f"assert run({argv!r}) == 0\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("argv", [["ps", "--help"], ["stop", "--help"], ["config", "show"]])
def test_commands_about_a_server_or_settings_load_no_model_code(argv: list[str]) -> None:
    heavy = [name for name in HEAVY if name not in ("huggingface_hub", "typer")]
    code = (
        "import sys\n"
        "from myna.cli.main import run\n"
        f"assert run({argv!r}) == 0\n"
        f"found = [name for name in {heavy!r} if name in sys.modules]\n"
        "assert not found, found\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("argv", [["--help"], ["list"], ["version"]])
def test_short_answers_take_little_of_the_processor(argv: list[str]) -> None:
    # Processor time, because other work of the machine must not fail this test.
    durations_s = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "myna", *argv], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        durations_s.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(durations_s) <= STARTUP_S
