"""Calls that are not as they should be: each is told, or ended, and the next one works."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import socket as sockets
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from myna.core.echo import EchoService
from myna.server.realtime.limits import RealtimeLimits
from myna.server.settings import Limits, ServerSettings

PATH = "/v1/realtime?model=echo"
TIMEOUT_S = 10.0
MEBIBYTE = 2**20
TEXT, BINARY, CONTINUED = 1, 2, 0


@pytest.fixture(scope="module")
def plain(serve: Callable[..., Any]) -> Iterator[Any]:
    """Serve with the usual limits."""
    with serve(EchoService(), ServerSettings()) as live:
        yield live


def call(live: Any, path: str = PATH, **options: Any) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{live.port}{path}", close_timeout=2.0, **options)


def hear(socket: ClientConnection) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(socket.recv(timeout=TIMEOUT_S))
    return event


def hear_error(socket: ClientConnection) -> dict[str, Any]:
    while (event := hear(socket))["type"] != "error":
        pass
    error: dict[str, Any] = event["error"]
    return error


def frame(opcode: int, payload: bytes, *, is_last: bool = True, reserved: int = 0) -> bytes:
    """Write a client's frame as bytes, masked with zeros."""
    first = (0x80 if is_last else 0) | reserved | opcode
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 2**16:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + bytes(4) + payload


class Raw:
    """Hold a WebSocket of bytes."""

    def __init__(self, live: Any, extra: str = "") -> None:
        self.socket = sockets.create_connection(("127.0.0.1", live.port), timeout=TIMEOUT_S)
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Version: 13\r\n{extra}\r\n"
        )
        self.socket.sendall(head.encode())
        self.stream = self.socket.makefile("rb")
        self.status = self.stream.readline()
        self.headers = b""
        while (line := self.stream.readline()) not in (b"\r\n", b""):
            self.headers += line

    def close_code(self) -> int | None:
        """Read on to the end; gives the code of the close frame, if there is one."""
        code = None
        try:
            while head := self.stream.read(2):
                size = head[1] & 0x7F
                if size == 126:
                    (size,) = struct.unpack("!H", self.stream.read(2))
                elif size == 127:
                    (size,) = struct.unpack("!Q", self.stream.read(8))
                payload = self.stream.read(size)
                if head[0] & 0x0F == 8:
                    (code,) = struct.unpack("!H", payload[:2])
        except ConnectionError:
            pass
        self.stream.close()
        self.socket.close()
        return code


BAD_FRAMES = {
    "16 MB in one frame": (frame(TEXT, b"x" * 16 * MEBIBYTE), 1009),
    "16 MB declared": (frame(TEXT, b"")[:1] + b"\xff" + struct.pack("!Q", 16 * MEBIBYTE), 1009),
    "2^63 bytes declared": (frame(TEXT, b"")[:1] + b"\xff" + b"\xff" * 8, 1009),
    "2 MB in fragments": (
        frame(TEXT, b"x" * MEBIBYTE, is_last=False) + frame(CONTINUED, b"x" * MEBIBYTE),
        1009,
    ),
    "no UTF-8": (frame(TEXT, b'{"type": "\xff\xfe"}'), 1007),
    "half a character": (frame(TEXT, b"\xe5\x85"), 1007),
    "a reserved bit": (frame(TEXT, b"{}", reserved=0x40), 1002),
    "an unknown opcode": (frame(3, b"{}"), 1002),
    "a continuation of nothing": (frame(CONTINUED, b"{}"), 1002),
    "a ping in fragments": (frame(9, b"x", is_last=False), 1002),
    "a long ping": (frame(9, b"x" * 126), 1002),
    "no mask": (b"\x81\x02{}", 1002),
    "a close of one byte": (frame(8, b"\x03"), 1002),
    "a forbidden close code": (frame(8, struct.pack("!H", 1005)), 1002),
}


@pytest.mark.parametrize("kind", BAD_FRAMES)
def test_a_bad_frame_ends_its_own_call(
    plain: Any, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, wanted = BAD_FRAMES[kind]
    before = plain.canary()
    raw = Raw(plain)
    with caplog.at_level(logging.ERROR):
        with contextlib.suppress(ConnectionError):  # It need not read what it will not take.
            raw.socket.sendall(data)
        code = raw.close_code()
    assert code == wanted or (code is None and len(data) > MEBIBYTE)
    assert caplog.records == []
    assert plain.canary() == before


def test_ten_thousand_fragments_are_one_event(plain: Any) -> None:
    raw = Raw(plain)
    text = json.dumps({"type": "no.such", "pad": "x" * 10_000}).encode()
    pieces = [frame(TEXT, text[:1], is_last=False)]
    pieces += [frame(CONTINUED, text[idx : idx + 1], is_last=False) for idx in range(1, len(text))]
    raw.socket.sendall(b"".join(pieces) + frame(CONTINUED, b"") + frame(8, struct.pack("!H", 1000)))
    assert raw.close_code() == 1000


def test_nothing_is_inflated(plain: Any) -> None:
    raw = Raw(plain, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
    assert b"permessage-deflate" not in raw.headers
    raw.socket.sendall(frame(TEXT, b"\x00" * 100, reserved=0x40))
    assert raw.close_code() == 1002


BAD_EVENTS = {
    "": "not valid JSON",
    "{": "not valid JSON",
    "[]": "no `type`",
    "null": "no `type`",
    '{"type": null}': "no `type`",
    '{"type": "input_audio_buffer.shout"}': "There is no event 'input_audio_buffer.shout'",
    '{"type": "input_audio_buffer.append"}': "`audio` is missing",
    '{"type": "input_audio_buffer.append", "audio": 1}': "Invalid `audio`",
    '{"type": "input_audio_buffer.append", "audio": ""}': "the media are empty",
    '{"type": "input_audio_buffer.append", "audio": "%%%%"}': "not base64",
    '{"type": "input_audio_buffer.append", "audio": "AAAA"}': "no whole samples",
    '{"type": "input_audio_buffer.commit"}': "needs 100 ms",
    '{"type": "input_image_buffer.append", "image": "data:x"}': "give data:TYPE",
    '{"type": "conversation.item.delete", "item_id": "x"}': "There is no item 'x'",
    '{"type": "conversation.item.create", "item": {"type": "message"}}': "`item.role` is missing",
    '{"type": "conversation.item.create", "item": {"type": "item_reference", "id": "a"}}': (
        "cannot be added"
    ),
    '{"type": "conversation.item.create", "item": {"type": "function_call"}}': "`item.name`",
    '{"type": "conversation.item.create", "item": {"role": "user", "content": [{"type": '
    '"output_audio"}]}}': "holds input_text, input_audio, input_image",
    '{"type": "conversation.item.create", "item": {"role": "user", "content": [{"type": '
    '"input_image", "image_url": "https://example.org/a.png"}]}}': "give data:TYPE",
    '{"type": "conversation.item.create", "item": {"role": "user"}, "previous_item_id": "x"}': (
        "There is no item 'x'"
    ),
    '{"type": "response.create", "response": {"max_output_tokens": 0}}': "max_output_tokens",
    '{"type": "response.create", "response": {"voice": "nobody"}}': "has no voice 'nobody'",
    '{"type": "session.update", "session": 7}': "expected `object`",
    '{"type": "session.update", "session": {"type": "other"}}': "type",
    '{"type": "session.update", "session": {"audio": {"output": {"speed": 2}}}}': "one speed",
    '{"type": "session.update", "session": {"audio": {"input": {"turn_detection": {"threshold": '
    "7}}}}}": "threshold",
    "[" * 200: "deeper than 64",
    '{"type": "response.create", "pad": [' + "0," * 600_000 + "0]}": "",
}


@pytest.mark.parametrize("text", BAD_EVENTS, ids=range(len(BAD_EVENTS)))
def test_a_bad_event_is_told_and_the_call_goes_on(plain: Any, text: str) -> None:
    with call(plain) as socket:
        assert hear(socket)["type"] == "session.created"
        socket.send(text)
        if len(text) > MEBIBYTE:
            with pytest.raises(ConnectionClosed):
                hear_error(socket)
            return
        error = hear_error(socket)
        assert BAD_EVENTS[text] in error["message"]
        assert error["type"] == "invalid_request_error"
        socket.send('{"type": "session.update", "session": {"type": "realtime"}}')
        assert hear(socket)["type"] == "session.updated"


def test_a_binary_frame_is_told(plain: Any) -> None:
    with call(plain) as socket:
        socket.send(b"\x00\x01")
        assert "text frames of JSON" in hear_error(socket)["message"]


def test_the_event_at_fault_is_named(plain: Any) -> None:
    with call(plain) as socket:
        socket.send('{"type": "input_audio_buffer.commit", "event_id": "mine"}')
        assert hear_error(socket)["event_id"] == "mine"
        socket.send('{"type": "nonsense", "event_id": "yours"}')
        assert hear_error(socket)["event_id"] == "yours"


def test_a_call_may_be_refused_before_it_begins(serve: Callable[..., Any]) -> None:
    with serve(EchoService(), ServerSettings(api_keys=("sesame",))) as live:
        refusals = {
            (PATH, ()): 401,
            ("/api-ws/v1/realtime", ()): 401,
            (PATH, ("realtime", "openai-insecure-api-key.wrong")): 401,
            ("/v1/realtime?model=other", ("realtime", "openai-insecure-api-key.sesame")): 404,
        }
        for (path, subprotocols), status in refusals.items():
            with pytest.raises(InvalidStatus) as refused:
                call(live, path, subprotocols=list(subprotocols) or None).close()
            assert refused.value.response.status_code == status
            assert json.loads(refused.value.response.body)["error"]["message"]
        with call(live, subprotocols=["realtime", "openai-insecure-api-key.sesame"]) as socket:
            assert socket.subprotocol == "realtime"
            assert hear(socket)["type"] == "session.created"


def test_a_foreign_page_may_not_call(plain: Any) -> None:
    with pytest.raises(InvalidStatus) as refused:
        call(plain, origin="https://evil.example").close()
    assert refused.value.response.status_code == 403


def test_only_so_many_calls_are_open(plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = plain.app.context.calls
    monkeypatch.setattr(calls, "limits", RealtimeLimits(max_sessions=1))
    with call(plain) as socket:
        hear(socket)
        with pytest.raises(InvalidStatus) as refused:
            call(plain).close()
        assert refused.value.response.status_code == 429
        assert "retry-after" in refused.value.response.headers


def test_a_silent_call_ends(plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = plain.app.context.calls
    monkeypatch.setattr(calls, "limits", RealtimeLimits(idle_s=0.2))
    with call(plain) as socket:
        assert hear_error(socket)["code"] == "session_expired"
        with pytest.raises(ConnectionClosed):
            hear(socket)
        assert socket.close_code == 1001


def test_a_client_that_does_not_read_is_cut_off(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(EchoService(), ServerSettings(limits=Limits(stall_s=0.3))) as live:
        monkeypatch.setattr(
            live.app.context.calls, "limits", RealtimeLimits(max_unsent_bytes=2**16)
        )
        raw = Raw(live)
        words = " ".join(["word"] * 4000)
        content = [{"type": "input_text", "text": words}]
        item = {"type": "message", "role": "user", "content": content}
        raw.socket.sendall(
            frame(TEXT, json.dumps({"type": "conversation.item.create", "item": item}).encode())
            + frame(TEXT, b'{"type": "response.create"}')
        )
        deadline_s = time.monotonic() + TIMEOUT_S
        while not live.app.context.calls.num_open:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        while live.app.context.calls.num_open:
            assert time.monotonic() < deadline_s, "the call is still open"
            time.sleep(0.01)
        live.wait_idle(timeout_s=TIMEOUT_S)
        assert raw.close_code() is None


def test_a_server_that_stops_says_goodbye(serve: Callable[..., Any]) -> None:
    with serve(EchoService(), ServerSettings()) as live, call(live) as socket:
        assert hear(socket)["type"] == "session.created"
        live.app.context.gate.is_draining = True
        assert hear(socket)["type"] == "session.going_away"
        with pytest.raises(ConnectionClosed):
            hear(socket)
        assert socket.close_code == 1001
