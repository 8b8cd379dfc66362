"""A worker that misbehaves as its first argument says; run by test_remote.py as a program."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator

from myna.core.echo import EchoService
from myna.core.errors import BadCheckpoint
from myna.core.events import Event, TextDelta
from myna.core.progress import Progress
from myna.core.requests import Request
from myna.core.service import Health, Service
from myna.core.worker import run_worker


class FloodingService(EchoService):
    """Answer without an end, as fast as possible."""

    async def generate(self, request: Request) -> AsyncIterator[Event]:
        while True:
            yield TextDelta(index=0, text="x" * 1000)


class FaultyService(EchoService):
    """Meet a fault of its own in every call."""

    async def generate(self, request: Request) -> AsyncIterator[Event]:
        yield TextDelta(index=0, text="so far")
        raise ZeroDivisionError("secret of the inner exception")

    async def tokenize(self, text: str) -> tuple[int, ...]:
        raise ZeroDivisionError("secret of the inner exception")


class StuckService(EchoService):
    """Begin an answer and hang, while the process goes on telling its health."""

    stuck_since_s: float | None = None

    async def generate(self, request: Request) -> AsyncIterator[Event]:
        yield TextDelta(index=0, text="so far")
        self.stuck_since_s = time.monotonic()
        await asyncio.Event().wait()

    async def health(self) -> Health:
        since_s = self.stuck_since_s
        return Health(
            ready=True, heartbeat_age_s=0.0 if since_s is None else time.monotonic() - since_s
        )


class SpeechlessService(EchoService):
    """Tell its health once, and never again."""

    num_asked = 0

    async def health(self) -> Health:
        self.num_asked += 1
        if self.num_asked > 1:
            raise ZeroDivisionError("secret of the inner exception")
        return await super().health()


def load(mode: str, progress: Progress) -> Service:
    match mode:
        case "progress":
            for done in range(101):
                progress("weights", done, 100)
        case "bad_checkpoint":
            raise BadCheckpoint("model.safetensors is cut short; download it again")
        case "fault":
            raise ZeroDivisionError("secret of the inner exception")
        case "no_memory":
            raise MemoryError
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "slow":
            time.sleep(60)
    kinds = {
        "flood": FloodingService,
        "faulty": FaultyService,
        "speechless": SpeechlessService,
        "stuck": StuckService,
    }
    return kinds.get(mode, EchoService)()


def main(mode: str, *rest: str) -> None:
    socket_fd = int(rest[-1])
    if mode == "grandchild":
        # It inherits the socket, so that the connection outlives the worker.
        if os.fork() == 0:
            time.sleep(60)
        mode = "echo"
    if mode == "claims_too_much":
        socket.socket(fileno=socket_fd).sendall((2**31).to_bytes(4, "big"))
        time.sleep(60)
    if mode == "nonsense":
        socket.socket(fileno=socket_fd).sendall((4).to_bytes(4, "big") + b"\xff\xff\xff\xff")
        time.sleep(60)
    run_worker(lambda progress: load(mode, progress), socket_fd=socket_fd)


if __name__ == "__main__":
    main(*sys.argv[1:])
