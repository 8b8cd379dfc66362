"""`/livez`, `/readyz`, `/health`, `/healthz/deep`, `/metrics`, `/version`: for supervisors."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna import __version__
from myna.core import requests as core
from myna.core.errors import ErrorInfo, MynaError
from myna.core.service import Health
from myna.server.context import Context, context_of, request_key
from myna.server.errors import error_response
from myna.server.metrics import CONTENT_TYPE
from myna.server.render import events_of

MAX_HEARTBEAT_AGE_S = 5.0
HEALTH_TIMEOUT_S = 1.0
RETRY_AFTER_S = 5.0
DEEP_TIMEOUT_S = 10.0


async def livez(request: Request) -> Response:
    """Answer at all: the process runs and its loop turns."""
    return _json({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Tell whether a request sent now would be answered."""
    reason = await _unready(context_of(request))
    if reason is None:
        return _json({"status": "ok"})
    return _unavailable(reason)


def _unavailable(reason: str) -> Response:
    info = ErrorInfo(
        message=reason,
        type="unavailable_error",
        code="unavailable",
        status=503,
        retry_after_s=RETRY_AFTER_S,
    )
    return error_response(info)


async def deep(request: Request) -> Response:
    """Let the model write one token, to see that it can."""
    context = context_of(request)
    started_s = time.monotonic()
    for card in await context.service.models():
        if "text" not in card.outputs:
            continue
        asked = core.Request(
            id=core.RequestId(f"req_{request_key(request)}-{card.id}"),
            model=card.id,
            input=core.TextInput(prompt="1"),
            sampling=core.SamplingParams(max_tokens=1, temperature=0.0),
            deadline_s=DEEP_TIMEOUT_S,
        )
        try:
            async with aclosing(events_of(context.service, asked)) as events:
                async for _ in events:
                    pass
        except MynaError as error:
            return _unavailable(f"{card.id!r} cannot answer: {error.message}")
    if (reason := await _unready(context)) is not None:
        return _unavailable(reason)
    return _json({"status": "ok", "seconds": f"{time.monotonic() - started_s:.3f}"})


async def metrics(request: Request) -> Response:
    """Write all counts and times for Prometheus."""
    context = context_of(request)
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            health = await context.service.health()
    except TimeoutError:
        health = Health(ready=False)
    gauges: dict[str, float] = {
        "http_open_requests": context.gate.num_open,
        "http_held_bytes": context.gate.held_bytes,
        "kept_response_bytes": context.kept.held_bytes,
    }
    if context.models_control is not None:
        members = context.models_control.fleet.members
        gauges["model_load_seconds"] = max((member.load_s for member in members), default=0.0)
    return Response(context.metrics.text(health, gauges), media_type=CONTENT_TYPE)


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
    Route("/healthz/deep", deep),
    Route("/metrics", metrics),
    Route("/version", version),
]
