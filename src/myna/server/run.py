"""Serve an application on a socket with uvicorn, and stop without breaking answers off.

The first SIGTERM or SIGINT drains: `/readyz` and new requests get 503, open ones may finish. After
the grace time, or at a second signal, what is still open is ended.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from myna.core.errors import Unavailable
from myna.server.app import App
from myna.server.connection import Connection

BACKLOG = 512
KEEP_ALIVE_S = 30
LAST_WORDS_S = 2


class Server(uvicorn.Server):
    """Drain before exit; uvicorn alone would close its sockets first."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        app: App,
        shutdown_grace_s: float,
        on_listening: Callable[[str], None] | None,
    ) -> None:
        super().__init__(config)
        self.app = app
        self.shutdown_grace_s = shutdown_grace_s
        self.on_listening = on_listening
        self.drain_task: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell the address."""
        await super().startup(sockets)
        if self.started and self.on_listening is not None:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self.on_listening(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain at the first signal, exit at the second."""
        if self.app.context.gate.is_draining:
            self.should_exit = self.force_exit = True
        self.app.context.gate.is_draining = True

    async def on_tick(self, counter: int) -> bool:
        """Look, ten times a second, whether it is time to exit."""
        if self.app.context.gate.is_draining and self.drain_task is None:
            self.drain_task = asyncio.create_task(self._drain())
        return await super().on_tick(counter)

    async def _drain(self) -> None:
        """Let open requests finish, then end the others with an error they can read."""
        idle = self.app.context.gate.idle
        try:
            await asyncio.wait_for(idle.wait(), self.shutdown_grace_s)
        except TimeoutError:
            await self.app.context.service.close()
        self.should_exit = True


def serve(
    app: App,
    *,
    host: str,
    port: int,
    shutdown_grace_s: float = 30.0,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve until a signal ends it.

    Args:
        app: from `create_app`; its service is closed only if open requests outlive the grace time.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        shutdown_grace_s: time that open requests have to finish.
        on_listening: called once with the address, such as `http://127.0.0.1:8000`.
    """
    listener = listen(host, port)
    server = make_server(app, shutdown_grace_s=shutdown_grace_s, on_listening=on_listening)
    asyncio.run(server.serve(sockets=[listener]))


def listen(host: str, port: int) -> socket.socket:
    """Take an address; raises a readable error if that cannot be done."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise Unavailable(
            f"Cannot listen on {host} port {port}: {error.strerror}; choose another port.",
            code="cannot_listen",
        ) from None


def make_server(
    app: App,
    *,
    shutdown_grace_s: float = 30.0,
    on_listening: Callable[[str], None] | None = None,
) -> Server:
    """Make the server that `serve` runs, for a loop and a socket of the caller's own."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=LAST_WORDS_S,
    )
    return Server(config, app=app, shutdown_grace_s=shutdown_grace_s, on_listening=on_listening)
