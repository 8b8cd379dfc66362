"""`POST /tokenize`, `POST /detokenize` and `POST /apply-template`: to see what a model sees."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core.errors import InvalidRequest
from myna.server.body import read_wire
from myna.server.context import context_of
from myna.server.schemas.tokens import (
    Detokenized,
    DetokenizeRequest,
    Prompt,
    TemplateRequest,
    TokenizeRequest,
    Tokens,
)
from myna.server.translate import chat_input

TOKENIZE = msgspec.json.Decoder(TokenizeRequest)
DETOKENIZE = msgspec.json.Decoder(DetokenizeRequest)
TEMPLATE = msgspec.json.Decoder(TemplateRequest)


async def tokenize(request: Request) -> Response:
    """Cut a text into tokens; none are added."""
    context = context_of(request)
    wire = await read_wire(request, TOKENIZE)
    card = await context.model(wire.model)
    text = wire.content if wire.prompt is None else wire.prompt
    if text is None:
        raise InvalidRequest(
            "`prompt` is missing; it is required.",
            param="prompt",
            code="missing_required_parameter",
        )
    tokens = await context.service.tokenize(text, model=card.id)
    found = Tokens(tokens=tokens, count=len(tokens), max_model_len=card.context_length)
    return _json(found)


async def detokenize(request: Request) -> Response:
    """Put tokens together again."""
    context = context_of(request)
    wire = await read_wire(request, DETOKENIZE)
    card = await context.model(wire.model)
    text = await context.service.detokenize(tuple(wire.tokens), model=card.id)
    return _json(Detokenized(prompt=text, content=text))


async def apply_template(request: Request) -> Response:
    """Write a conversation as the model's prompt."""
    context = context_of(request)
    wire = await read_wire(request, TEMPLATE, may_hold_media=await context.takes_media())
    card = await context.model(wire.model)
    question = await asyncio.to_thread(chat_input, wire, card, context.fetcher)
    prompt = await context.service.render(question, model=card.id)
    return _json(Prompt(prompt=prompt))


def _json(body: Tokens | Detokenized | Prompt) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


routes = [
    Route("/tokenize", tokenize, methods=["POST"]),
    Route("/detokenize", detokenize, methods=["POST"]),
    Route("/apply-template", apply_template, methods=["POST"]),
]
