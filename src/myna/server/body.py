"""From the bytes of a request to its wire model, refusing them as soon as a limit is passed."""

from __future__ import annotations

import asyncio
import time

import msgspec
from starlette.requests import Request

from myna.core.errors import TooLarge
from myna.server.context import context_of, ticket_of
from myna.server.errors import ClientGone, Refused
from myna.server.limits import Ticket
from myna.server.schemas.parse import Wire, parse

DISCARD_S = 1.0
LARGE_BYTES = 256 * 1024


async def read_wire(
    request: Request, decoder: msgspec.json.Decoder[Wire], *, may_hold_media: bool = False
) -> Wire:
    """Read and validate a JSON body; a large one is decoded beside the event loop."""
    limits = context_of(request).settings.limits
    max_bytes = limits.max_media_body_bytes if may_hold_media else limits.max_body_bytes
    body = await read_body(request, ticket_of(request), max_bytes=max_bytes)
    if len(body) > LARGE_BYTES:
        return await asyncio.to_thread(parse, body, decoder, limits=limits)
    return parse(body, decoder, limits=limits)


async def read_body(request: Request, ticket: Ticket, *, max_bytes: int) -> bytes:
    """Read a body piece by piece, refusing it as soon as a limit is passed; then begin work."""
    limits = ticket.gate.limits
    if request.headers.get("content-encoding", "identity") != "identity":
        message = "Compressed bodies are not taken; send the JSON as it is."
        raise Refused(message, status=415, code="unsupported_encoding")
    declared = request.headers.get("content-length", "0")
    if int(declared) > max_bytes:
        if "expect" not in request.headers:
            await _discard(request)
        raise _too_large(max_bytes)
    pieces: list[bytes] = []
    size = 0
    started_s = time.monotonic()
    while True:
        allowed_s = limits.body_grace_s + size / limits.min_body_bytes_per_s
        piece, is_last = await _receive(request, timeout_s=started_s + allowed_s - time.monotonic())
        size += len(piece)
        if size > max_bytes:
            pieces.clear()
            await _discard(request)
            raise _too_large(max_bytes)
        ticket.hold(len(piece))
        pieces.append(piece)
        if is_last:
            ticket.start()
            return b"".join(pieces)


async def _receive(request: Request, *, timeout_s: float) -> tuple[bytes, bool]:
    """Wait for the next piece of the body; tells whether it was the last."""
    try:
        async with asyncio.timeout(timeout_s):
            message = await request.receive()
    except TimeoutError:
        message_text = "The body arrived too slowly; it was given up."
        raise Refused(message_text, status=408, code="request_timeout") from None
    if message["type"] == "http.disconnect":
        raise ClientGone("The client hung up before its request was read.")
    return message.get("body", b""), not message.get("more_body", False)


async def _discard(request: Request) -> None:
    """Read on for a moment, so that a client that only writes gets to see the answer."""
    deadline_s = time.monotonic() + DISCARD_S
    is_last = False
    while not is_last and (left_s := deadline_s - time.monotonic()) > 0:
        try:
            _, is_last = await _receive(request, timeout_s=left_s)
        except Refused:
            return


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body is larger than {max_bytes} bytes; send less at once.")
