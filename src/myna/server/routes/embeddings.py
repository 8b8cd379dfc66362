"""`POST /v1/embeddings`: refused with the reason, for vectors are not made up."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core.errors import Unsupported
from myna.core.service import ModelCard
from myna.server.body import read_wire
from myna.server.context import context_of
from myna.server.schemas.sampling import Name


class EmbeddingRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/embeddings`, as far as it is looked at."""

    model: Name | None = None


DECODER = msgspec.json.Decoder(EmbeddingRequest)


async def create_embedding(request: Request) -> Response:
    """Refuse."""
    wire = await read_wire(request, DECODER)
    raise no_embeddings(await context_of(request).model(wire.model))


def no_embeddings(card: ModelCard) -> Unsupported:
    """Say that a model writes and does not measure."""
    return Unsupported(
        f"{card.id!r} answers with {', '.join(card.outputs)}; it makes no embeddings.",
        param="model",
    )


routes = [Route("/v1/embeddings", create_embedding, methods=["POST"])]
