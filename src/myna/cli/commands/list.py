"""`myna list`."""

from __future__ import annotations

import msgspec

from myna.cli.console import answer, answer_json, note, size_text, table
from myna.core.settings import read_settings
from myna.hub.cache import known

FLAGS = {"here": "Only what is on this machine already.", "json": "Answer in JSON."}


class Row(msgspec.Struct, kw_only=True):
    """Describe one model for a program; `path` is set if it is on this machine."""

    id: str
    summary: str
    licence: str | None
    num_bytes: int
    path: str | None


def command(*, here: bool, json: bool) -> None:
    """Show the models one can name, and which are on this machine."""
    models_dir = read_settings().models_dir
    rows = [
        Row(
            id=model.id,
            summary=model.summary,
            licence=model.licence,
            num_bytes=model.num_bytes,
            path=str(model.path) if model.path else None,
        )
        for model in known(models_dir)
        if model.path or not here
    ]
    if json:
        answer_json(rows)
        return
    if rows:
        cells = [("NAME", "SIZE", "HERE", "LICENCE", "WHAT IT DOES")]
        for row in rows:
            size, mark = size_text(row.num_bytes), "yes" if row.path else "-"
            cells.append((row.id, size, mark, row.licence or "-", row.summary))
        answer(table(cells))
    note(f"models are kept in {models_dir}; `myna pull NAME` fetches one")
