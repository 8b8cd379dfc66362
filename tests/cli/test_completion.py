"""Completion scripts: what they offer is what there is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from myna.cli.main import COMMANDS


def complete(script: str, *words: str) -> set[str]:
    """Ask bash what it would offer for the last word."""
    program = (
        f'myna() {{ "{sys.executable}" -m myna "$@"; }}\n{script}\n'
        f"COMP_WORDS=({' '.join(repr(word) for word in words)}); "
        f'COMP_CWORD={len(words) - 1}; _myna; echo "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_bash_completes_commands_options_and_models(myna: Any, home: Path) -> None:
    (home / "models" / "mine").mkdir(parents=True)
    (home / "models" / "mine" / "config.json").write_text("{}")
    script = myna("completion", "bash")[1]
    assert complete(script, "myna", "") == {*COMMANDS, "--help", "--version"}
    assert complete(script, "myna", "ser") == {"serve"}
    assert {"--host", "--port", "--help"} <= complete(script, "myna", "serve", "--")
    assert "--echo" not in complete(script, "myna", "serve", "--")
    assert complete(script, "myna", "run", "qwq") == {"qwq-32b"}
    assert (
        complete(script, "myna", "run", "mi") == complete(script, "myna", "stop", "mi") == {"mine"}
    )
    assert complete(script, "myna", "list", "q") == set()


def test_zsh_takes_the_script_of_bash(myna: Any) -> None:
    script = myna("completion", "zsh")[1]
    assert script.startswith("autoload -U +X bashcompinit && bashcompinit\n")
    assert script.endswith(myna("completion", "bash")[1])


def test_fish_is_told_every_command_and_option(myna: Any) -> None:
    script = myna("completion", "fish")[1]
    for name, summary in COMMANDS.items():
        assert f"-a {name} -d '{summary}'" in script
    assert "-n '__fish_seen_subcommand_from serve' -l port" in script
    assert all(line.startswith("complete -c myna ") for line in script.splitlines())
    fish = shutil.which("fish")
    if fish is not None:
        subprocess.run([fish, "--no-execute", "-c", script], check=True)


def test_another_shell_is_a_usage_error(myna: Any) -> None:
    assert myna("completion", "tcsh")[0] == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "models"])
def test_nothing_but_the_script_is_written(myna: Any, shell: str) -> None:
    code, out, err = myna("completion", shell)
    assert (code, err) == (0, "")
    assert out.strip()
