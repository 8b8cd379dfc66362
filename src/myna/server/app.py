"""Put the server together around a service, and guard its outermost edge.

Everything that needs no body is decided on the raw scope, before any routing.
"""

from __future__ import annotations

import secrets

from starlette.exceptions import HTTPException
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myna.core.errors import MynaError
from myna.core.service import Service
from myna.server.auth import check_browser, check_key
from myna.server.context import Context
from myna.server.errors import error_response, internal_error, route_error
from myna.server.limits import Gate, check_headers
from myna.server.routes import chat, completions, health, models, page
from myna.server.settings import ServerSettings

POLICY_VIOLATION = 1008  # RFC 6455 section 7.4.1


def create_app(service: Service, *, settings: ServerSettings | None = None) -> App:
    """Make the ASGI application that serves `service`; whoever made the service closes it."""
    settings = settings or ServerSettings()
    modules = (page, models, chat, completions, health)
    router = Router(routes=[route for module in modules for route in module.routes])
    context = Context(service=service, settings=settings, gate=Gate(settings.limits))
    return App(router, context)


class App:
    """Give every request an id, refuse it early, and see to it that no exception breaks out."""

    def __init__(self, router: ASGIApp, context: Context) -> None:
        self.router = router
        self.context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run as an ASGI application."""
        if scope["type"] == "lifespan":
            await self.router(scope, receive, send)
            return
        key = secrets.token_hex(12)
        scope["app"] = self
        scope["myna.context"] = self.context
        scope["myna.request_key"] = key
        is_started = False

        async def send_marked(message: Message) -> None:
            nonlocal is_started
            if message["type"] == "http.response.start":
                is_started = True
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-request-id", f"req_{key}".encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        try:
            await self._admit(scope, receive, send_marked)
            return
        except MynaError as error:
            response = error_response(error.info())
        except HTTPException as error:
            response = route_error(error, method=scope["method"], path=scope["path"])
        except Exception as error:  # noqa: BLE001 - the boundary: logged, and the client is told
            response = error_response(internal_error(error, request_id=f"req_{key}"))
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        elif not is_started:
            await response(scope, receive, send_marked)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check everything that needs no body, then hand on."""
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        settings = self.context.settings
        check_headers(headers)
        check_browser(headers, settings)
        check_key(scope["path"], headers, settings)
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.router(scope, receive, send)
            return
        with self.context.gate.admit() as ticket:
            scope["myna.ticket"] = ticket
            await self.router(scope, receive, send)
