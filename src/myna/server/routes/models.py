"""`GET /v1/models` and `GET /v1/models/{id}`."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core.service import ModelCard
from myna.server.context import context_of
from myna.server.schemas.answers import Modalities, ModelList, ModelObject
from myna.server.schemas.responses import DeletedObject


async def list_models(request: Request) -> Response:
    """List what is served; empty while loading."""
    cards = await context_of(request).service.models()
    return _json(ModelList(data=[model_object(card) for card in cards]))


async def retrieve_model(request: Request) -> Response:
    """Describe one model, under the name that was asked for."""
    name = request.path_params["model_id"]
    card = await context_of(request).model(name)
    return _json(model_object(card, name=name))


async def delete_model(request: Request) -> Response:
    """Delete a model from this machine, if it is not loaded."""
    name = request.path_params["model_id"]
    await context_of(request).control().delete(name)
    return Response(
        msgspec.json.encode(DeletedObject(id=name, object="model")), media_type="application/json"
    )


def model_object(card: ModelCard, *, name: str | None = None) -> ModelObject:
    """Translate a model's card."""
    return ModelObject(
        id=name or card.id,
        created=card.created_s,
        owned_by=card.owned_by,
        modalities=Modalities(input=card.inputs, output=card.outputs),
        context_length=card.context_length,
        capabilities=card.capabilities,
        voices=card.voices,
        quantization=card.quantization,
        size_bytes=card.size_bytes,
    )


def _json(body: ModelList | ModelObject) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


routes = [
    Route("/v1/models", list_models),
    Route("/v1/models/{model_id:path}", retrieve_model),
    Route("/v1/models/{model_id:path}", delete_model, methods=["DELETE"]),
]
