"""Load the server with many slow streams and calls; print the loop's lag and the memory of each.

    python benchmarks/load.py [--streams 500] [--sockets 200] [--seconds 20] [--disconnects 1000]

The echo service stands for a model, so that serving alone is measured. The server is a process of
its own; what loads it runs here, niced, so that it gives way. A stream gets five events a second;
each call sends 25 frames a second, of 20 ms of silence each. Then clients vanish in the middle of
their answers, and nothing of them may be left.

Bars: lag of the loop, 99th percentile, at most 50 ms; at most 100 KB a stream or call; after the
disconnects no request, no task and no descriptor more than before.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import random
import resource
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from myna.core.echo import EchoService
from myna.server.app import App, create_app
from myna.server.metrics import resident_bytes
from myna.server.realtime.limits import RealtimeLimits
from myna.server.run import make_server
from myna.server.settings import Limits, ServerSettings

EVENT_S = 0.2
FRAME_S = 0.04
FRAMES_OF_PCM = base64.b64encode(bytes(2 * 480)).decode()  # 20 ms at 24 kHz
PROBE_S = 0.005
MAX_LAG_S = 0.05
MAX_BYTES_EACH = 100_000
NICE = 5
SETTLE_S = 2.0


def serve() -> None:
    """Be the server: print the port, then a report for every line that comes in."""
    limits = Limits(max_requests=5000)
    service = EchoService(delay_s=EVENT_S)
    app = create_app(service, settings=ServerSettings(limits=limits))
    app.context.calls.limits = RealtimeLimits(max_sessions=5000)
    asyncio.run(_serve(app, service))


async def _serve(app: App, service: EchoService) -> None:
    server = make_server(app)
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        lags: list[float] = []
        probing = asyncio.create_task(_probe(lags))
        print(listener.getsockname()[1], flush=True)
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.readline():
            print(json.dumps(_report(lags, service)), flush=True)
            lags.clear()
        probing.cancel()
        server.should_exit = True
        await serving


async def _probe(lags: list[float]) -> None:
    """Measure how late the loop wakes a task that asked to be woken."""
    while True:
        due_s = time.perf_counter() + PROBE_S
        await asyncio.sleep(PROBE_S)
        lags.append(time.perf_counter() - due_s)


def _report(lags: list[float], service: EchoService) -> dict[str, float]:
    ordered = sorted(lags) or [0.0]
    return {
        "lag_p50_s": ordered[len(ordered) // 2],
        "lag_p99_s": ordered[len(ordered) * 99 // 100],
        "lag_max_s": ordered[-1],
        "rss_bytes": resident_bytes(),
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "running": service.num_running,
        "cpu_s": time.process_time(),
        "at_s": time.monotonic(),
    }


class Target:
    """The server under load."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.port = int(process.stdout.readline())

    def report(self) -> dict[str, float]:
        """Ask how it fares since the last time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("report\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())  # type: ignore[no-any-return]


async def stream(port: int, num_words: int) -> int:
    """Read one streamed answer; returns how many events came."""
    reader, writer = await _ask(port, num_words)
    num_events = 0
    try:
        async for line in reader:
            num_events += line.startswith(b"data: {")
            if line.startswith(b"data: [DONE]"):
                break
    finally:
        writer.close()
    return num_events


async def vanish(port: int, after_s: float) -> None:
    """Begin to read an answer, and hang up without a word."""
    _, writer = await _ask(port, 1000)
    await asyncio.sleep(after_s)
    writer.transport.abort()


async def _ask(port: int, num_words: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    turns = [{"role": "user", "content": "word " * num_words}]
    body = json.dumps({"stream": True, "messages": turns}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return reader, writer


async def call(port: int, num_frames: int) -> None:
    """Hold a voice call, and say nothing in it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    writer.write(
        (
            "GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n"
        ).encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in head:
        raise ConnectionError(f"the call was refused: {head[:100]!r}")
    reading = asyncio.create_task(_read_all(reader))
    frame = _masked(json.dumps({"type": "input_audio_buffer.append", "audio": FRAMES_OF_PCM}))
    due_s = time.monotonic() + random.random() * FRAME_S
    for _ in range(num_frames):
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        writer.write(frame)
        await writer.drain()
        due_s += FRAME_S
    writer.transport.abort()
    await reading


async def _read_all(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(2**16):
            pass


def _masked(text: str) -> bytes:
    """Write a frame as clients do: masked, here with zeros."""
    data = text.encode()
    size = bytes([0x80 | 126]) + len(data).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + data


async def load(target: Target, asked: argparse.Namespace) -> dict[str, Any]:
    """Load the server; returns what it reported."""
    num_words = round(asked.seconds / EVENT_S)
    await asyncio.gather(*(stream(target.port, 5) for _ in range(20)))
    if asked.sockets:
        await asyncio.gather(*(call(target.port, 25) for _ in range(5)))
    await asyncio.sleep(SETTLE_S)
    before = target.report()
    streams = [
        asyncio.create_task(_later(stream(target.port, num_words), random.random() * EVENT_S))
        for _ in range(asked.streams)
    ]
    num_frames = round(asked.seconds / FRAME_S)
    calls = [asyncio.create_task(call(target.port, num_frames)) for _ in range(asked.sockets)]
    await asyncio.sleep(SETTLE_S)
    begun = target.report()  # the rush of the beginning is not what is measured
    await asyncio.sleep(max(asked.seconds - 2 * SETTLE_S, SETTLE_S))
    during = target.report()
    events = await asyncio.gather(*streams)
    await asyncio.gather(*calls)
    for start in range(0, asked.disconnects, 200):
        size = min(200, asked.disconnects - start)
        await asyncio.gather(*(vanish(target.port, random.random()) for _ in range(size)))
    await asyncio.sleep(SETTLE_S)
    after = target.report()
    num_each = asked.streams + asked.sockets
    return {
        "streams": asked.streams,
        "sockets": asked.sockets,
        "events_per_stream": min(events, default=0),
        "lag_p50_s": round(during["lag_p50_s"], 5),
        "lag_p99_s": round(during["lag_p99_s"], 5),
        "lag_max_s": round(during["lag_max_s"], 5),
        "cpu_share": round(
            (during["cpu_s"] - begun["cpu_s"]) / (during["at_s"] - begun["at_s"]), 3
        ),
        "bytes_each": round((during["rss_bytes"] - before["rss_bytes"]) / max(num_each, 1)),
        "disconnects": asked.disconnects,
        "left_running": after["running"],
        "left_tasks": after["tasks"] - before["tasks"],
        "left_descriptors": after["descriptors"] - before["descriptors"],
    }


async def _later(work: Any, delay_s: float) -> Any:  # Any: a coroutine and what it returns.
    await asyncio.sleep(delay_s)
    return await work


def main() -> int:
    """Print the figures; returns 1 below a bar."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--disconnects", type=int, default=1000)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if asked.serve:
        serve()
        return 0
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        os.nice(NICE)
        try:
            figures = asyncio.run(load(Target(process), asked))
        finally:
            assert process.stdin is not None
            process.stdin.close()
    print(json.dumps(figures, indent=2))
    left = [figures[name] for name in ("left_running", "left_tasks", "left_descriptors")]
    is_kept = (
        figures["lag_p99_s"] <= MAX_LAG_S
        and figures["bytes_each"] <= MAX_BYTES_EACH
        and max(left) <= 0
    )
    print(
        f"lag p99 {figures['lag_p99_s'] * 1000:.1f} ms, {figures['bytes_each'] / 1000:.0f} KB "
        f"each, {max(left):.0f} left after {asked.disconnects} disconnects"
    )
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
