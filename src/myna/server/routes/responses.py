"""`/v1/responses`: answers that can be continued by their id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core import requests as core
from myna.core.messages import Message, TextPart
from myna.core.service import ModelCard
from myna.server.body import read_wire
from myna.server.context import context_of, owner_of, request_key
from myna.server.kept import Kept
from myna.server.render import encode, events_of
from myna.server.render_responses import ResponseWriter, response_events, whole_response
from myna.server.schemas.responses import (
    DeletedObject,
    InputItemList,
    InputItemObject,
    InputTextObject,
    InputTokens,
    Reasoning,
    ResponseObject,
    ResponsesRequest,
    TextFormat,
    TextOptions,
)
from myna.server.sse import EventStream, Framing, WholeAnswer, named_frame
from myna.server.translate import sampling_params
from myna.server.translate_responses import (
    answered,
    check_unsupported,
    response_constraint,
    response_input,
    response_logprobs,
    tool_objects,
)

DECODER = msgspec.json.Decoder(ResponsesRequest)


class Ended(msgspec.Struct):
    """Peek at how a kept response ended."""

    status: str


async def create_response(request: Request) -> Response:
    """Answer an input, whole or as a stream."""
    context = context_of(request)
    settings = context.settings
    wire, card, past = await _read(request)
    key, owner = request_key(request), owner_of(request)
    question = await asyncio.to_thread(response_input, wire, card, past, context.fetcher)
    asked = core.Request(
        id=core.RequestId(f"req_{key}"),
        model=card.id,
        input=question,
        sampling=sampling_params(
            wire, logprobs=response_logprobs(wire), max_tokens=wire.max_output_tokens
        ),
        constraint=response_constraint(wire),
        thinking_budget=wire.thinking_budget,
        deadline_s=settings.deadline_s,
    )
    turns = question.messages[1 if wire.instructions else 0 :]

    def keep(response: ResponseObject) -> None:
        if wire.store is False:
            return
        kept = Kept(
            owner=owner,
            body=encode(response),
            past=turns + answered(response),
            num_new=len(turns) - len(past),
        )
        context.kept.keep(response.id, kept)

    writer = ResponseWriter(_heading(wire, card, key), key=key)
    events = events_of(context.service, asked)
    if wire.stream:
        return EventStream(
            response_events(writer, events, keep=keep, request_id=asked.id),
            ping_s=settings.ping_s,
            timeout_s=settings.timeout_s,
            request_id=asked.id,
            framing=writer.framing,
        )
    return WholeAnswer(
        partial(whole_response, writer, events, keep=keep), timeout_s=settings.timeout_s
    )


async def count_input_tokens(request: Request) -> Response:
    """Count the tokens of an input, without answering it."""
    context = context_of(request)
    wire, card, past = await _read(request)
    question = await asyncio.to_thread(response_input, wire, card, past, context.fetcher)
    prompt = await context.service.render(question, model=card.id)
    token_ids = await context.service.tokenize(prompt, model=card.id)
    return _json(InputTokens(input_tokens=len(token_ids)))


async def retrieve_response(request: Request) -> Response:
    """Give a kept response again; as a stream, it comes in one event."""
    context = context_of(request)
    kept = context.kept.get(_id(request), owner=owner_of(request))
    if request.query_params.get("stream") != "true":
        return Response(kept.body, media_type="application/json")
    return EventStream(
        _replayed(kept.body),
        ping_s=context.settings.ping_s,
        timeout_s=context.settings.timeout_s,
        request_id=f"req_{request_key(request)}",
        framing=Framing(frame=named_frame),
    )


async def delete_response(request: Request) -> Response:
    """Forget a kept response."""
    context_of(request).kept.forget(_id(request), owner=owner_of(request))
    return _json(DeletedObject(id=_id(request), object="response"))


async def cancel_response(request: Request) -> Response:
    """Give the response as it is: all that are kept have ended already."""
    kept = context_of(request).kept.get(_id(request), owner=owner_of(request))
    return Response(kept.body, media_type="application/json")


async def list_input_items(request: Request) -> Response:
    """List what a kept response answered; media are named, not repeated."""
    kept = context_of(request).kept.get(_id(request), owner=owner_of(request))
    end = len(kept.past) - 1
    items = []
    for number, turn in enumerate(kept.past[end - kept.num_new : end]):
        items += _items(turn, f"{_id(request).removeprefix('resp_')}_{number}")
    items.reverse()  # the newest first, as OpenAI lists them
    first, last = (items[0].id, items[-1].id) if items else ("", "")
    return _json(InputItemList(data=items, first_id=first, last_id=last))


async def _replayed(body: bytes) -> AsyncGenerator[bytes, None]:
    """Tell how a response ended, as its last event did."""
    status = msgspec.json.decode(body, type=Ended).status
    yield b'{"type":"response.%s","sequence_number":0,"response":%s}' % (status.encode(), body)


async def _read(request: Request) -> tuple[ResponsesRequest, ModelCard, tuple[Message, ...]]:
    """Read the body; find the model that is asked, and the turns that went before."""
    context = context_of(request)
    wire = await read_wire(request, DECODER, may_hold_media=await context.takes_media())
    card = await context.model(wire.model)
    check_unsupported(wire)
    past: tuple[Message, ...] = ()
    if wire.previous_response_id is not None:
        kept = context.kept.get(
            wire.previous_response_id, owner=owner_of(request), param="previous_response_id"
        )
        past = kept.past
    return wire, card, past


def _heading(wire: ResponsesRequest, card: ModelCard, key: str) -> ResponseObject:
    """Write down what is known before the answer."""
    asked = wire.text or TextOptions()
    return ResponseObject(
        id=f"resp_{key}",
        created_at=int(time.time()),
        model=card.id,
        instructions=wire.instructions,
        max_output_tokens=wire.max_output_tokens,
        metadata=wire.metadata or {},
        parallel_tool_calls=wire.parallel_tool_calls is not False,
        previous_response_id=wire.previous_response_id,
        reasoning=wire.reasoning or Reasoning(),
        store=wire.store is not False,
        temperature=wire.temperature,
        text=msgspec.structs.replace(asked, format=asked.format or TextFormat(type="text")),
        tool_choice=wire.tool_choice or "auto",
        tools=tool_objects(wire),
        top_p=wire.top_p,
        output=[],
    )


def _items(turn: Message, key: str) -> list[InputItemObject]:
    """Write a turn as the items that it was given as."""
    if turn.role == "tool":
        return [
            InputItemObject(
                id=f"fco_{key}",
                type="function_call_output",
                call_id=turn.tool_call_id or "",
                output=turn.text,
            )
        ]
    items = [
        InputItemObject(
            id=f"fc_{key}_{number}",
            type="function_call",
            call_id=call.id,
            name=call.name,
            arguments=call.arguments,
        )
        for number, call in enumerate(turn.tool_calls)
    ]
    if turn.content:
        kind = "output_text" if turn.role == "assistant" else "input_text"
        content = [
            InputTextObject(type=kind, text=part.text)
            if isinstance(part, TextPart)
            else InputTextObject(type=f"input_{type(part).__name__.removesuffix('Part').lower()}")
            for part in turn.content
        ]
        said = InputItemObject(id=f"msg_{key}", type="message", role=turn.role, content=content)
        items.insert(0, said)
    return items


def _id(request: Request) -> str:
    name = request.path_params["response_id"]
    assert isinstance(name, str)
    return name


def _json(body: DeletedObject | InputItemList | InputTokens) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


routes = [
    Route("/v1/responses", create_response, methods=["POST"]),
    Route("/v1/responses/input_tokens", count_input_tokens, methods=["POST"]),
    Route("/v1/responses/{response_id}", retrieve_response),
    Route("/v1/responses/{response_id}", delete_response, methods=["DELETE"]),
    Route("/v1/responses/{response_id}/cancel", cancel_response, methods=["POST"]),
    Route("/v1/responses/{response_id}/input_items", list_input_items),
]
