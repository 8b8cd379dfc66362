"""One WebSocket connection: uvicorn's, with a clock against clients that do not read.

Not here: who is let in (auth), bounds on frames (limits).
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from myna.server.clock import Clock

INVALID_DATA = 1007  # RFC 6455 section 7.4.1


class WebSocketConnection(WebSocketsSansIOProtocol):
    """Drop a client that does not read; close on text that is no UTF-8, without a traceback."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # Any: uvicorn's own type.
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.stall_clock = Clock(config.app.context.settings.limits.stall_s)  # type: ignore[union-attr]

    def pause_writing(self) -> None:
        """Note that the client does not read; it has `stall_s` to go on."""
        super().pause_writing()
        self.stall_clock.start(self.transport)

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        super().resume_writing()
        self.stall_clock.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self.stall_clock.stop()
        super().connection_lost(exc)

    def send_receive_event_to_app(self) -> None:
        """Hand a whole message on."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()
