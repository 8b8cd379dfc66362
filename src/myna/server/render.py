"""Core events -> what OpenAI's clients read: whole bodies and chunks.

Not here: how chunks travel (sse).
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET

from myna.core.errors import InternalError, RemoteError
from myna.core.events import (
    Accepted,
    Event,
    Failed,
    Finished,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from myna.core.requests import Request
from myna.core.service import Service
from myna.server.schemas.answers import (
    AssistantMessage,
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatLogprobs,
    ChosenLogprob,
    ChunkChoice,
    CompletionDetails,
    Delta,
    FunctionText,
    PromptDetails,
    ToolCallObject,
    TopLogprob,
    UsageObject,
)

encode = msgspec.json.Encoder().encode
MIN_LOGPROB = -9999.0  # What OpenAI sends for a token that cannot be.


@dataclass(frozen=True, kw_only=True)
class Heading:
    """Repeat on every chunk of one answer: its id, its model, its time."""

    id: str
    model: str
    num_choices: int = 1
    has_logprobs: bool = False
    has_usage: bool = False
    created: int = field(default_factory=lambda: int(time.time()))


async def events_of(service: Service, request: Request) -> AsyncGenerator[Event, None]:
    """Ask the service; raises what it reports as `Failed`, and closes its stream in any case."""
    events = service.generate(request)
    num_open = request.num_choices
    try:
        async for event in events:
            if isinstance(event, Failed):
                raise RemoteError(event.error)
            yield event
            num_open -= isinstance(event, Finished)
    finally:
        await _close(events)
    if num_open:
        raise InternalError(f"The service ended with {num_open} choices unfinished.")


async def _close(events: AsyncIterator[Event]) -> None:
    """Close a stream where it can be closed; plain iterators end with their reader's task."""
    aclose = getattr(events, "aclose", None)
    if aclose is not None:
        await aclose()


def usage_object(prompts: Sequence[Sequence[Usage]]) -> UsageObject:
    """Add up the choices of each prompt; the prompt itself counts once."""
    usages = [usage for choices in prompts for usage in choices]
    prompt_tokens = sum(choices[0].prompt_tokens for choices in prompts)
    completion_tokens = sum(usage.completion_tokens for usage in usages)
    return UsageObject(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
        prompt_tokens_details=PromptDetails(
            cached_tokens=sum(choices[0].cached_tokens for choices in prompts)
        ),
        completion_tokens_details=CompletionDetails(
            reasoning_tokens=sum(usage.reasoning_tokens for usage in usages)
        ),
    )


async def chat_chunks(
    heading: Heading, events: AsyncGenerator[Event, None]
) -> AsyncGenerator[bytes, None]:
    """Write a chat answer as chunks: roles, deltas, ends, then usage if it was asked for."""

    def chunk(*choices: ChunkChoice, usage: UsageObject | None = None) -> bytes:
        return encode(
            ChatChunk(
                id=heading.id,
                created=heading.created,
                model=heading.model,
                choices=list(choices),
                usage=usage if heading.has_usage else UNSET,
            )
        )

    usages: list[Usage] = []
    first = Delta(role="assistant", content="")
    async with aclosing(events):
        async for event in events:
            match event:
                case Accepted():
                    for index in range(heading.num_choices):
                        yield chunk(ChunkChoice(index=index, delta=first))
                case Finished(index=index, reason=reason, usage=usage):
                    usages.append(usage)
                    yield chunk(ChunkChoice(index=index, delta=Delta(), finish_reason=reason))
                case TextDelta() | ReasoningDelta() | ToolCallDelta():
                    yield chunk(_chunk_choice(event, heading))
    if heading.has_usage:
        yield chunk(usage=usage_object([usages]))


def _chunk_choice(
    event: TextDelta | ReasoningDelta | ToolCallDelta, heading: Heading
) -> ChunkChoice:
    match event:
        case TextDelta(text=text):
            logprobs = chat_logprobs(event.logprobs) if heading.has_logprobs else None
            return ChunkChoice(index=event.index, delta=Delta(content=text), logprobs=logprobs)
        case ReasoningDelta(text=text):
            return ChunkChoice(
                index=event.index, delta=Delta(reasoning=text, reasoning_content=text)
            )
        case ToolCallDelta():
            call = ToolCallObject(
                index=event.call_idx,
                id=event.id if event.id is not None else UNSET,
                type="function" if event.id is not None else UNSET,
                function=FunctionText(
                    name=event.name if event.name is not None else UNSET,
                    arguments=event.arguments,
                ),
            )
            return ChunkChoice(index=event.index, delta=Delta(tool_calls=[call]))


@dataclass
class ChatAnswer:
    """Gather one choice of a chat answer."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    calls: dict[int, ToolCallObject] = field(default_factory=dict)
    reason: FinishReason = "stop"

    def add(self, event: Event) -> None:
        """Take one event of this choice."""
        match event:
            case TextDelta(text=text, logprobs=logprobs):
                self.text.append(text)
                self.logprobs.extend(logprobs)
            case ReasoningDelta(text=text):
                self.reasoning.append(text)
            case ToolCallDelta():
                call = self.calls.setdefault(
                    event.call_idx, ToolCallObject(type="function", function=FunctionText())
                )
                if event.id is not None:
                    call.id = event.id
                if event.name is not None:
                    call.function.name = event.name
                call.function.arguments += event.arguments
            case Finished(reason=reason):
                self.reason = reason

    def choice(self, index: int, *, has_logprobs: bool) -> ChatChoice:
        """Return the finished choice."""
        reasoning = "".join(self.reasoning) or UNSET
        text = "".join(self.text)
        return ChatChoice(
            index=index,
            message=AssistantMessage(
                content=None if self.calls and not text else text,
                reasoning=reasoning,
                reasoning_content=reasoning,
                tool_calls=[self.calls[idx] for idx in sorted(self.calls)] or UNSET,
            ),
            logprobs=chat_logprobs(self.logprobs) if has_logprobs else None,
            finish_reason=self.reason,
        )


async def whole_chat(heading: Heading, events: AsyncGenerator[Event, None]) -> bytes:
    """Write a chat answer as one body."""
    answers = [ChatAnswer() for _ in range(heading.num_choices)]
    usages: list[Usage] = []
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Finished):
                usages.append(event.usage)
            if not isinstance(event, Accepted | Failed):
                answers[event.index].add(event)
    return encode(
        ChatCompletion(
            id=heading.id,
            created=heading.created,
            model=heading.model,
            choices=[
                answer.choice(index, has_logprobs=heading.has_logprobs)
                for index, answer in enumerate(answers)
            ],
            usage=usage_object([usages]),
        )
    )


def finite(logprob: float | None) -> float | None:
    """Bound a log-probability, for JSON has no infinity."""
    return None if logprob is None else max(logprob, MIN_LOGPROB)


def chat_logprobs(tokens: Sequence[TokenLogprob]) -> ChatLogprobs:
    """Translate the log-probabilities of an answer's tokens."""
    return ChatLogprobs(
        content=[
            ChosenLogprob(
                token=token.token,
                logprob=finite(token.logprob),
                bytes=list(token.token_bytes),
                top_logprobs=[
                    TopLogprob(
                        token=top.token, logprob=finite(top.logprob), bytes=list(top.token_bytes)
                    )
                    for top in token.top
                ],
            )
            for token in tokens
        ]
    )
