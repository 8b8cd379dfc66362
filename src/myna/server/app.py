"""Put the server together around a service, and guard its outermost edge.

Everything that needs no body is decided on the raw scope, before any routing.
"""

from __future__ import annotations

import logging
import secrets
import time
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myna.core.errors import MynaError
from myna.core.fleet import Fleet
from myna.core.service import Service
from myna.media.fetch import Fetcher
from myna.server.auth import check_browser, check_key, cors_headers, is_preflight
from myna.server.context import Context, Control
from myna.server.downloads import Downloads
from myna.server.errors import error_response, internal_error, route_error
from myna.server.fits import Fits
from myna.server.library import Library
from myna.server.limits import Gate, check_headers
from myna.server.metrics import Metrics
from myna.server.routes import (
    audio,
    chat,
    completions,
    control,
    conversations,
    description,
    embeddings,
    health,
    images,
    ledger,
    memory,
    models,
    ollama,
    page,
    realtime,
    responses,
    stored_chats,
    tokens,
    transcriptions,
    words,
)
from myna.server.settings import ServerSettings
from myna.server.watched import WatchedService
from myna.store.history import History

log = logging.getLogger("myna.server")

POLICY_VIOLATION = 1008  # RFC 6455 section 7.4.1
METHODS_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
STARTS = ("http.response.start", "websocket.http.response.start")


def create_app(
    service: Service,
    *,
    settings: ServerSettings | None = None,
    library: Library | None = None,
    history: History | None = None,
    home: Path | None = None,
) -> App:
    """Make the ASGI application that serves `service`; whoever made the service closes it.

    Where the service is a fleet and a `library` is given, clients may load and fetch models; where
    a `history` is given, they may keep conversations in it. What is fetched on behalf of requests
    is noted in the ledger of `home`, the data folder.
    """
    settings = settings or ServerSettings()
    modules = (
        page,
        models,
        control,
        conversations,
        ollama,
        chat,
        stored_chats,
        completions,
        responses,
        audio,
        transcriptions,
        images,
        embeddings,
        realtime,
        tokens,
        description,
        words,
        ledger,
        memory,
        health,
    )
    router = Router(routes=[route for module in modules for route in module.routes])
    models_control = None
    if isinstance(service, Fleet) and library is not None:
        models_control = Control(
            fleet=service,
            library=library,
            downloads=Downloads(library),
            fits=None if home is None else Fits(home),
        )
    metrics = Metrics()
    context = Context(
        service=WatchedService(service, metrics, settings),
        settings=settings,
        gate=Gate(settings.limits),
        fetcher=None
        if settings.remote_media is None
        else Fetcher(settings.remote_media, home=home),
        metrics=metrics,
        models_control=models_control,
        history=history,
        home=home,
    )
    return App(router, context)


class App:
    """Give every request an id, refuse it early, and see to it that no exception breaks out."""

    def __init__(self, router: ASGIApp, context: Context) -> None:
        self.router = router
        self.context = context

    async def close(self) -> None:
        """End what goes on beside requests; whoever made the service closes that."""
        if self.context.models_control is not None:
            await self.context.models_control.downloads.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run as an ASGI application."""
        if scope["type"] == "lifespan":
            await self.router(scope, receive, send)
            return
        key = secrets.token_hex(12)
        scope["app"] = self
        scope["myna.context"] = self.context
        scope["myna.request_key"] = key
        started_s = time.monotonic()
        status: int | None = None

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "websocket.accept":
                status = 101
            if message["type"] in STARTS:
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-request-id", f"req_{key}".encode()),
                    (b"x-content-type-options", b"nosniff"),
                    *cors_headers(scope["headers"], self.context.settings),
                ]
            await send(message)

        refusal = await self._admit(scope, receive, send_marked)
        if refusal is not None and status is None and _can_only_close(scope):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        elif refusal is not None and status is None:
            await refusal(scope, receive, send_marked)
        duration_s = time.monotonic() - started_s
        self.context.metrics.count_status(status, duration_s)
        log.info(
            "event=request request_id=req_%s method=%s path=%r status=%s duration_s=%.3f",
            key,
            scope.get("method", "WEBSOCKET"),
            scope["path"],
            status,
            duration_s,
        )

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> Response | None:
        """Answer, or return the refusal that is to be sent instead."""
        try:
            await self._pass_on(scope, receive, send)
        except MynaError as error:
            return error_response(error.info(), path=scope["path"])
        except HTTPException as error:
            return route_error(error, method=scope.get("method", "GET"), path=scope["path"])
        except Exception as error:  # noqa: BLE001 - the boundary: logged, and the client is told
            request_id = f"req_{scope['myna.request_key']}"
            fault = internal_error(error, request_id=request_id)
            return error_response(fault, path=scope["path"])
        return None

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check everything that needs no body, then let the route answer."""
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        settings = self.context.settings
        check_headers(headers)
        check_browser(headers, settings)
        if cors_headers(headers, settings) and is_preflight(scope.get("method", ""), headers):
            await Response(status_code=204)(scope, receive, send)
            return
        scope["myna.owner"] = check_key(
            scope["path"], headers, settings, self.context.client_secrets
        )
        if scope["type"] != "http" or scope["method"] not in METHODS_WITH_BODY:
            await self.router(scope, receive, send)
            return
        with self.context.gate.admit() as ticket:
            scope["myna.ticket"] = ticket
            await self.router(scope, receive, send)


def _can_only_close(scope: Scope) -> bool:
    """Tell whether a WebSocket's carrier cannot answer with a status before it is open."""
    is_socket = scope["type"] == "websocket"
    return is_socket and "websocket.http.response" not in scope.get("extensions", {})
