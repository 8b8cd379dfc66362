"""Bounds that are checked before the work: open requests, held bytes, body size, speed and depth.

Not here: bounds on single fields (schemas).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from myna.core.errors import InvalidRequest, Overloaded, TooLarge, Unavailable
from myna.server.errors import ClientGone, Refused
from myna.server.settings import Limits

MAX_HEADERS = 100
MAX_HEADER_BYTES = 16 * 1024
DISCARD_S = 1.0
RETRY_AFTER_S = 1.0
STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class Ticket:
    """Let one request hold bytes until it ends."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.held_bytes = 0

    def hold(self, num_bytes: int) -> None:
        """Charge bytes before they are kept; refuses them where all requests hold too much."""
        if self.gate.held_bytes + num_bytes > self.gate.limits.max_held_bytes:
            raise Overloaded(
                f"The bodies of open requests already take {self.gate.held_bytes} bytes of "
                f"{self.gate.limits.max_held_bytes}; try again soon.",
                retry_after_s=RETRY_AFTER_S,
            )
        self.held_bytes += num_bytes
        self.gate.held_bytes += num_bytes


class Gate:
    """Count what is open, and refuse above the limits or once draining began."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.num_open = 0
        self.held_bytes = 0
        self.is_draining = False
        self.idle = asyncio.Event()
        self.idle.set()

    @contextmanager
    def admit(self) -> Iterator[Ticket]:
        """Let a request in for as long as the block lasts."""
        if self.is_draining:
            raise Unavailable("The server is shutting down.", retry_after_s=RETRY_AFTER_S)
        if self.num_open >= self.limits.max_requests:
            raise Overloaded(
                f"{self.num_open} requests are open, the most this server takes; try again soon.",
                retry_after_s=RETRY_AFTER_S,
            )
        ticket = Ticket(self)
        self.num_open += 1
        self.idle.clear()
        try:
            yield ticket
        finally:
            self.num_open -= 1
            self.held_bytes -= ticket.held_bytes
            if self.num_open == 0:
                self.idle.set()


def check_headers(headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse too many headers, and two ways of telling where a body ends."""
    num_bytes = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > MAX_HEADERS or num_bytes > MAX_HEADER_BYTES:
        raise Refused(
            f"The request has {len(headers)} headers of {num_bytes} bytes; at most {MAX_HEADERS} "
            f"of {MAX_HEADER_BYTES} are taken.",
            status=431,
            code="headers_too_large",
        )
    names = {name for name, _ in headers}
    if {b"content-length", b"transfer-encoding"} <= names:
        message = "A request has Content-Length or Transfer-Encoding, not both."
        raise Refused(message, status=400, code="ambiguous_length")


async def read_body(request: Request, ticket: Ticket) -> bytes:
    """Read a body piece by piece, refusing it as soon as a limit is passed."""
    limits = ticket.gate.limits
    if request.headers.get("content-encoding", "identity") != "identity":
        message = "Compressed bodies are not taken; send the JSON as it is."
        raise Refused(message, status=415, code="unsupported_encoding")
    declared = request.headers.get("content-length", "0")
    if int(declared) > limits.max_body_bytes:
        if "expect" not in request.headers:
            await _discard(request)
        raise _too_large(limits)
    pieces: list[bytes] = []
    size = 0
    started_s = time.monotonic()
    while True:
        allowed_s = limits.body_grace_s + size / limits.min_body_bytes_per_s
        piece, is_last = await _receive(request, timeout_s=started_s + allowed_s - time.monotonic())
        size += len(piece)
        if size > limits.max_body_bytes:
            pieces.clear()
            await _discard(request)
            raise _too_large(limits)
        ticket.hold(len(piece))
        pieces.append(piece)
        if is_last:
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


def _too_large(limits: Limits) -> TooLarge:
    return TooLarge(f"The body is larger than {limits.max_body_bytes} bytes; send less at once.")


def check_depth(body: bytes, *, max_depth: int) -> None:
    """Refuse JSON that nests deeper than `max_depth`, without building any of it."""
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return
    depth = 0
    for match in STRUCTURE.finditer(body):
        token = match[0]
        if token in b"[{":
            depth += 1
            if depth > max_depth:
                message = f"The JSON nests deeper than {max_depth} levels; flatten it."
                raise InvalidRequest(message, code="json_too_deep")
        elif token in b"]}":
            depth -= 1
