"""Who may call: keys, short-lived secrets, and which web pages.

Decided on the raw scope, with denial as the default, so that no route can be forgotten.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from urllib.parse import urlsplit

import msgspec

from myna.core.errors import InvalidRequest, Unauthorized
from myna.server.errors import Refused
from myna.server.routes.page import is_page_file
from myna.server.settings import ServerSettings

PUBLIC_PATHS = frozenset({"/", "/livez", "/readyz", "/health"})
REALTIME_PATHS = frozenset({"/v1/realtime", "/api-ws/v1/realtime"})
SUBPROTOCOL_PREFIX = "openai-insecure-api-key."  # what OpenAI's clients send in a browser
SECRET_PREFIX = "ek_"
MAX_SECRETS = 4096
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")

Headers = list[tuple[bytes, bytes]]


def guard(settings: ServerSettings, *, host: str) -> ServerSettings:
    """Fit settings to the address to listen on: loopback knows its names, all else wants a key."""
    if host in LOOPBACK_HOSTS:
        allowed_hosts = settings.allowed_hosts or LOOPBACK_HOSTS
        return msgspec.structs.replace(settings, allowed_hosts=allowed_hosts)
    if not settings.api_keys:
        raise InvalidRequest(
            f"Listening on {host} without a key would let the whole network in; set an API key, "
            "or listen on 127.0.0.1."
        )
    return settings


class ClientSecrets:
    """Make secrets that let a browser open voice sessions for a short while, in a key's place.

    Each is the digest of its owner's key under the name of a random text; none outlives its time.
    """

    def __init__(self) -> None:
        self._owners: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def issue(self, *, owner: str, lifetime_s: float) -> str:
        """Make a secret for `owner`; the oldest of too many is forgotten."""
        secret = SECRET_PREFIX + secrets.token_urlsafe(32)
        self._owners[_digest(secret)] = (owner, time.monotonic() + lifetime_s)
        while len(self._owners) > MAX_SECRETS:
            self._owners.popitem(last=False)
        return secret

    def owner(self, secret: str) -> str | None:
        """Tell whose a secret is, if it is one and still good."""
        owner, good_until_s = self._owners.get(_digest(secret), ("", 0.0))
        return owner if time.monotonic() < good_until_s else None


def check_key(
    path: str,
    headers: Headers,
    settings: ServerSettings,
    client_secrets: ClientSecrets | None = None,
) -> str:
    """Refuse a caller without a valid key, unless the path is public or no key is set.

    Browsers cannot set headers on a WebSocket, so a key may be one of its subprotocols, too.

    Returns:
        The owner of what the caller leaves here: the digest of the key, or nothing without keys.
    """
    if not settings.api_keys:
        return ""
    given = given_key(headers)
    if client_secrets is not None and path in REALTIME_PATHS:
        owner = client_secrets.owner(given)
        if owner is not None:
            return owner
    if _is_known(given, settings.api_keys):
        return _digest(given)
    if is_public(path):
        return ""
    raise Unauthorized("Incorrect API key provided; send `Authorization: Bearer KEY`.")


def is_public(path: str) -> bool:
    """Tell whether an address is open to all: health, and the files of the web app."""
    return path in PUBLIC_PATHS or is_page_file(path)


def given_key(headers: Headers) -> str:
    """Find the key that a caller gives; empty if there is none."""
    scheme, _, given = _header(headers, b"authorization").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    for protocol in _header(headers, b"sec-websocket-protocol").split(","):
        if protocol.strip().startswith(SUBPROTOCOL_PREFIX):
            return protocol.strip().removeprefix(SUBPROTOCOL_PREFIX)
    return ""


def check_browser(headers: Headers, settings: ServerSettings) -> None:
    """Refuse a Host that is not ours and a web page that is not ours."""
    host = _header(headers, b"host")
    hostname = urlsplit(f"//{host}").hostname or ""
    if settings.allowed_hosts is not None and hostname not in settings.allowed_hosts:
        message = f"The Host {host!r} is not served here."
        raise Refused(message, status=403, code="host_not_allowed")
    origin = _header(headers, b"origin")
    if not origin or origin in settings.allowed_origins:
        return
    site = urlsplit(origin)
    if site.netloc and site.netloc == host:
        return
    if hostname in LOOPBACK_HOSTS and site.hostname in LOOPBACK_HOSTS:
        return
    message = f"Pages of {origin!r} may not call this server."
    raise Refused(message, status=403, code="origin_not_allowed")


def cors_headers(headers: Headers, settings: ServerSettings) -> Headers:
    """Let the listed web origins read answers; no other origin gets leave from a browser."""
    origin = _header(headers, b"origin")
    if origin not in settings.allowed_origins:
        return []
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-headers", b"authorization, content-type"),
        (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE"),
        (b"access-control-expose-headers", b"x-request-id, retry-after"),
        (b"vary", b"origin"),
    ]


def is_preflight(method: str, headers: Headers) -> bool:
    """Tell a browser's question, which carries no key, from a call."""
    return method == "OPTIONS" and bool(_header(headers, b"access-control-request-method"))


def _is_known(given: str, keys: tuple[str, ...]) -> bool:
    """Compare digests, all of them, so that time tells nothing."""
    known = [hmac.compare_digest(_digest(given), _digest(key)) for key in keys]
    return any(known)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _header(headers: Headers, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key == name), "")
