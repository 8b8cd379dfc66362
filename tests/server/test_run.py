"""Starting, draining and stopping a server in a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from myna.core.echo import EchoService
from myna.server.app import create_app
from myna.server.run import TlsFiles, make_server

SCRIPT = """
import asyncio, socket, sys
from myna.core.echo import EchoService
from myna.server.app import create_app
from myna.server.run import make_server
app = create_app(EchoService(delay_s=0.05))
server = make_server(app, shutdown_grace_s=float(sys.argv[1]))
with socket.create_server(("127.0.0.1", 0)) as listener:
    print("http://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    asyncio.run(server.serve(sockets=[listener]))
"""
EXIT_TIMEOUT_S = 10.0

Start = Callable[[float], tuple[subprocess.Popen[str], str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers with a grace time; those that still run at the end are killed."""
    with ExitStack() as stack:

        def run(grace_s: float) -> tuple[subprocess.Popen[str], str]:
            command = [sys.executable, "-W", "error", "-c", SCRIPT, str(grace_s)]
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            return process, process.stdout.readline().strip()

        yield run


def open_stream(address: str, num_words: int) -> socket.socket:
    """Begin a streamed answer and read its first bytes."""
    host, _, port = address.removeprefix("http://").partition(":")
    messages = [{"role": "user", "content": "word " * num_words}]
    body = json.dumps({"stream": True, "messages": messages}).encode()
    connection = socket.create_connection((host, int(port)), timeout=EXIT_TIMEOUT_S)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    assert connection.recv(15) == b"HTTP/1.1 200 OK"
    return connection


def read_to_end(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def until_draining(address: str) -> None:
    """Wait until a signal has reached the server."""
    end_s = time.monotonic() + EXIT_TIMEOUT_S
    while httpx.get(f"{address}/readyz").status_code != 503:
        assert time.monotonic() < end_s, "the signal was not heard"


def test_a_signal_drains_and_open_answers_finish(start: Start) -> None:
    process, address = start(30.0)
    with open_stream(address, 60) as connection:
        process.send_signal(signal.SIGTERM)
        until_draining(address)
        refused = httpx.post(f"{address}/v1/chat/completions", json={})
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"]["message"] == "The server is shutting down."
        assert b"data: [DONE]" in read_to_end(connection)
    assert process.wait(EXIT_TIMEOUT_S) == 0


def test_after_the_grace_time_open_answers_end_with_an_error(start: Start) -> None:
    process, address = start(0.2)
    with open_stream(address, 10_000) as connection:
        process.send_signal(signal.SIGTERM)
        end = read_to_end(connection)
    assert b'{"error":{"message":"The echo service was closed."' in end
    assert b"[DONE]" not in end
    assert process.wait(EXIT_TIMEOUT_S) == 0


def test_a_second_signal_exits_at_once(start: Start) -> None:
    process, address = start(30.0)
    with open_stream(address, 10_000):
        process.send_signal(signal.SIGINT)
        until_draining(address)
        process.send_signal(signal.SIGINT)
        assert process.wait(EXIT_TIMEOUT_S) == 0  # far sooner than the grace time


def test_an_idle_server_stops_at_once(start: Start) -> None:
    process, address = start(30.0)
    assert httpx.get(f"{address}/livez").status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(EXIT_TIMEOUT_S) == 0  # far sooner than the grace time


def test_https_is_spoken_with_a_certificate() -> None:
    """The certificate and its key are for this test alone."""
    folder = Path(__file__).parents[1] / "support" / "tls"
    tls = TlsFiles(cert=folder / "cert.pem", key=folder / "key.pem")
    server = make_server(create_app(EchoService()), tls=tls)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"https://localhost:{listener.getsockname()[1]}"
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            context = ssl.create_default_context(cafile=str(tls.cert))
            with httpx.Client(verify=context) as client:
                assert client.get(f"{address}/livez").json() == {"status": "ok"}
                asked = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
                answer = client.post(f"{address}/v1/chat/completions", json=asked)
                assert answer.text.endswith("data: [DONE]\n\n")
        finally:
            server.should_exit = True
            thread.join()
