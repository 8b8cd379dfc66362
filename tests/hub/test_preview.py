"""Looking at a model's configuration before it is fetched."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from myna.core.errors import BadCheckpoint, Unavailable
from myna.core.settings import Settings
from myna.hub.catalogue import Entry, Licence
from myna.hub.download import Connection
from myna.hub.preview import preview

REVISION = "0123456789abcdef0123456789abcdef01234567"
ENTRY = Entry(
    id="tiny",
    summary="a tiny model",
    kind="text",
    repository="maker/Tiny",
    revision=REVISION,
    revision_certainty="confirmed",
    licence=Licence(name="Apache-2.0", certainty="confirmed"),
    bf16_bytes=100_000,
    size_certainty="confirmed",
)
INDEX = json.dumps({"weight_map": {"a.weight": "x", "lm_head.weight": "y"}}).encode()
WEIGHTS = bytes(100_000)


def test_configuration_and_names_come_without_the_weights(
    hub: Any, settings: Settings, connection: Connection
) -> None:
    files = {
        "config.json": b'{"model_type": "qwen2"}',
        "model.safetensors.index.json": INDEX,
        "x": WEIGHTS,
        "model.safetensors": WEIGHTS,
    }
    hub.add_repository("maker/Tiny", files, revision=REVISION)
    seen = preview(ENTRY, settings, connection=connection)
    assert seen.config == {"model_type": "qwen2"}
    assert seen.tensor_names == {"a.weight", "lm_head.weight"}
    assert not hub.ranges_of("model.safetensors")
    assert not settings.home.exists()


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (b"{}", {"lm_head.weight"}),
        (b'{"tie_word_embeddings": false}', {"lm_head.weight"}),
        (b'{"tie_word_embeddings": true}', set()),
    ],
)
def test_without_an_index_the_configuration_tells_of_the_head(
    hub: Any, settings: Settings, connection: Connection, config: bytes, names: set[str]
) -> None:
    hub.add_repository("maker/Tiny", {"config.json": config}, revision=REVISION)
    assert preview(ENTRY, settings, connection=connection).tensor_names == names


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"README.md": b""}, "maker/Tiny has no config.json"),
        ({"config.json": b"[]"}, "maker/Tiny has a damaged configuration"),
        (
            {"config.json": b"{}", "model.safetensors.index.json": b"{}"},
            "maker/Tiny has a damaged configuration",
        ),
    ],
)
def test_a_damaged_configuration_is_refused(
    hub: Any,
    settings: Settings,
    connection: Connection,
    files: dict[str, bytes],
    message: str,
) -> None:
    hub.add_repository("maker/Tiny", files, revision=REVISION)
    with pytest.raises(BadCheckpoint, match=message):
        preview(ENTRY, settings, connection=connection)


def test_offline_nothing_is_fetched(hub: Any, settings: Settings) -> None:
    offline = msgspec.structs.replace(settings, is_offline=True)
    with pytest.raises(Unavailable, match="tiny is not here, and fetching is switched off"):
        preview(ENTRY, offline)
    assert hub.requests == []
