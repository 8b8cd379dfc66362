"""One WebSocket connection: uvicorn's, which neither logs what is sent nor trips over bad text."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

INVALID_DATA = 1007  # RFC 6455 section 7.4.1


class WebSocketConnection(WebSocketsSansIOProtocol):
    """Close a connection that sends text which is no UTF-8; uvicorn logs a traceback besides."""

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
