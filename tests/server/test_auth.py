"""Keys, hosts and origins."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.routing import WebSocketRoute

from myna.core.echo import EchoService
from myna.core.errors import InvalidRequest, Unauthorized
from myna.server.app import create_app
from myna.server.auth import (
    LOOPBACK_HOSTS,
    PUBLIC_PATHS,
    ClientSecrets,
    check_browser,
    check_key,
    guard,
)
from myna.server.errors import Refused
from myna.server.routes import page
from myna.server.settings import ServerSettings

KEYED = ServerSettings(api_keys=("first", "sécond"))
LOOPBACK = ServerSettings(allowed_hosts=LOOPBACK_HOSTS, allowed_origins=("https://friend.example",))


def bearer(key: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {key}".encode("latin-1"))]


@pytest.mark.parametrize("key", ["first", " first "])
def test_a_known_key_passes(key: str) -> None:
    check_key("/v1/models", bearer(key), KEYED)


@pytest.mark.parametrize(
    "headers", [[], bearer(""), bearer("third"), [(b"authorization", b"Basic first")]]
)
def test_without_a_known_key_the_call_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Unauthorized, match=r"Incorrect API key provided; send `Authorization"):
        check_key("/v1/models", headers, KEYED)


def test_any_key_passes_where_none_is_set() -> None:
    check_key("/v1/models", bearer("EMPTY"), ServerSettings())


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/health"])
def test_health_and_the_page_are_public(path: str) -> None:
    check_key(path, [], KEYED)


@pytest.mark.parametrize("path", ["", "//", "/livez/", "//livez", "/LIVEZ", "/v1/../livez"])
def test_what_only_looks_public_is_not(path: str) -> None:
    with pytest.raises(Unauthorized):
        check_key(path, [], KEYED)


async def test_every_route_but_the_public_ones_wants_a_key() -> None:
    app = create_app(EchoService(), settings=KEYED)
    routes = {route.path for route in app.router.routes} | {"/no/such/route", "/assets/none.js"}
    paths = routes - {route.path for route in page.routes}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        for path in paths - PUBLIC_PATHS:
            for method in ("GET", "POST", "HEAD", "OPTIONS", "DELETE"):
                answer = await client.request(method, f"http://testserver{path}")
                assert answer.status_code == 401, (method, path)


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000"])
def test_loopback_hosts_are_ours(host: str) -> None:
    check_browser([(b"host", host.encode())], LOOPBACK)


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1.evil.example", "localhost@evil"])
def test_other_hosts_are_refused(host: str) -> None:
    with pytest.raises(Refused, match=r"The Host .* is not served here"):
        check_browser([(b"host", host.encode())], LOOPBACK)


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:8000", "http://127.0.0.1:3000", "https://friend.example"],
)
def test_own_local_and_listed_origins_pass(origin: str) -> None:
    check_browser([(b"host", b"localhost:8000"), (b"origin", origin.encode())], LOOPBACK)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil"])
def test_other_origins_are_refused(origin: str) -> None:
    with pytest.raises(Refused, match=r"Pages of .* may not call this server"):
        check_browser([(b"host", b"localhost:8000"), (b"origin", origin.encode())], LOOPBACK)


def test_a_page_of_the_server_itself_passes_under_any_name() -> None:
    headers = [(b"host", b"box.lan:8000"), (b"origin", b"http://box.lan:8000")]
    check_browser(headers, ServerSettings())


@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
def test_on_loopback_only_its_own_names_are_served(host: str) -> None:
    assert guard(ServerSettings(), host=host).allowed_hosts == LOOPBACK_HOSTS
    chosen = ServerSettings(allowed_hosts=("box.lan",))
    assert guard(chosen, host=host).allowed_hosts == ("box.lan",)


def test_beyond_loopback_a_key_is_needed() -> None:
    assert guard(KEYED, host="0.0.0.0") is KEYED
    with pytest.raises(InvalidRequest, match=r"Listening on 0.0.0.0 without a key would let"):
        guard(ServerSettings(), host="0.0.0.0")


@pytest.mark.parametrize(
    ("origin", "status", "allowed"),
    [
        ("https://friend.example", 204, "https://friend.example"),
        ("https://evil.example", 403, None),
        ("http://testserver", 401, None),
    ],
)
async def test_only_listed_origins_get_leave_from_a_browser(
    origin: str, status: int, allowed: str | None
) -> None:
    settings = ServerSettings(api_keys=("k",), allowed_origins=("https://friend.example",))
    transport = httpx.ASGITransport(create_app(EchoService(), settings=settings))
    ask = {"origin": origin, "access-control-request-method": "POST"}
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        answer = await client.options("/v1/chat/completions", headers=ask)
        assert answer.status_code == status
        assert answer.headers.get("access-control-allow-origin") == allowed
        call = await client.post("/v1/chat/completions", headers={"origin": origin})
        assert call.status_code in (401, 403)
        assert call.headers.get("access-control-allow-origin") == allowed


async def test_leave_for_a_question_is_no_leave_for_a_call() -> None:
    settings = ServerSettings(api_keys=("k",), allowed_origins=("https://friend.example",))
    transport = httpx.ASGITransport(create_app(EchoService(), settings=settings))
    ask = {"origin": "https://friend.example", "access-control-request-method": "GET"}
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        assert (await client.get("/v1/models", headers=ask)).status_code == 401


def test_a_key_may_be_a_subprotocol_where_headers_cannot_be_set() -> None:
    headers = [(b"sec-websocket-protocol", b"realtime, openai-insecure-api-key.first")]
    assert check_key("/v1/realtime", headers, KEYED) == check_key("/v1", bearer("first"), KEYED)
    with pytest.raises(Unauthorized):
        check_key("/v1/realtime", [(b"sec-websocket-protocol", b"realtime")], KEYED)


def test_a_client_secret_opens_voice_sessions_alone_and_not_for_long() -> None:
    issued = ClientSecrets()
    secret = issued.issue(owner="me", lifetime_s=60.0)
    assert secret.startswith("ek_")
    assert check_key("/v1/realtime", bearer(secret), KEYED, issued) == "me"
    stale = issued.issue(owner="me", lifetime_s=0.0)
    for path, key in (("/v1/models", secret), ("/v1/realtime", stale), ("/v1/realtime", "ek_x")):
        with pytest.raises(Unauthorized):
            check_key(path, bearer(key), KEYED, issued)


def test_too_many_client_secrets_push_out_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("myna.server.auth.MAX_SECRETS", 1)
    issued = ClientSecrets()
    first, second = (issued.issue(owner="me", lifetime_s=60.0) for _ in range(2))
    assert (issued.owner(first), issued.owner(second)) == (None, "me")


def test_owners_of_different_keys_differ() -> None:
    assert check_key("/v1", bearer("first"), ServerSettings()) == ""
    assert check_key("/livez", [], KEYED) == ""
    owners = {check_key("/v1", bearer(key), KEYED) for key in ("first", "first", "s\xe9cond")}
    assert len(owners) == 2


async def test_every_websocket_wants_a_key() -> None:
    app = create_app(EchoService(), settings=KEYED)
    routes = [route for route in app.router.routes if isinstance(route, WebSocketRoute)]
    assert routes
    for path in (*(route.path for route in routes), "/no/such/socket"):
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any], sent: list[dict[str, Any]] = sent) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        for headers in ([], bearer("third"), [(b"sec-websocket-protocol", b"realtime")]):
            scope = {
                "type": "websocket",
                "path": path,
                "headers": headers,
                "query_string": b"",
                "subprotocols": [],
                "extensions": {"websocket.http.response": {}},
            }
            await app(scope, receive, send)
            start, *_ = sent
            assert start["type"] != "websocket.accept", path
            assert start.get("status") == 401, (path, start)
            sent.clear()
