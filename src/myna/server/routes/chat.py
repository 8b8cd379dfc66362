"""`POST /v1/chat/completions`."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core import requests as core
from myna.core.errors import InvalidRequest
from myna.server.body import read_wire
from myna.server.context import context_of, owner_of, request_key
from myna.server.kept import KeptChat
from myna.server.render import Heading, chat_chunks, events_of, kept_chat, whole_chat
from myna.server.schemas.answers import ChatCompletion
from myna.server.schemas.chat import ChatRequest
from myna.server.speech import spoken_chat
from myna.server.sse import EventStream, WholeAnswer
from myna.server.translate import chat_input, constraint, sampling_params

DECODER = msgspec.json.Decoder(ChatRequest)


async def create_chat_completion(request: Request) -> Response:
    """Answer a conversation, whole or as a stream."""
    context = context_of(request)
    settings = context.settings
    wire = await read_wire(request, DECODER, may_hold_media=await context.takes_media())
    card = await context.model(wire.model)
    key = request_key(request)
    spoken = spoken_chat(wire, card)
    # Media are decoded from base64, which takes a while for a long clip.
    question = await asyncio.to_thread(chat_input, wire, card, context.fetcher)
    asked = core.Request(
        id=core.RequestId(f"req_{key}"),
        model=card.id,
        input=question,
        sampling=sampling_params(
            wire,
            logprobs=_logprobs(wire),
            max_tokens=_first(wire.max_completion_tokens, wire.max_tokens),
        ),
        num_choices=_first(wire.n, 1) or 1,
        constraint=constraint(wire.response_format, wire.structured_outputs),
        thinking_budget=wire.thinking_budget,
        deadline_s=settings.deadline_s,
        speech=spoken.speech if spoken else None,
    )
    heading = Heading(
        id=f"chatcmpl-{key}",
        model=card.id,
        num_choices=asked.num_choices,
        has_logprobs=asked.sampling.logprobs is not None,
        has_usage=wire.stream_options is not None and wire.stream_options.include_usage is True,
        spoken=spoken,
    )
    events = events_of(context.service, asked)
    if wire.store:
        owner = owner_of(request)

        def keep(completion: ChatCompletion) -> None:
            completion.metadata = wire.metadata or {}
            kept = KeptChat(owner=owner, completion=completion, turns=question.messages)
            context.chats.keep(completion.id, kept)

        events = kept_chat(heading, events, keep)
    if wire.stream:
        chunks = chat_chunks(heading, events)
        return EventStream(
            chunks, ping_s=settings.ping_s, timeout_s=settings.timeout_s, request_id=asked.id
        )
    return WholeAnswer(lambda: whole_chat(heading, events), timeout_s=settings.timeout_s)


def _logprobs(wire: ChatRequest) -> int | None:
    if wire.logprobs:
        return wire.top_logprobs or 0
    if wire.top_logprobs:
        raise InvalidRequest("`top_logprobs` needs `logprobs` to be true.", param="top_logprobs")
    return None


def _first(value: int | None, otherwise: int | None) -> int | None:
    return otherwise if value is None else value


routes = [Route("/v1/chat/completions", create_chat_completion, methods=["POST"])]
