"""The uvicorn server around an application, which stops without breaking answers off.

The first SIGTERM or SIGINT drains: `/readyz` and new requests get 503, open ones may finish. After
the grace time, or at a second signal, what is still open is ended.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from myna.server.app import App
from myna.server.connection import Connection
from myna.server.realtime.connection import WebSocketConnection

KEEP_ALIVE_S = 30
LAST_WORDS_S = 2
TICK_S = 0.1  # how often uvicorn looks up


@dataclass(frozen=True, kw_only=True)
class TlsFiles:
    """Name a certificate chain and its key, as PEM; without a key, the chain's file holds it."""

    cert: Path
    key: Path | None = None


class Server(uvicorn.Server):
    """Drain before exit; uvicorn alone would close its sockets first."""

    def __init__(self, config: uvicorn.Config, *, app: App, shutdown_grace_s: float) -> None:
        super().__init__(config)
        self.app = app
        self.shutdown_grace_s = shutdown_grace_s
        self.drain_task: asyncio.Task[None] | None = None
        self.ticked_s: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain at the first signal, exit at the second."""
        if self.app.context.gate.is_draining:
            self.should_exit = self.force_exit = True
        self.app.context.gate.is_draining = True

    async def on_tick(self, counter: int) -> bool:
        """Look, ten times a second, whether it is time to exit."""
        if self.app.context.gate.is_draining and self.drain_task is None:
            self.drain_task = asyncio.create_task(self._drain())
        now_s = time.monotonic()
        if self.ticked_s is not None:
            self.app.context.metrics.loop_lag_s = max(0.0, now_s - self.ticked_s - TICK_S)
        self.ticked_s = now_s
        return await super().on_tick(counter)

    async def _drain(self) -> None:
        """Let open requests finish, then end the others with an error they can read."""
        context = self.app.context
        try:
            async with asyncio.timeout(self.shutdown_grace_s):
                await context.calls.end()
                await context.gate.idle.wait()
        except TimeoutError:
            await context.service.close()
        self.should_exit = True


def make_server(
    app: App,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    shutdown_grace_s: float = 30.0,
    tls: TlsFiles | None = None,
) -> Server:
    """Make the server for an application; its `serve()` runs until a signal ends it.

    Args:
        app: from `create_app`; its service is closed only if open requests outlive the grace time.
        host: address to listen on, unless `serve()` is given sockets.
        port: port to listen on, unless `serve()` is given sockets; 0 takes a free one.
        shutdown_grace_s: time that open requests have to finish.
        tls: what to speak HTTPS with.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Connection,
        ws=WebSocketConnection,
        ws_max_size=app.context.calls.limits.max_frame_bytes,
        ws_per_message_deflate=False,  # An inflated frame would be a bomb.
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=LAST_WORDS_S,
        ssl_certfile=None if tls is None else tls.cert,
        ssl_keyfile=None if tls is None else tls.key,
    )
    return Server(config, app=app, shutdown_grace_s=shutdown_grace_s)
