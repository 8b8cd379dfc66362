"""Bounds that are checked before the work: open requests, held bytes, headers, shape of JSON.

Not here: size and speed of a body (body), bounds on single fields (schemas).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager

from myna.core.errors import InvalidRequest, Overloaded, Unavailable
from myna.server.errors import Refused
from myna.server.settings import Limits

MAX_HEADERS = 100
MAX_HEADER_BYTES = 16 * 1024
RETRY_AFTER_S = 1.0
MAX_OPEN = 1024  # requests, of which most may still be sent
STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class Ticket:
    """Let one request hold bytes until it ends."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.held_bytes = 0
        self.is_at_work = False

    def start(self) -> None:
        """Take a place among those at work, once the request has been read; refuses it if all are
        taken. Whoever sends slowly takes nobody's place.
        """
        if not self.is_at_work:
            self.gate.check_room()
            self.is_at_work = True
            self.gate.num_at_work += 1

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
    """Count what is open, and refuse above the limits or once draining began.

    Attributes:
        num_open: requests that have not ended.
        num_at_work: those of them that have been read.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.num_open = 0
        self.num_at_work = 0
        self.held_bytes = 0
        self.is_draining = False
        self.idle = asyncio.Event()
        self.idle.set()

    @contextmanager
    def admit(self) -> Iterator[Ticket]:
        """Let a request in for as long as the block lasts."""
        if self.is_draining:
            raise Unavailable("The server is shutting down.", retry_after_s=RETRY_AFTER_S)
        self.check_room()
        if self.num_open >= MAX_OPEN:
            raise Overloaded(
                f"{self.num_open} requests are being sent, the most this server reads at once; try "
                "again soon.",
                retry_after_s=RETRY_AFTER_S,
            )
        ticket = Ticket(self)
        self.num_open += 1
        self.idle.clear()
        try:
            yield ticket
        finally:
            self.num_open -= 1
            self.num_at_work -= ticket.is_at_work
            self.held_bytes -= ticket.held_bytes
            if self.num_open == 0:
                self.idle.set()

    def check_room(self) -> None:
        """Refuse a request where as many are at work as may be."""
        if self.num_at_work >= self.limits.max_requests:
            raise Overloaded(
                f"{self.num_at_work} requests are open, the most this server takes; try again "
                "soon.",
                retry_after_s=RETRY_AFTER_S,
            )


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


def check_shape(body: bytes, *, limits: Limits) -> None:
    """Refuse JSON of too many values or too deep a nesting, without building any of it."""
    num_values = sum(body.count(mark) for mark in (b",", b"[", b"{"))
    if num_values > limits.max_values:
        message = (
            f"The JSON holds up to {num_values} values; at most {limits.max_values} are taken."
        )
        raise InvalidRequest(message, code="json_too_large")
    check_depth(body, max_depth=limits.max_depth)


def check_depth(body: bytes, *, max_depth: int) -> None:
    """Refuse JSON that nests deeper than `max_depth`."""
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
