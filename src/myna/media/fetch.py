"""Fetch media from public addresses, for servers that were told to: the only place that does.

Written against server-side request forgery: an address is read by one strict parser and built anew;
its name is resolved once, every number it resolves to must be public, and that very number is
dialled. Redirects are addresses like any other. What goes wrong is told without saying what
answered, or where. Not here: looking into the bytes (decoder).
"""

from __future__ import annotations

import http.client
import ipaddress
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import msgspec

from myna.core.errors import InvalidRequest, TooLarge, Unsupported
from myna.core.ledger import note_departure

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]

MAX_URL_CHARS = 2048
MAX_REDIRECTS = 3
READ_BYTES = 64 * 1024
PORTS = {"http": 80, "https": 443}
REDIRECTS = (301, 302, 303, 307, 308)
USER_AGENT = "myna"
# RFC 3986, and stricter: no user, no backslash, no zone, nothing outside printable ASCII.
URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[!-~]*)?(?P<query>\?[!-~]*)?",
    re.IGNORECASE,
)
LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
UNICAST = ipaddress.IPv6Network("2000::/3")  # all that was ever handed out


class FetchPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Say what may be fetched.

    Attributes:
        domains: these names and those below them; empty allows any public one.
        deadline_s: for all the media of one request together.
    """

    domains: tuple[str, ...] = ()
    deadline_s: float = 10.0


@dataclass(frozen=True)
class Target:
    """Hold an address that was read and found well-formed."""

    scheme: str
    host: str
    path: str

    @property
    def port(self) -> int:
        """Give the only port that its scheme may use."""
        return PORTS[self.scheme]

    @property
    def url(self) -> str:
        """Write the address anew."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{self.path}"


def read_url(text: str) -> Target:
    """Read an address strictly.

    Raises:
        InvalidRequest: it is none, or has a form that other parsers might read differently.
    """
    match = URL.fullmatch(text) if len(text) <= MAX_URL_CHARS else None
    if match is None or "\\" in text or "#" in text:
        raise _bad("is not an http or https address that can be read without doubt")
    scheme, host = match["scheme"].lower(), match["host"].lower()
    if match["port"] is not None and int(match["port"]) != PORTS[scheme]:
        raise _bad(f"names a port; {scheme} goes to port {PORTS[scheme]}")
    path = (match["path"] or "/") + (match["query"] or "")
    return Target(scheme, _read_host(host), path)


def _read_host(host: str) -> str:
    if host.startswith("["):
        with suppress(ValueError):
            return str(ipaddress.IPv6Address(host[1:-1]))
        raise _bad("names a host that is no IPv6 address")
    labels = host.split(".")
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        # Only the plain form with four decimal numbers; 127.1, 0177.0.0.1 and the like are tricks.
        with suppress(ValueError):
            return str(ipaddress.IPv4Address(host))
        raise _bad("names a host that is no plain IPv4 address")
    if len(host) > 253 or len(labels) < 2 or not all(map(LABEL.fullmatch, labels)):
        raise _bad("names a host that is no full domain name")
    return host


def is_public(address: Address) -> bool:
    """Tell whether an address, and any other that is wrapped in it, belongs to the public net."""
    return all(
        found.is_global
        and not found.is_multicast
        and not found.is_reserved
        and not found.is_loopback
        and not found.is_link_local
        and not found.is_unspecified
        and (found.version == 4 or found in UNICAST)
        for found in _unwrapped(address)
    )


def _unwrapped(address: Address) -> list[Address]:
    """List the addresses that traffic to this one may reach: mapped, tunnelled, translated."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    inner: list[Address | None] = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in NAT64):
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    found = [one for one in inner if one is not None]
    # A mapped address is no address of the net by itself: what it stands for decides.
    return found if address.ipv4_mapped or address in NAT64[0] else [address, *found]


def resolve_by_system(host: str, port: int) -> list[str]:
    """Ask the system's resolver for all addresses of a name."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Fetcher:
    """Fetch files as a policy allows; blocks, so call it beside the event loop.

    Args:
        policy: what may be fetched.
        resolve: finds the addresses of a name; raises `OSError` if there are none.
        may_dial: tells whether an address may be spoken to.
        dial: opens a connection to an address and port, within seconds.
        home: the data folder, whose ledger notes each host before it is asked; `None` notes none.
    """

    def __init__(
        self,
        policy: FetchPolicy,
        *,
        resolve: Resolve = resolve_by_system,
        may_dial: Callable[[Address], bool] = is_public,
        dial: Callable[[tuple[str, int], float], socket.socket] = socket.create_connection,
        home: Path | None = None,
    ) -> None:
        self.policy = policy
        self._resolve = resolve
        self._may_dial = may_dial
        self._dial = dial
        self._home = home

    def fetch(self, url: str, *, max_bytes: int, until_s: float) -> bytes:
        """Fetch one file.

        Args:
            url: its address.
            max_bytes: the most it may hold.
            until_s: when to give up, on the monotonic clock.

        Raises:
            InvalidRequest: the address may not be fetched, or nothing came of it.
            TooLarge: the file holds more.
            Unavailable: the ledger cannot be written.
        """
        target = read_url(url)
        for _ in range(MAX_REDIRECTS + 1):
            self._check_domain(target)
            if self._home is not None:
                note_departure(self._home, purpose="media", host=target.host)
            answer = self._get(target, max_bytes=max_bytes, until_s=until_s)
            if isinstance(answer, bytes):
                return answer
            following = read_url(urljoin(target.url, answer))
            if target.scheme == "https" and following.scheme != "https":
                raise _bad("leads from https to http")
            target = following
        raise _bad(f"leads on more than {MAX_REDIRECTS} times")

    def _check_domain(self, target: Target) -> None:
        domains = self.policy.domains
        if domains and not any(
            target.host == domain or target.host.endswith(f".{domain}") for domain in domains
        ):
            raise Unsupported(
                f"Media are fetched from {', '.join(domains)} only, not from {target.host!r}.",
                code="fetch_not_allowed",
            )

    def _get(self, target: Target, *, max_bytes: int, until_s: float) -> bytes | str:
        """Return the file, or the address that it is said to be at."""
        address = self._address_of(target, until_s=until_s)
        try:
            connected = self._dial((address, target.port), _left_s(until_s))
        except OSError:
            raise _failed() from None
        # A read may wait for as long as the whole, byte after byte: this ends it in time.
        clock = threading.Timer(_left_s(until_s), _hang_up, [connected])
        clock.daemon = True
        clock.start()
        try:
            with closing(_speak(target, connected)) as connection:
                answer = _exchange(connection, target, max_bytes=max_bytes)
                _left_s(until_s)  # what the clock broke off looks like an end
                return answer
        except (OSError, http.client.HTTPException):
            raise _failed() from None
        finally:
            clock.cancel()
            connected.close()

    def _address_of(self, target: Target, *, until_s: float) -> str:
        """Resolve a name once; all it resolves to must be public."""
        answers: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._resolve(target.host, target.port))
            except (OSError, UnicodeError):
                answers.put([])

        threading.Thread(target=ask, daemon=True).start()  # a resolver knows no deadline
        try:
            found = answers.get(timeout=_left_s(until_s))
            addresses = [ipaddress.ip_address(text) for text in found]
        except (queue.Empty, ValueError):
            raise _failed() from None
        if not addresses:
            raise _failed()
        if not all(map(self._may_dial, addresses)):
            raise InvalidRequest(
                "The address does not belong to the public net; send the media themselves.",
                code="fetch_not_allowed",
            )
        return str(addresses[0])


def _speak(target: Target, connected: socket.socket) -> http.client.HTTPConnection:
    """Speak HTTP over a connection that is open already; the host keeps its name."""
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = connected
    if target.scheme == "https":
        context = ssl.create_default_context()
        connection.sock = context.wrap_socket(connected, server_hostname=target.host)
        connection.default_port = target.port
    return connection


def _exchange(
    connection: http.client.HTTPConnection, target: Target, *, max_bytes: int
) -> bytes | str:
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}
    connection.request("GET", target.path, headers=headers)
    with closing(connection.getresponse()) as answer:
        return _read(answer, max_bytes=max_bytes)


def _read(answer: http.client.HTTPResponse, *, max_bytes: int) -> bytes | str:
    if answer.status in REDIRECTS:
        return answer.headers.get("location", "")
    if answer.status != 200 or answer.headers.get("content-encoding", "identity") != "identity":
        raise _failed()
    declared = answer.length
    if declared is not None and declared > max_bytes:
        raise _too_large(max_bytes)
    pieces: list[bytes] = []
    size = 0
    while piece := answer.read1(READ_BYTES):
        size += len(piece)
        if size > max_bytes:
            raise _too_large(max_bytes)
        pieces.append(piece)
    if declared is not None and size < declared:  # the connection broke off
        raise _failed()
    return b"".join(pieces)


def _hang_up(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _left_s(until_s: float) -> float:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise InvalidRequest(
            "The media did not come in time; send them with the request.", code="fetch_timeout"
        )
    return left_s


def _bad(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"The address of the media {what}; send a plain one, or the media themselves.",
        code="invalid_url",
    )


def _failed() -> InvalidRequest:
    # Says neither what answered nor what: it would be a way to look around inside a network.
    return InvalidRequest(
        "The media could not be fetched from their address; send them with the request.",
        code="fetch_failed",
    )


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(
        f"The file at the address holds more than {max_bytes} bytes; send a smaller one."
    )
