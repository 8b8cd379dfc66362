"""Bytes that are hardly HTTP, and clients that vanish: typed errors, nothing left running."""

from __future__ import annotations

import json
import socket
import struct
import time
from contextlib import ExitStack
from typing import Any

import pytest

from myna.core.echo import EchoService
from myna.server.settings import Limits, ServerSettings

WAIT_S = 20.0
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
BODY = b'{"messages":[{"role":"user","content":"hi"}]}'
LONG = json.dumps(
    {"messages": [{"role": "user", "content": "word " * 1000}], "stream": True}
).encode()


def length(body: bytes) -> bytes:
    return f"Content-Length: {len(body)}\r\n\r\n".encode()


NOT_HTTP = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "bad version": b"GET /livez HTTQ/1.1\r\nHost: a\r\n\r\n",
    "space in name": b"GET /livez HTTP/1.1\r\nHost : a\r\n\r\n",
    "folded header": b"GET /livez HTTP/1.1\r\n x: y\r\nHost: a\r\n\r\n",
    "nul in value": b"GET /livez HTTP/1.1\r\nHost: a\r\nx: \0\r\n\r\n",
    "bad length": HEAD + b"Content-Length: ten\r\n\r\n",
    "negative length": HEAD + b"Content-Length: -5\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "odd coding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "bad chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}
REFUSED = {
    "length and coding": (
        400,
        HEAD + b"Transfer-Encoding: chunked\r\n" + length(BODY) + b"0\r\n\r\n",
    ),
    "many headers": (431, b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 101 + b"\r\n"),
    "long header": (431, b"GET /livez HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 20_000 + b"\r\n\r\n"),
    "absolute target": (404, b"GET http://evil/livez HTTP/1.1\r\nHost: a\r\n\r\n"),
    "double slash": (404, b"GET //livez HTTP/1.1\r\nHost: a\r\n\r\n"),
    "dots": (404, b"GET /v1/../livez HTTP/1.1\r\nHost: a\r\n\r\n"),
    "odd method": (405, b"BREW /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"),
    "trace": (405, b"TRACE /livez HTTP/1.1\r\nHost: a\r\n\r\n"),
    "too large": (413, HEAD + length(b" " * (2**20 + 1)) + b" " * (2**20 + 1)),
    "too large to come": (
        413,
        HEAD + b"Expect: 100-continue\r\nContent-Length: 9999999999\r\n\r\n",
    ),
    "compressed": (415, HEAD + b"Content-Encoding: br\r\n" + length(BODY) + BODY),
}


@pytest.mark.parametrize("name", NOT_HTTP)
def test_what_is_not_http_gets_an_error_or_is_dropped(live: Any, name: str) -> None:
    before = live.canary()
    status, headers, body = live.exchange(NOT_HTTP[name])
    assert status in (0, 400)
    if status:
        assert headers["content-type"] == "application/json"
        assert json.loads(body)["error"]["code"] == "invalid_http"
    assert live.canary() == before


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_http_but_not_welcome_gets_its_status(live: Any, name: str) -> None:
    before = live.canary()
    expected, data = REFUSED[name]
    started_s = time.monotonic()
    status, _, body = live.exchange(data)
    assert time.monotonic() - started_s < 2.0
    assert status in (expected, 400), body
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    assert live.canary() == before


def test_a_chunked_body_is_read(live: Any) -> None:
    chunks = b"".join(b"%x\r\n%c\r\n" % (1, byte) for byte in BODY) + b"0\r\n\r\n"
    status, _, _ = live.exchange(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert status == 200


def test_one_connection_serves_many_requests(live: Any) -> None:
    request = HEAD + length(BODY) + BODY
    with live.connect() as connection:
        connection.sendall(request * 5)
        with connection.makefile("rb") as stream:
            for _ in range(5):
                assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
                lines = iter(stream.readline, b"\r\n")
                headers = dict(line.decode().lower().split(": ", 1) for line in lines)
                stream.read(int(headers["content-length"]))


@pytest.mark.parametrize(
    "data", [b"", b"GET /li", HEAD, HEAD + length(BODY), HEAD + length(BODY) + BODY[:5]]
)
def test_a_client_that_stops_writing_is_dropped(live: Any, data: bytes) -> None:
    started_s = time.monotonic()
    status, _, body = live.exchange(data)
    assert time.monotonic() - started_s < 2.0
    assert status in (0, 408)
    if status:
        assert json.loads(body)["error"]["code"] == "request_timeout"
    live.wait_idle()


def test_a_crowd_that_sends_slowly_keeps_nobody_out(serve: Any) -> None:
    settings = ServerSettings(limits=Limits(max_requests=1))
    with serve(EchoService(), settings) as server, ExitStack() as stack:
        for _ in range(20):
            sender = stack.enter_context(server.connect())
            sender.sendall(HEAD + length(BODY) + BODY[:5])
        gate, end_s = server.app.context.gate, time.monotonic() + WAIT_S
        while gate.num_open < 20:
            assert time.monotonic() < end_s, "they are not heard"
            time.sleep(0.005)
        assert server.exchange(HEAD + length(BODY) + BODY)[0] == 200
        while gate.num_at_work:  # its place is free a moment after its answer
            assert time.monotonic() < end_s, "its place is not given back"
            time.sleep(0.005)
        sender.sendall(BODY[5:])  # and who was slow is answered, too
        assert read_status(sender) == 200


def read_status(connection: socket.socket) -> int:
    with connection.makefile("rb") as stream:
        return int(stream.readline().split()[1])


def test_drops_of_a_header_do_not_keep_a_connection(live: Any) -> None:
    started_s = time.monotonic()
    with live.connect() as connection:
        try:
            while time.monotonic() - started_s < 5.0:
                connection.sendall(b"x")
                time.sleep(0.05)
        except ConnectionError:
            pass
    assert time.monotonic() - started_s < 2.0


def test_a_client_that_does_not_read_is_dropped(live: Any) -> None:
    num_cancelled = live.service.num_cancelled
    text = json.dumps("word " * 100_000).encode()
    body = b'{"stream":true,"messages":[{"role":"user","content":' + text + b"}]}"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", live.port))
        connection.sendall(HEAD + length(body) + body)
        deadline_s = time.monotonic() + 5.0
        while live.service.num_cancelled == num_cancelled:
            assert time.monotonic() < deadline_s, "the stream still runs"
            time.sleep(0.01)
    live.wait_idle()


@pytest.mark.parametrize("how", ["close", "reset", "half"])
@pytest.mark.parametrize("when", ["early", "midway"])
def test_a_client_that_vanishes_is_not_worked_for(slow: Any, how: str, when: str) -> None:
    num_cancelled = slow.service.num_cancelled
    connection = slow.connect()
    connection.sendall(HEAD + length(LONG) + LONG)
    connection.recv(1)
    if when == "midway":
        for _ in range(5):
            connection.recv(1000)
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if how == "half":
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
    slow.wait_idle()
    assert slow.service.num_cancelled == num_cancelled + 1


def test_many_vanishing_clients_leave_nothing_behind(slow: Any) -> None:
    before = slow.canary()
    connections = [slow.connect() for _ in range(50)]
    for connection in connections:
        connection.sendall(HEAD + length(LONG) + LONG)
    time.sleep(0.05)
    for connection in connections:
        connection.close()
    slow.wait_idle()
    assert slow.canary() == before
