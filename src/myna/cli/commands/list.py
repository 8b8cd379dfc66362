"""`myna list`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from myna.cli.console import answer, answer_json, note, size_text, table
from myna.core.settings import read_settings
from myna.hub.cache import Installed, in_the_box, installed
from myna.hub.catalogue import catalogue

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
    rows = [row for row in _rows(models_dir) if row.path or not here]
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


def _rows(models_dir: Path) -> list[Row]:
    """Unite the catalogue with what is on this machine."""
    here = {model.id: model for model in installed(models_dir)}
    box = in_the_box()
    rows = [] if box is None else [_own(here.pop(box.id))]
    for entry in catalogue().values():
        model = here.pop(entry.id, None)
        rows.append(
            Row(
                id=entry.id,
                summary=entry.summary,
                licence=entry.licence.name,
                num_bytes=model.num_bytes if model else entry.download_bytes,
                path=str(model.path) if model else None,
            )
        )
    return rows + [_own(model) for model in here.values()]


def _own(model: Installed) -> Row:
    return Row(
        id=model.id,
        summary=model.summary,
        licence=model.licence,
        num_bytes=model.num_bytes,
        path=str(model.path),
    )
