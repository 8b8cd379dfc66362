"""`myna config`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from myna.cli.configuration import Setting, configuration
from myna.cli.console import answer, answer_json, note, table
from myna.cli.options import JsonOption
from myna.core.settings import VARIABLES, read_settings

WORDS = {True: "yes", False: "no", None: "not set"}


class Action(StrEnum):
    """What can be done with settings."""

    SHOW = "show"


def command(
    action: Annotated[Action, typer.Argument(help="show: write every setting.")],
    origin: Annotated[
        bool, typer.Option("--origin", help="Tell where each value comes from.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show the settings; of keys, only whether they are set."""
    settings = configuration(read_settings())
    if json:
        rows = [msgspec.structs.asdict(setting) for setting in settings]
        answer_json(rows if origin else [_without_origin(row) for row in rows])
        return
    answer(table([_heading(origin=origin), *(_cells(each, origin=origin) for each in settings)]))
    if not origin:
        note("`myna config show --origin` tells where each comes from, and what sets it")


def _without_origin(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != "origin"}


def _heading(*, origin: bool) -> tuple[str, ...]:
    return ("SETTING", "VALUE", "ORIGIN") if origin else ("SETTING", "VALUE")


def _cells(setting: Setting, *, origin: bool) -> tuple[str, ...]:
    value = setting.value if isinstance(setting.value, str) else WORDS[setting.value]
    if not origin:
        return setting.name, value
    hint = f"; {VARIABLES[setting.name][0]} sets it" if setting.origin == "default" else ""
    return setting.name, value, setting.origin + hint
