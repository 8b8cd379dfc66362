"""`/livez`, `/readyz`, `/health`, `/version`: for supervisors and load balancers."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna import __version__
from myna.core.errors import ErrorInfo
from myna.core.service import Health
from myna.server.context import Context, context_of
from myna.server.errors import error_response

MAX_HEARTBEAT_AGE_S = 5.0
HEALTH_TIMEOUT_S = 1.0
RETRY_AFTER_S = 5.0


async def livez(request: Request) -> Response:
    """Answer at all: the process runs and its loop turns."""
    return _json({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Tell whether a request sent now would be answered."""
    reason = await _unready(context_of(request))
    if reason is None:
        return _json({"status": "ok"})
    info = ErrorInfo(
        message=reason,
        type="unavailable_error",
        code="unavailable",
        status=503,
        retry_after_s=RETRY_AFTER_S,
    )
    return error_response(info)


async def version(request: Request) -> Response:
    """Name the software."""
    return _json({"name": "myna", "version": __version__})


async def _unready(context: Context) -> str | None:
    """Say why requests cannot be served, or nothing."""
    if context.gate.is_draining:
        return "The server is shutting down."
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            health: Health = await context.service.health()
    except TimeoutError:
        return "The engine does not answer."
    if not health.ready:
        return health.reason or "The model is loading."
    if health.heartbeat_age_s > MAX_HEARTBEAT_AGE_S:
        return f"The engine has been stuck for {health.heartbeat_age_s:.0f} s."
    return None


def _json(body: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


routes = [
    Route("/livez", livez),
    Route("/readyz", readyz),
    Route("/health", readyz),
    Route("/version", version),
]
