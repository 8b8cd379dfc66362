"""`/api/...`: the part of Ollama's interface that its clients need to chat, list and fetch."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna import __version__
from myna.core import requests as core
from myna.core.errors import Conflict, InvalidRequest, RemoteError, Unsupported
from myna.core.service import ModelCard
from myna.server.body import read_wire
from myna.server.context import context_of, request_key
from myna.server.downloads import Downloads, Job
from myna.server.ollama import (
    LINES,
    AnswerWriter,
    chat_of,
    constraint_of,
    plain_name,
    prompt_of,
    sampling_of,
    time_text,
)
from myna.server.render import encode, events_of
from myna.server.routes.embeddings import no_embeddings
from myna.server.schemas.ollama import (
    Asked,
    GenerateRequest,
    ModelDetails,
    NameRequest,
    OllamaChatRequest,
    PullStatus,
    Shown,
    Tag,
    TagList,
    VersionObject,
)
from myna.server.sse import EventStream, WholeAnswer

CHAT = msgspec.json.Decoder(OllamaChatRequest)
GENERATE = msgspec.json.Decoder(GenerateRequest)
NAMED = msgspec.json.Decoder(NameRequest)
PROTOCOL_VERSION = "0.12.0"  # of the Ollama whose protocol this is; clients want it new enough
PULL_TIMEOUT_S = 24 * 3600.0
NEVER = "9999-12-31T23:59:59Z"
CAPABILITIES = {"image": "vision", "audio": "audio"}


async def chat(request: Request) -> Response:
    """Answer a conversation."""
    context = context_of(request)
    wire = await read_wire(request, CHAT, may_hold_media=await context.takes_media())
    card = await context.model(plain_name(wire.model))
    writer = AnswerWriter(wire.model, is_chat=True)
    if not wire.messages:
        return Response(writer.loaded(), media_type="application/json")
    if not card.has_chat_template:
        raise Unsupported(f"The model {card.id!r} has no chat template; use /api/generate.")
    question = await asyncio.to_thread(chat_of, wire, card)
    return _answer(request, wire, card, question, writer)


async def generate(request: Request) -> Response:
    """Answer a prompt."""
    context = context_of(request)
    wire = await read_wire(request, GENERATE, may_hold_media=await context.takes_media())
    card = await context.model(plain_name(wire.model))
    writer = AnswerWriter(wire.model, is_chat=False)
    if not wire.prompt:
        return Response(writer.loaded(), media_type="application/json")
    question = await asyncio.to_thread(prompt_of, wire, card)
    return _answer(request, wire, card, question, writer)


def _answer(
    request: Request,
    wire: Asked,
    card: ModelCard,
    question: core.ChatInput | core.TextInput,
    writer: AnswerWriter,
) -> Response:
    settings = context_of(request).settings
    asked = core.Request(
        id=core.RequestId(f"req_{request_key(request)}"),
        model=card.id,
        input=question,
        sampling=sampling_of(wire.options),
        constraint=constraint_of(wire),
        deadline_s=settings.deadline_s,
    )
    events = events_of(context_of(request).service, asked)
    if wire.stream is False:
        return WholeAnswer(partial(writer.whole, events), timeout_s=settings.timeout_s)
    return EventStream(
        writer.pieces(events),
        ping_s=settings.ping_s,
        timeout_s=settings.timeout_s,
        request_id=asked.id,
        framing=LINES,
    )


async def tags(request: Request) -> Response:
    """List the models that are here."""
    context = context_of(request)
    served = [_tag(card) for card in await context.service.models()]
    names = {tag.name for tag in served}
    if context.models_control is not None:
        titles = await asyncio.to_thread(context.models_control.library.titles)
        served += [
            _tag(ModelCard(id=title.id, family="", context_length=0, created_s=0), title.num_bytes)
            for title in titles
            if title.path is not None and title.id not in names
        ]
    return _json(TagList(models=served))


async def running(request: Request) -> Response:
    """List the models that are loaded."""
    loaded = [_tag(card) for card in await context_of(request).service.models()]
    for tag in loaded:
        tag.expires_at, tag.size_vram = NEVER, 0
    return _json(TagList(models=loaded))


async def show(request: Request) -> Response:
    """Tell what is known about a loaded model."""
    wire = await read_wire(request, NAMED)
    card = await context_of(request).model(_name(wire))
    thinks = "reasoning" in card.capabilities
    return _json(
        Shown(
            details=_details(card),
            model_info={
                "general.architecture": card.family,
                f"{card.family}.context_length": card.context_length,
            },
            capabilities=[
                "completion",
                *(["tools"] if card.has_chat_template else []),
                *(["thinking"] if thinks else []),
                *(word for kind, word in CAPABILITIES.items() if kind in card.inputs),
            ],
            modified_at=time_text(card.created_s),
        )
    )


async def pull(request: Request) -> Response:
    """Fetch a model, telling how it comes along."""
    context = context_of(request)
    downloads = context.control().downloads
    wire = await read_wire(request, NAMED)
    job = await downloads.start(_name(wire))
    events = pull_events(downloads, job)
    if wire.stream is not False:
        return EventStream(
            events,
            ping_s=context.settings.ping_s,
            timeout_s=PULL_TIMEOUT_S,
            request_id=f"req_{request_key(request)}",
            framing=LINES,
        )
    return WholeAnswer(partial(_last, events), timeout_s=PULL_TIMEOUT_S)


async def delete(request: Request) -> Response:
    """Delete a model from this machine."""
    control = context_of(request).control()
    await control.delete(_name(await read_wire(request, NAMED)))
    return Response(status_code=200)


async def embed(request: Request) -> Response:
    """Refuse: vectors are not made up where no model makes them."""
    wire = await read_wire(request, NAMED)
    card = await context_of(request).model(_name(wire))
    raise no_embeddings(card)


async def version(request: Request) -> Response:
    """Name the protocol."""
    return _json(VersionObject(version=PROTOCOL_VERSION, server=f"myna {__version__}"))


async def pull_events(downloads: Downloads, job: Job) -> AsyncGenerator[bytes, None]:
    """Write how a download comes along."""
    yield encode(PullStatus(status="pulling manifest"))
    digest = digest_of(job.model_id)
    async with aclosing(downloads.watch(job)) as states:
        async for state in states:
            if state.total_bytes:
                yield encode(
                    PullStatus(
                        status=f"pulling {digest[7:19]}",
                        digest=digest,
                        total=state.total_bytes,
                        completed=state.downloaded_bytes,
                    )
                )
    if job.error is not None:
        raise RemoteError(job.error)
    if job.status != "completed":
        raise Conflict(f"The download of {job.model_id!r} was cancelled.")
    yield encode(PullStatus(status="success"))


def digest_of(model_id: str) -> str:
    """Make an identifier as long as Ollama's; it tells models apart, and no more."""
    return "sha256:" + hashlib.sha256(model_id.encode()).hexdigest()


async def _last(events: AsyncGenerator[bytes, None]) -> bytes:
    body = b""
    async with aclosing(events):
        async for event in events:
            body = event
    return body


def _name(wire: NameRequest) -> str:
    name = plain_name(wire.model or wire.name)
    if not name:
        raise InvalidRequest(
            "`model` is missing; it is required.",
            param="model",
            code="missing_required_parameter",
        )
    return name


def _tag(card: ModelCard, num_bytes: int | None = None) -> Tag:
    return Tag(
        name=card.id,
        model=card.id,
        modified_at=time_text(card.created_s),
        size=num_bytes or card.size_bytes or 0,
        digest=digest_of(card.id).removeprefix("sha256:"),
        details=_details(card),
    )


def _details(card: ModelCard) -> ModelDetails:
    return ModelDetails(
        family=card.family,
        families=[card.family] if card.family else [],
        quantization_level=card.quantization or "",
    )


def _json(body: TagList | Shown | VersionObject) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


routes = [
    Route("/api/chat", chat, methods=["POST"]),
    Route("/api/generate", generate, methods=["POST"]),
    Route("/api/tags", tags),
    Route("/api/ps", running),
    Route("/api/show", show, methods=["POST"]),
    Route("/api/pull", pull, methods=["POST"]),
    Route("/api/delete", delete, methods=["DELETE"]),
    Route("/api/embed", embed, methods=["POST"]),
    Route("/api/version", version),
]
