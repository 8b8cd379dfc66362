"""Ask a service one thing and wait for all of it, as checks and measurements do."""

from __future__ import annotations

import uuid

from myna.core.errors import RemoteError
from myna.core.events import Event, Failed
from myna.core.requests import Input, Request, RequestId, SamplingParams
from myna.core.service import Service


async def collect(service: Service, question: Input, sampling: SamplingParams) -> list[Event]:
    """Collect the events of an answer.

    Raises:
        RemoteError: the request failed.
    """
    request = Request(id=RequestId(uuid.uuid4().hex), input=question, sampling=sampling)
    events = [event async for event in service.generate(request)]
    for event in events:
        if isinstance(event, Failed):
            raise RemoteError(event.error)
    return events


def plain_sampling(
    num_tokens: int,
    *,
    temperature: float,
    seed: int | None = None,
    logprobs: int | None = None,
) -> SamplingParams:
    """Ask for exactly so many tokens, free of the penalties and limits a model may come with."""
    return SamplingParams(
        max_tokens=num_tokens,
        ignore_eos=True,
        temperature=temperature,
        seed=seed,
        logprobs=logprobs,
        top_p=1.0,
        top_k=0,
        min_p=0.0,
        repetition_penalty=1.0,
        presence_penalty=0.0,
        frequency_penalty=0.0,
    )
