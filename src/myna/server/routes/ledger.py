"""`GET /api/v1/ledger`: what left this machine."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core.errors import Unsupported
from myna.core.ledger import departures
from myna.server.context import context_of
from myna.server.schemas.control import DepartureObject, Ledger

MAX_LINES = 500


async def show_ledger(request: Request) -> Response:
    """List the latest requests to other hosts, the newest first."""
    home = context_of(request).home
    if home is None:
        raise Unsupported("This server has no data folder to keep a ledger in.")
    latest = await asyncio.to_thread(departures, home, limit=MAX_LINES)
    body = Ledger(
        folder=str(home),
        data=[
            DepartureObject(
                at=left.at_s,
                purpose=left.purpose,
                host=left.host,
                path=left.path,
                has_key=left.has_key,
            )
            for left in latest
        ],
    )
    return Response(msgspec.json.encode(body), media_type="application/json")


routes = [Route("/api/v1/ledger", show_ledger)]
