"""The description of all addresses."""

from __future__ import annotations

from typing import Any

import httpx
from starlette.routing import Route

from myna.core.echo import EchoService
from myna.server.app import create_app
from myna.server.openapi import key_of
from myna.server.routes.description import BODIES

# What takes no body though its method may have one.
BODILESS = {
    "models.delete_model",
    "responses.cancel_response",
    "responses.delete_response",
    "stored_chats.delete_chat",
    "images.refuse_generation",
    "conversations.delete",
    "conversations.bring_back",
    "conversations.keep_file",
}


async def described(client: httpx.AsyncClient) -> Any:
    return (await client.get("/openapi.json")).json()


async def test_every_route_is_described(client: httpx.AsyncClient) -> None:
    paths = (await described(client))["paths"]
    chat = paths["/v1/chat/completions"]["post"]
    assert chat["summary"] == "Answer a conversation, whole or as a stream."
    schema = chat["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/ChatRequest"}
    (parameter,) = paths["/v1/models/{model_id}"]["get"]["parameters"]
    assert (parameter["name"], parameter["in"]) == ("model_id", "path")
    assert "security" not in paths["/livez"]["get"]
    heard = paths["/v1/audio/transcriptions"]["post"]["requestBody"]["content"]
    assert heard["multipart/form-data"]["schema"]["allOf"][1]["required"] == ["file"]


async def test_every_reference_leads_somewhere(client: httpx.AsyncClient) -> None:
    whole = await described(client)
    names = {f"#/components/schemas/{name}" for name in whole["components"]["schemas"]}

    def check(value: Any) -> None:
        if isinstance(value, dict):
            assert value.get("$ref", next(iter(names))) in names
            for inner in value.values():
                check(inner)
        elif isinstance(value, list):
            for inner in value:
                check(inner)

    check(whole)


def test_every_body_belongs_to_a_route_and_every_route_that_takes_one_has_it() -> None:
    routes = [
        route for route in create_app(EchoService()).router.routes if isinstance(route, Route)
    ]
    keys = {key_of(route) for route in routes}
    assert set(BODIES) <= keys
    takers = {
        key_of(route).removeprefix("myna.server.routes.")
        for route in routes
        if (route.methods or set()) & {"POST", "PATCH", "PUT", "DELETE"}
        and key_of(route) not in BODIES
    }
    assert takers <= BODILESS, takers - BODILESS
