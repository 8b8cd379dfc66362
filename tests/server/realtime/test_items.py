"""Items that clients write."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from myna.core.echo import EchoService
from myna.core.errors import InvalidRequest, TooLarge, Unsupported
from myna.server.realtime.client_events import WireItem
from myna.server.realtime.conversation import Item
from myna.server.realtime.items import item_of
from myna.server.realtime.limits import RealtimeLimits
from myna.server.realtime.sound import Format, g711_format, pcm_format

LIMITS = RealtimeLimits(max_turn_s=1.0, max_image_bytes=4)
DEAF = msgspec.structs.replace(EchoService().card, inputs=("text",))


def make(fields: dict[str, Any], *, sound: Format | None = None, card: Any = None) -> Item:
    return item_of(
        msgspec.convert(fields, WireItem),
        item_id="item_1",
        call_id="call_1",
        sound=sound or pcm_format(24_000),
        limits=LIMITS,
        card=card or EchoService().card,
    )


def message(role: str, **part: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [part]}


def sound_of(num_bytes: int) -> str:
    return base64.b64encode(bytes(num_bytes)).decode()


def test_the_names_of_the_beta_mean_the_same() -> None:
    spoken = make(message("assistant", type="audio", transcript="hello"))
    written = make(message("assistant", type="text", text="hello"))
    asked = make(message("user", type="text", text="hello"))
    kinds = [item.parts[0].kind for item in (spoken, written, asked)]
    assert kinds == ["output_audio", "output_text", "input_text"]
    assert all(item.parts[0].text == "hello" for item in (spoken, written, asked))


def test_sound_of_a_telephone_becomes_a_file() -> None:
    part = message("user", type="input_audio", audio=sound_of(80), transcript="hm")
    item = make(part, sound=g711_format("pcmu"))
    assert item.parts[0].data.startswith(b"RIFF")
    assert len(item.parts[0].data) == 44 + 160
    assert item.wire().content[0].transcript == "hm"  # type: ignore[union-attr, index]


def test_a_call_without_an_id_gets_one() -> None:
    item = make({"type": "function_call", "name": "look", "arguments": "{}"})
    assert (item.id, item.call_id) == ("item_1", "call_1")
    output = make({"type": "function_call_output", "call_id": "call_1", "output": "4", "id": "x"})
    assert output.id == "x"
    assert output.wire().output == "4"


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        (message("system", type="input_audio", audio="AAAA"), InvalidRequest, "holds input_text,"),
        (message("user", type="input_audio"), InvalidRequest, r"`item.content\[0\].audio` is miss"),
        (message("user", type="input_audio", audio=sound_of(3)), InvalidRequest, "no whole sampl"),
        (message("user", type="input_audio", audio=sound_of(48_002)), TooLarge, "longer than 1 s"),
        (
            message("user", type="input_image", image_url="data:image/png;base64,AAAAAAAA"),
            TooLarge,
            "has 6 bytes, above 4",
        ),
        (message("user", type="input_text"), InvalidRequest, r"content\[0\].text` is missing"),
        ({"type": "function_call_output", "output": ""}, InvalidRequest, "`item.call_id` is miss"),
        ({"type": "item_reference", "id": "a"}, InvalidRequest, "it cannot be added"),
    ],
)
def test_what_makes_no_sense_is_refused(
    fields: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        make(fields)


def test_a_model_takes_only_what_it_can() -> None:
    with pytest.raises(Unsupported, match="takes text, not audio"):
        make(message("user", type="input_audio", audio="AAAA"), card=DEAF)
