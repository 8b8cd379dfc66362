"""`myna ps`."""

from __future__ import annotations

import time

import msgspec

from myna.cli.console import answer, answer_json, note, size_text, table
from myna.cli.holdings import Holdings, Instance, look
from myna.cli.options import JsonOption, KeyOption, ServerOption
from myna.cli.remote_server import RemoteServer
from myna.core.settings import read_settings

HEADINGS = ("NAME", "STATE", "MEMORY", "CONTEXT", "SINCE")


class Row(msgspec.Struct, kw_only=True):
    """Describe one loaded model for a program; times are in seconds since 1970."""

    id: str
    status: str
    progress: float | None
    state: str
    num_running: int
    num_waiting: int
    memory_bytes: int | None
    context_length: int | None
    since: int | None


class Report(msgspec.Struct, kw_only=True):
    """Describe a server for a program; `memory_bytes` is all that it and its models hold."""

    url: str
    memory_bytes: int
    machine_bytes: int
    models: tuple[Row, ...]


def command(url: ServerOption = None, key: KeyOption = None, json: JsonOption = False) -> None:
    """Show which models a running server holds, what they do, and the memory they take."""
    holdings = look(RemoteServer.to(url, read_settings(), api_key=key))
    if json:
        answer_json(_report(holdings))
        return
    if holdings.models:
        answer(table([HEADINGS, *map(_cells, holdings.models)]))
    used, whole = size_text(holdings.used_bytes), size_text(holdings.machine_bytes)
    hint = "`myna stop NAME` unloads a model" if holdings.models else "no model is loaded"
    note(f"the server at {holdings.url} takes {used} of the machine's {whole}; {hint}")


def _cells(instance: Instance) -> tuple[str, ...]:
    """Write a line of the table; a dash where the server does not tell."""
    return (
        instance.id,
        instance.state(),
        "-" if instance.memory_bytes is None else size_text(instance.memory_bytes),
        "-" if instance.context_length is None else str(instance.context_length),
        "-" if instance.created is None else _time_text(instance.created),
    )


def _time_text(at_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at_s))


def _report(holdings: Holdings) -> Report:
    return Report(
        url=holdings.url,
        memory_bytes=holdings.used_bytes,
        machine_bytes=holdings.machine_bytes,
        models=tuple(
            Row(
                id=instance.id,
                status=instance.status,
                progress=instance.progress,
                state=instance.state(),
                num_running=instance.num_running,
                num_waiting=instance.num_waiting,
                memory_bytes=instance.memory_bytes,
                context_length=instance.context_length,
                since=instance.created,
            )
            for instance in holdings.models
        ),
    )
