"""`myna show`."""

from __future__ import annotations

from typing import Annotated

import typer

from myna.cli.console import answer, answer_json, size_text, table
from myna.cli.options import JsonOption
from myna.core.errors import NotFound
from myna.core.settings import read_settings
from myna.hub.cache import Installed, find, look_up
from myna.hub.catalogue import Certainty, Entry, entry_of

MARKS: dict[Certainty, str] = {
    "confirmed": "",
    "derived": " (computed)",
    "remembered": " (to be confirmed)",
    "unknown": " (unknown)",
}


def command(
    model: Annotated[str, typer.Argument(help="A name of `myna list`, a folder or a GGUF file.")],
    json: JsonOption = False,
) -> None:
    """Tell what is known about a model: source, licence, sizes, files, and whether it is here."""
    models_dir = read_settings().models_dir
    here = look_up(model, models_dir)
    try:
        entry = entry_of(model)
    except NotFound:
        if here is None:
            find(model, models_dir)  # Raises, saying what is not there.
        entry = None
    if json:
        answer_json({"catalogue": entry, "here": here})
        return
    rows = [] if entry is None else _entry_rows(entry)
    rows += _here_rows(here)
    answer(table(rows))
    if entry is not None and entry.files:
        answer("\nfiles")
        answer(table(_file_rows(entry)))


def _entry_rows(entry: Entry) -> list[tuple[str, str]]:
    rows = [
        ("name", entry.id),
        ("what", entry.summary),
        ("kind", entry.kind),
        ("repository", entry.repository),
        ("revision", (entry.revision or "not pinned") + MARKS[entry.revision_certainty]),
        ("licence", entry.licence.name + MARKS[entry.licence.certainty]),
        ("as released", size_text(entry.bf16_bytes) + MARKS[entry.size_certainty]),
    ]
    if entry.licence.notice is not None:
        rows.append(("notice", entry.licence.notice))
    if entry.packed_bytes is not None:
        rows.append(("in 4 bits", size_text(entry.packed_bytes)))
    if entry.kv_bytes_per_token is not None:
        rows.append(("cache per token", size_text(entry.kv_bytes_per_token)))
    if entry.wheel is not None:
        size = size_text(entry.wheel.download_bytes)
        rows.append(("fetched from", f"{entry.wheel.requirement} ({size})"))
    return rows


def _here_rows(here: Installed | None) -> list[tuple[str, str]]:
    if here is None:
        return [("here", "no")]
    return [
        ("here", str(here.path)),
        ("came from", here.source or "you"),
        ("on disk", size_text(here.num_bytes)),
    ]


def _file_rows(entry: Entry) -> list[tuple[str, str, str]]:
    return [
        (
            file.path,
            "?" if file.num_bytes is None else f"{file.num_bytes:,}",
            (file.sha256 or "checksum unknown") + MARKS[file.certainty],
        )
        for file in entry.files
    ]
