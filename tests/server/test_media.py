"""Parts of messages become media: decoded, never fetched, charged beforehand."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from myna.core.errors import InvalidRequest, TooLarge, Unsupported
from myna.core.messages import AudioPart, ImagePart, Part, TextPart, VideoPart
from myna.core.service import ModelCard
from myna.media.fetch import Fetcher, FetchPolicy
from myna.server import media
from myna.server.media import PartReader
from myna.server.schemas.media import ContentPart, MediaOptions

TEXT_CARD = ModelCard(id="m", family="f", context_length=10, created_s=0)
CARD = msgspec.structs.replace(TEXT_CARD, inputs=("text", "image", "audio", "video"))
DATA = b"\x00some bytes\xff"
BARE = base64.b64encode(DATA).decode()
URL = f"data:image/png;base64,{BARE}"


def read(card: ModelCard = CARD, options: dict[str, Any] | None = None, **part: Any) -> Part:
    reader = PartReader(card, msgspec.convert(options, MediaOptions) if options else None)
    return reader.read(msgspec.convert(part, ContentPart), param="p")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "hi"}, TextPart("hi")),
        ({"type": "input_text", "text": "hi"}, TextPart("hi")),
        ({"type": "image_url", "image_url": {"url": URL, "detail": "high"}}, ImagePart(DATA)),
        ({"type": "image_url", "image_url": URL}, ImagePart(DATA)),
        ({"type": "input_image", "image_url": URL}, ImagePart(DATA)),
        ({"type": "input_audio", "input_audio": {"data": BARE, "format": "wav"}}, AudioPart(DATA)),
        ({"type": "input_audio", "input_audio": {"data": f"data:;base64,{BARE}"}}, AudioPart(DATA)),
        ({"type": "audio_url", "audio_url": {"url": URL}}, AudioPart(DATA)),
        ({"type": "video_url", "video_url": {"url": URL}}, VideoPart(data=DATA)),
        ({"type": "video_url", "video_url": URL, "fps": 1}, VideoPart(data=DATA, fps=1.0)),
        ({"type": "video", "video": [URL, URL]}, VideoPart(frames=(DATA, DATA))),
        ({"type": "video", "video": [URL], "fps": 4}, VideoPart(frames=(DATA,), fps=4.0)),
        ({"type": "video", "video": URL}, VideoPart(data=DATA)),
    ],
)
def test_every_form_of_a_part_is_read(part: dict[str, Any], expected: Part) -> None:
    assert read(**part) == expected


def test_options_say_how_clips_are_taken_in() -> None:
    options = {"fps": 3, "use_audio_in_video": True, "max_pixels": 5}
    clip = read(options=options, type="video_url", video_url=URL)
    assert clip == VideoPart(data=DATA, fps=3.0, has_sound=True)
    assert read(options=options, type="video", video=[URL]) == VideoPart(frames=(DATA,), fps=3.0)


@pytest.mark.parametrize(
    "url",
    ["https://example.org/x.png", "http://127.0.0.1/", "file:///etc/passwd", "FILE://x", "ftp://x"],
)
@pytest.mark.parametrize("kind", ["image_url", "audio_url", "video_url", "video", "input_audio"])
def test_nothing_is_fetched(url: str, kind: str) -> None:
    value = {"input_audio": {"data": url}, "video": [url]}.get(kind, {"url": url})
    with pytest.raises(Unsupported, match="are not fetched: remote fetch is off") as caught:
        read(type=kind, **{kind: value})
    assert (caught.value.param, caught.value.code) == (f"p.{kind}", "remote_fetch_off")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"type": "text"}, "`p.text` is missing"),
        ({"type": "image_url"}, "`p.image_url` is missing"),
        ({"type": "input_audio"}, "`p.input_audio` is missing"),
        ({"type": "video", "video_url": URL}, "`p.video` is missing"),
        ({"type": "image_url", "image_url": BARE}, "give data:TYPE;base64,DATA"),
        ({"type": "image_url", "image_url": "data:image/png,AAAA"}, "give data:TYPE;base64"),
        ({"type": "audio_url", "audio_url": "data:;base64,A A="}, "are not base64"),
        ({"type": "input_audio", "input_audio": {"data": ""}}, "the media are empty"),
        ({"type": "input_audio", "input_audio": {"data": "ä"}}, "are not base64"),
    ],
)
def test_a_part_without_media_is_refused(part: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        read(**part)
    assert (caught.value.param or "").startswith("p.")


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "video", "file", "hologram"])
def test_a_model_is_not_given_what_it_does_not_take(kind: str) -> None:
    with pytest.raises(Unsupported, match=f"'m' takes text, not a part of type {kind!r}") as caught:
        read(TEXT_CARD, type=kind)
    assert caught.value.param == "p"


def test_no_more_items_are_taken_than_one_request_may_hold() -> None:
    reader = PartReader(CARD)
    part = ContentPart(type="image_url", image_url=URL)
    for _ in range(16):
        reader.read(part, param="p")
    with pytest.raises(TooLarge, match="17 media items or more, above 16") as caught:
        reader.read(part, param="q")
    assert caught.value.param == "q.image_url"


def test_media_are_charged_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(text: str, *, may_be_bare: bool) -> bytes:
        raise AssertionError("decoded what is too large")

    monkeypatch.setattr(media, "_decode", decode)
    large = "A" * (172 * 2**20)
    with pytest.raises(TooLarge, match=r"media take 129\.0 MiB or more"):
        read(type="input_audio", input_audio={"data": large})


class Canned(Fetcher):
    """Answer without a network."""

    def __init__(self) -> None:
        super().__init__(FetchPolicy())
        self.asked: list[tuple[str, int, float]] = []

    def fetch(self, url: str, *, max_bytes: int, until_s: float) -> bytes:
        self.asked.append((url, max_bytes, until_s))
        return b"x" * 100


def test_media_are_fetched_where_that_is_switched_on() -> None:
    fetcher = Canned()
    reader = PartReader(CARD, fetcher=fetcher)
    for scheme in ("http", "HTTPS"):
        part = ContentPart(type="image_url", image_url=f"{scheme}://a.example/x")
        assert reader.read(part, param="p") == ImagePart(b"x" * 100)
    (_, first_bytes, first_s), (_, second_bytes, second_s) = fetcher.asked
    assert (first_bytes - second_bytes, first_s) == (100, second_s)
    for _ in range(14):
        reader.read(part, param="p")
    with pytest.raises(TooLarge, match="17 media items"):
        reader.read(part, param="p")
    assert len(fetcher.asked) == 16
