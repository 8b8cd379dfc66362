"""Read what a model is made of before it is fetched: its configuration, the names of its weights.

Not here: what follows from them (pipeline.fit).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from myna.core.errors import BadCheckpoint, Unavailable
from myna.core.settings import Settings
from myna.hub.catalogue import Entry
from myna.hub.download import Connection, fetch
from myna.hub.pull import Index, hub_connection, hub_endpoint
from myna.hub.repository import list_hub

CONFIG_NAME = "config.json"
INDEX_NAME = "model.safetensors.index.json"
HEAD_NAME = "lm_head.weight"


@dataclass(frozen=True)
class Preview:
    """Hold a model's configuration and the names of its weights, as far as they are told."""

    config: Mapping[str, object]
    tensor_names: frozenset[str]


def preview(entry: Entry, settings: Settings, *, connection: Connection | None = None) -> Preview:
    """Fetch a model's small files from the hub, checked like all others; nothing is kept.

    Raises:
        Unavailable: fetching is switched off, or the hub cannot be reached.
        BadCheckpoint: a file is not what was expected.
    """
    if settings.is_offline:
        raise Unavailable(
            f"{entry.id} is not here, and fetching is switched off (--offline or MYNA_OFFLINE)"
        )
    connection = connection or hub_connection(settings)
    _, files = list_hub(entry, endpoint=hub_endpoint(settings), connection=connection)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for file in files:
            if file.path in (CONFIG_NAME, INDEX_NAME):
                fetch(file, folder, connection=connection, advance=lambda _: None)
        if not (folder / CONFIG_NAME).is_file():
            raise BadCheckpoint(f"{entry.repository} has no {CONFIG_NAME}")
        try:
            config = msgspec.json.decode(
                (folder / CONFIG_NAME).read_bytes(), type=dict[str, object]
            )
            index = _read_index(folder / INDEX_NAME)
        except msgspec.MsgspecError as error:
            raise BadCheckpoint(
                f"{entry.repository} has a damaged configuration ({error})"
            ) from error
        if index is not None:
            names = frozenset(index.weight_map)
        else:
            # A single file has no index; that of a tied model has no head of its own.
            names = frozenset() if config.get("tie_word_embeddings") else frozenset({HEAD_NAME})
    return Preview(config=config, tensor_names=names)


def _read_index(path: Path) -> Index | None:
    return msgspec.json.decode(path.read_bytes(), type=Index) if path.is_file() else None
