"""`GET /api/v1/memory`: what this server takes of the machine's memory."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core.memory import machine_memory_bytes, used_memory_bytes
from myna.server.schemas.control import Memory


async def show_memory(request: Request) -> Response:
    """Tell what this server and its engines hold now, and what the machine has."""
    used = await asyncio.to_thread(used_memory_bytes)
    body = Memory(used_bytes=used, machine_bytes=machine_memory_bytes())
    return Response(msgspec.json.encode(body), media_type="application/json")


routes = [Route("/api/v1/memory", show_memory)]
