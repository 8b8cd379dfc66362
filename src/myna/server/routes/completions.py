"""`POST /v1/completions`."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core import requests as core
from myna.core.errors import InvalidRequest, Unsupported
from myna.server.body import read_wire
from myna.server.context import context_of, request_key
from myna.server.render import Heading, events_of
from myna.server.render_text import text_chunks, whole_text
from myna.server.schemas.completions import CompletionRequest
from myna.server.sse import EventStream, WholeAnswer
from myna.server.translate import constraint, raw_inputs, sampling_params

DECODER = msgspec.json.Decoder(CompletionRequest)
DEFAULT_MAX_TOKENS = 16  # OpenAI's default for this route.


async def create_completion(request: Request) -> Response:
    """Continue one prompt or several, whole or as a stream."""
    context = context_of(request)
    settings = context.settings
    wire = await read_wire(request, DECODER)
    card = await context.model(wire.model)
    check_legacy_fields(wire)
    inputs = raw_inputs(wire)
    if len(inputs) > settings.limits.max_prompts:
        raise InvalidRequest(
            f"`prompt` holds {len(inputs)} prompts; at most {settings.limits.max_prompts} are "
            "taken at once.",
            param="prompt",
        )
    key = request_key(request)
    max_tokens = DEFAULT_MAX_TOKENS if wire.max_tokens is None else wire.max_tokens
    sampling = sampling_params(wire, logprobs=wire.logprobs, max_tokens=max_tokens)
    heading = Heading(
        id=f"cmpl-{key}",
        model=card.id,
        num_choices=wire.n or 1,
        has_logprobs=wire.logprobs is not None,
        has_usage=wire.stream_options is not None and wire.stream_options.include_usage is True,
    )
    streams = [
        events_of(
            context.service,
            core.Request(
                id=core.RequestId(f"req_{key}-{idx}"),
                model=card.id,
                input=prompt,
                sampling=sampling,
                num_choices=heading.num_choices,
                constraint=constraint(None, wire.structured_outputs),
                deadline_s=settings.deadline_s,
            ),
        )
        for idx, prompt in enumerate(inputs)
    ]
    if wire.stream:
        chunks = text_chunks(heading, streams)
        return EventStream(
            chunks, ping_s=settings.ping_s, timeout_s=settings.timeout_s, request_id=f"req_{key}"
        )
    return WholeAnswer(lambda: whole_text(heading, streams), timeout_s=settings.timeout_s)


def check_legacy_fields(wire: CompletionRequest) -> None:
    """Refuse what no model here can do."""
    if wire.suffix:
        raise Unsupported("`suffix` is not supported; leave it out.", param="suffix")
    if wire.best_of is not None and wire.best_of > (wire.n or 1):
        raise Unsupported(
            f"`best_of` is {wire.best_of} but `n` is {wire.n or 1}; only equal values are "
            "supported.",
            param="best_of",
        )


routes = [Route("/v1/completions", create_completion, methods=["POST"])]
