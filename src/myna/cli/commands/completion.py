"""`myna completion`."""

from __future__ import annotations

import importlib
from enum import StrEnum
from typing import Annotated

import typer
import typer.main

from myna.cli.console import answer
from myna.cli.main import COMMANDS, app_of
from myna.cli.plain import options_of
from myna.core.settings import read_settings
from myna.hub.cache import installed
from myna.hub.catalogue import catalogue

TAKE_MODELS = ("run", "chat", "serve", "pull", "show", "fit", "rm", "check", "bench", "stop")

BASH = """\
_myna() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}"
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{commands} --help --version" -- "$word"))
        return
    fi
    case "${{COMP_WORDS[1]}} $word" in
{cases}
        *) COMPREPLY=() ;;
    esac
}}
complete -o default -F _myna myna"""

CASE = """\
        {name}\\ -*) COMPREPLY=($(compgen -W "{options}" -- "$word")) ;;"""

MODEL_CASE = """\
        {names}) COMPREPLY=($(compgen -W "$(myna completion models 2>/dev/null)" -- "$word")) ;;"""


class Shell(StrEnum):
    """Shells that can be completed; `models` writes the names the scripts ask for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    MODELS = "models"


def command(
    shell: Annotated[Shell, typer.Argument(help="The shell to complete in.")],
) -> None:
    """Write a script that completes commands, options and models in a shell.

    bash: put `eval "$(myna completion bash)"` into ~/.bashrc. zsh: the same with zsh, into
    ~/.zshrc. fish: put `myna completion fish | source` into ~/.config/fish/config.fish.
    """
    match shell:
        case Shell.BASH:
            answer(_bash())
        case Shell.ZSH:
            answer("autoload -U +X bashcompinit && bashcompinit\n" + _bash())
        case Shell.FISH:
            answer(_fish())
        case Shell.MODELS:
            here = [model.id for model in installed(read_settings().models_dir)]
            answer("\n".join(dict.fromkeys([*here, *catalogue()])))


def _options(name: str) -> list[str]:
    """List the long options of a command."""
    module = importlib.import_module(f"myna.cli.commands.{name}")
    if hasattr(module, "FLAGS"):
        return options_of(module)
    parameters = typer.main.get_command(app_of(module)).params
    return [
        option
        for parameter in parameters
        if not getattr(parameter, "hidden", False)
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    ] + ["--help"]


def _bash() -> str:
    cases = [CASE.format(name=name, options=" ".join(_options(name))) for name in COMMANDS]
    cases.append(MODEL_CASE.format(names="|".join(f"{name}\\ *" for name in TAKE_MODELS)))
    return BASH.format(commands=" ".join(COMMANDS), cases="\n".join(cases))


def _fish() -> str:
    lines = ["complete -c myna -n __fish_use_subcommand -l help", "complete -c myna -f"]
    for name, summary in COMMANDS.items():
        lines.append(f"complete -c myna -n __fish_use_subcommand -a {name} -d '{summary}'")
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        lines += [f"complete -c myna {seen} -l {option[2:]}" for option in _options(name)]
    seen = f"-n '__fish_seen_subcommand_from {' '.join(TAKE_MODELS)}'"
    return "\n".join([*lines, f"complete -c myna {seen} -F -a '(myna completion models)'"])
