"""One HTTP connection: uvicorn's, with clocks against clients that neither send nor read.

Not here: bounds on bodies and on the number of headers (limits).
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from myna.core.errors import ErrorInfo
from myna.server.clock import Clock
from myna.server.errors import error_body
from myna.server.settings import Limits


class Connection(H11Protocol):
    """Close a connection whose headers do not arrive, or whose answer is not read."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # Any: uvicorn's own type.
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        limits: Limits = config.app.context.settings.limits  # type: ignore[union-attr]
        self.header_clock = Clock(limits.header_s)
        self.stall_clock = Clock(limits.stall_s)
        self.is_upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for headers."""
        super().connection_made(transport)
        self.header_clock.start(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all clocks."""
        super().connection_lost(exc)
        self.header_clock.stop()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take bytes; between requests they must become headers in time."""
        super().data_received(data)
        is_between = self.cycle is None or self.cycle.response_complete
        if is_between and not self.is_upgraded:
            self.header_clock.start(self.transport)
        else:
            self.header_clock.stop()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Leave the connection to what carries calls, which has clocks of its own."""
        self.is_upgraded = True
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        """Note that the client does not read; it has `stall_s` to go on."""
        super().pause_writing()
        self.stall_clock.start(self.transport)

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        super().resume_writing()
        self.stall_clock.stop()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, in the form of all other errors."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        info = ErrorInfo(message=msg, type="invalid_request_error", code="invalid_http")
        body = error_body(info)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        response = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
