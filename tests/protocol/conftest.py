"""A live server on a free port, in a thread, with the echo service behind it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from myna.core.echo import EchoService
from myna.server.app import App, create_app
from myna.server.run import Server, make_server
from myna.server.settings import Limits, ServerSettings

START_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 10.0
CANARY = {"model": "echo", "messages": [{"role": "user", "content": "sing canary ä"}]}


@dataclass
class Live:
    """A running server: where it is, and what stands behind it."""

    app: App
    service: EchoService
    server: Server
    port: int

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"http://127.0.0.1:{self.port}/v1"

    def connect(self) -> socket.socket:
        """Open a connection of raw bytes."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_TIMEOUT_S)

    def exchange(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send raw bytes and read one answer; (0, {}, b"") if the server closes without one."""
        with self.connect() as connection:
            connection.sendall(data)
            return read_answer(connection)

    def post(self, path: str, body: bytes | dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        """Send a body on a connection of its own."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        return self.exchange(head.encode() + data)

    def canary(self) -> bytes:
        """Ask what is always asked; the answer without its id and its time."""
        status, _, body = self.post("/v1/chat/completions", CANARY)
        answer = json.loads(body)
        del answer["id"], answer["created"]
        return json.dumps([status, answer]).encode()

    def wait_idle(self, *, timeout_s: float = 20.0) -> None:
        """Wait until nothing is running any more; fails after `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        gate = self.app.context.gate
        while self.service.num_running or gate.num_open or gate.held_bytes:
            assert time.monotonic() < deadline_s, "a request is still running"
            time.sleep(0.005)


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read the status, the headers and the body, by its length or to the end."""
    with connection.makefile("rb") as stream, suppress(ConnectionError):
        line = stream.readline()
        headers = {}
        while (header := stream.readline()) not in (b"\r\n", b""):
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if line:
            length = headers.get("content-length")
            return int(line.split()[1]), headers, stream.read(int(length) if length else -1)
    return 0, {}, b""


@contextmanager
def running(service: EchoService, settings: ServerSettings, **options: Any) -> Iterator[Live]:
    """Serve until the block ends."""
    app = create_app(service, settings=settings)
    server = make_server(app, **options)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    port = listener.getsockname()[1]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not server.started:
        assert time.monotonic() < deadline_s, "the server did not start"
        time.sleep(0.005)
    try:
        yield Live(app=app, service=service, server=server, port=port)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def live() -> Iterator[Live]:
    """Answer at once, with small limits."""
    limits = Limits(
        max_body_bytes=2**20,
        max_media_body_bytes=2**20,
        header_s=0.5,
        body_grace_s=0.5,
        stall_s=0.5,
    )
    settings = ServerSettings(aliases={"gpt-4o": "echo"}, limits=limits)
    with running(EchoService(), settings) as server:
        yield server


@pytest.fixture(scope="session")
def slow() -> Iterator[Live]:
    """Answer one word every 20 ms."""
    settings = ServerSettings(ping_s=0.01, limits=Limits(max_requests=256))
    with running(EchoService(delay_s=0.02), settings) as server:
        yield server


@pytest.fixture(scope="session")
def serve() -> Callable[..., Any]:
    """Start further servers."""
    return running
