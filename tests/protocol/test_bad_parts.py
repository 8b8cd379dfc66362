"""Media that are no media, forms that are no forms: a typed 4xx each, and no trace left."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest

CHAT, SPEECH = "/v1/chat/completions", "/v1/audio/speech"
TRANSCRIBE, TRANSLATE = "/v1/audio/transcriptions", "/v1/audio/translations"
BARE = base64.b64encode(b"some bytes").decode()
URL = f"data:image/png;base64,{BARE}"
KINDS = ("image_url", "audio_url", "video_url")
ADDRESSES = [
    "http://127.0.0.1/x.png",
    "https://example.org/x.png",
    "HTTP://[::1]/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://user@host/",
    "http:\\\\host\\x",
    "//host/x",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "/etc/passwd",
    "../x.png",
    "ftp://host/x",
    "gopher://host/x",
    "data:",
    "data:,",
    "data:image/png",
    "data:image/png,AAAA",
    "data:image/png;base64",
    "data:image/png;base64,",
    "data:image/png;base64,A",
    "data:image/png;base64,AA=A",
    "data:image/png;base64,AAAA====",
    "data:image/png;base64,AA AA",
    "data:image/png;base64,AAA_",
    "data:image/png;base64,AAA-",
    "data:image/png;base64,AA\nAA",
    "data:image/png;base64,\u00c4AAA",
    "data:image/png;charset=utf-8,AAAA",
    f"data:{'x' * 5000};base64,AAAA",
    f"data:a/b{';c=d' * 1000};base64,AAAA",
    "javascript:alert(1)",
    "",
    " ",
    "\0",
    "\u202e",
]
VALUES: list[Any] = [None, 5, True, [], {}, [URL], {"url": None}, {"url": 5}, {"uri": URL}]
SOUNDS: list[Any] = [None, 5, BARE, [], {}, {"data": None}, {"data": 5}, {"data": ""}]
SOUNDS += [{"data": address} for address in ADDRESSES if address != "//host/x"]  # It is base64.
CLIPS: list[Any] = [None, 5, {}, [], [None], [5], [[URL]], [URL, "x"], [URL] * 769]
PARTS: list[dict[str, Any]] = [
    *({"type": kind, kind: {"url": address}} for kind in KINDS for address in ADDRESSES),
    *({"type": kind, kind: value} for kind in KINDS for value in VALUES),
    *({"type": "input_audio", "input_audio": value} for value in SOUNDS),
    *({"type": "video", "video": value} for value in CLIPS),
    *({"type": "video", "video": [URL], "fps": fps} for fps in (0, -1, 1e9, "2", [])),
    *({"type": kind} for kind in ("", "file", "image", "hologram", "x" * 65, *KINDS)),
    {"type": None},
    {"type": 5},
    {},
]
SPEECHES: list[dict[str, Any]] = [
    {},
    *({"input": value} for value in (None, 5, "", [], {}, "x" * 65537)),
    *({"input": "x", "voice": value} for value in (5, [], "", "nobody", "\0", "x" * 257, {})),
    *({"input": "x", "response_format": value} for value in (5, "", "mp4", "ogg", "WAV", [])),
    *({"input": "x", "speed": value} for value in (0, -1, 5, 1e9, "fast", [])),
    *({"input": "x", "stream_format": value} for value in (5, "", "morse")),
    {"input": "x", "instructions": "whisper"},
    {"input": "x", "model": "nobody"},
]
NAME = b'form-data; name="file"; filename="x"'
GOOD = b"--B\r\nContent-Disposition: " + NAME + b"\r\n\r\n12345\r\n--B--\r\n"
FORMS = [
    b"",
    b"--B--\r\n",
    b"--B\r\n",
    b"--C--\r\n",
    GOOD[:-4],
    GOOD[:30],
    GOOD.replace(b"12345", b""),
    GOOD.replace(b'name="file"; ', b""),
    GOOD.replace(b'name="file"', b'name="sound"'),
    GOOD.replace(b'; filename="x"', b""),
    GOOD.replace(b"Content-Disposition", b"X" * 10_000),
    GOOD.replace(b"Content-Disposition", b"\0"),
    GOOD.replace(b": ", b""),
    GOOD.replace(b"--B--\r\n", GOOD),
    b"".join(GOOD.replace(b"--B--\r\n", b"").replace(b"file", b"%d" % i) for i in range(100)),
]


def form(fields: dict[str, str]) -> bytes:
    parts = [
        f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    return b"".join(parts) + GOOD


FORMS += [
    form({name: value})
    for name, value in (
        ("model", "nobody"),
        ("model", "x" * 257),
        ("language", "\0"),
        ("language", "x" * 33),
        ("prompt", "x" * 16_385),
        ("prompt", "x" * 70_000),
        ("temperature", "nan"),
        ("temperature", "-1"),
        ("temperature", "warm"),
        ("response_format", "srt"),
        ("stream", "perhaps"),
        ("timestamp_granularities[]", "word"),
    )
]


@pytest.fixture(autouse=True)
def unharmed(live: Any) -> Any:
    """Ask the same before and after; nothing may have changed, nothing may be left."""
    before = live.canary()
    yield
    live.wait_idle()
    assert live.canary() == before


def check(answer: tuple[int, dict[str, str], bytes], case: object) -> None:
    status, _, body = answer
    assert 400 <= status < 500, (case, status, body[:200])
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}, case
    assert " object at 0x" not in error["message"], case
    assert len(error["message"]) < 1000, case


def test_parts_that_hold_no_media(live: Any) -> None:
    for part in PARTS:
        body = {"messages": [{"role": "user", "content": [part]}]}
        check(live.post(CHAT, body), part)


def test_texts_that_cannot_be_spoken(live: Any) -> None:
    for body in SPEECHES:
        check(live.post(SPEECH, body), body)


@pytest.mark.parametrize("path", [TRANSCRIBE, TRANSLATE])
def test_forms_that_hold_no_sound(live: Any, path: str) -> None:
    for body in FORMS:
        check(post_form(live, path, body), body[:200])


def test_a_form_with_any_byte_changed_is_read_or_refused(live: Any) -> None:
    rng = random.Random(4)
    for _ in range(100):
        body = bytearray(GOOD)
        body[rng.randrange(len(body))] = rng.randrange(256)
        status, _, answer = post_form(live, TRANSCRIBE, bytes(body))
        assert status == 200 or 400 <= status < 500, (bytes(body), status, answer)


def post_form(live: Any, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    answer: tuple[int, dict[str, str], bytes] = live.exchange(head.encode() + body)
    return answer
