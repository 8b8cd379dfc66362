"""`/v1/realtime`, its client secrets, and DashScope's address of the same."""

from __future__ import annotations

import time
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from myna.server.auth import given_key
from myna.server.body import read_wire
from myna.server.context import context_of, owner_of, request_key
from myna.server.realtime.carrier import Carrier
from myna.server.realtime.dialects import BETA, DASHSCOPE, GA, Dialect
from myna.server.realtime.session import Call, Session
from myna.server.schemas.parse import field_error

SUBPROTOCOL = "realtime"
BETA_HEADER = "realtime=v1"
BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
SECRET_LIFETIME_S = 600


class ExpiresAfter(msgspec.Struct, kw_only=True):
    """How long a client secret is good for."""

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=10, le=7200)] = SECRET_LIFETIME_S


class SecretRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/realtime/client_secrets`."""

    expires_after: ExpiresAfter | None = None
    session: msgspec.Raw | UnsetType = UNSET


class SecretAnswer(msgspec.Struct, kw_only=True):
    """A client secret, and the set-up of the calls that begin with it."""

    value: str
    expires_at: int
    session: dict[str, object]


class _Model(msgspec.Struct):
    """Peeks at the one field of a session that is settled before all others."""

    model: str | None = None


DECODER = msgspec.json.Decoder(SecretRequest)


async def create_secret(request: Request) -> Response:
    """Make a short-lived key for a browser."""
    context = context_of(request)
    wire = await read_wire(request, DECODER)
    raw = bytes(wire.session) if wire.session is not UNSET else b"{}"
    try:
        named = msgspec.json.decode(raw, type=_Model).model
    except msgspec.ValidationError as error:
        raise field_error(str(error)) from None
    card = await context.model(named)
    config = GA.read_session(raw, GA.begin(card), card, limits=context.settings.limits)
    lifetime_s = (wire.expires_after or ExpiresAfter()).seconds
    expires_at = int(time.time()) + lifetime_s
    session_id = f"sess_{request_key(request)}"
    secret = context.client_secrets.issue(owner=owner_of(request), lifetime_s=lifetime_s)
    context.calls.preset(secret, config)
    answer = SecretAnswer(
        value=secret,
        expires_at=expires_at,
        session=GA.session(config, session_id=session_id, expires_at=expires_at).fields,
    )
    return Response(msgspec.json.encode(answer), media_type="application/json")


async def talk(websocket: WebSocket) -> None:
    """Carry a call in OpenAI's dialects; the first change of the session tells which."""
    offers = websocket.scope["subprotocols"]
    is_beta = BETA_HEADER in websocket.headers.get("openai-beta", "") or BETA_SUBPROTOCOL in offers
    await _carry(websocket, BETA if is_beta else GA, is_known=is_beta)


async def talk_dashscope(websocket: WebSocket) -> None:
    """Carry a call in DashScope's dialect."""
    await _carry(websocket, DASHSCOPE, is_known=True)


async def _carry(websocket: WebSocket, dialect: Dialect, *, is_known: bool) -> None:
    context = context_of(websocket)
    calls = context.calls
    config = calls.config_of(given_key(websocket.scope["headers"]))
    name = websocket.query_params.get("model") or (config.model if config else None)
    card = await context.model(name)
    with calls.admit(owner_of(websocket), is_draining=context.gate.is_draining):
        call = Call(
            key=request_key(websocket),
            card=card,
            dialect=dialect,
            is_dialect_known=is_known,
            limits=calls.limits,
            wire_limits=context.settings.limits,
            deadline_s=context.settings.deadline_s,
            make_finder=calls.make_finder,
            unix_s=time.time(),
        )
        session = Session(call, now_s=time.monotonic(), config=config)
        offers = websocket.scope["subprotocols"]
        await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offers else None)
        await Carrier(websocket, session, context, limits=calls.limits).run()


routes = [
    Route("/v1/realtime/client_secrets", create_secret, methods=["POST"]),
    WebSocketRoute("/v1/realtime", talk),
    WebSocketRoute("/api-ws/v1/realtime", talk_dashscope),
]
