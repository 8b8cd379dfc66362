"""Core events -> what OpenAI's clients read: whole bodies and chunks.

Not here: how chunks travel (sse).
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET, UnsetType

from myna.core.errors import InternalError, RemoteError
from myna.core.events import (
    Accepted,
    AudioDelta,
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
from myna.server.render_speech import SpeechWriter, metadata, pace_of, whole_sound
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
    Extension,
    FunctionText,
    PromptDetails,
    ToolCallObject,
    TopLogprob,
    UsageObject,
)
from myna.server.speech import Spoken

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
    spoken: Spoken | None = None
    created: int = field(default_factory=lambda: int(time.time()))

    def audio_id(self, index: int) -> str:
        """Name the sound of one choice."""
        return f"audio_{self.id.removeprefix('chatcmpl-')}_{index}"


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
    """Add up the choices of each prompt; the prompt itself counts once.

    Frames of speech count as tokens of the answer, as OpenAI counts them.
    """
    usages = [usage for choices in prompts for usage in choices]
    prompt_tokens = sum(choices[0].prompt_tokens for choices in prompts)
    audio_tokens = sum(usage.audio_tokens for usage in usages)
    completion_tokens = sum(usage.completion_tokens for usage in usages) + audio_tokens
    return UsageObject(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
        prompt_tokens_details=PromptDetails(
            cached_tokens=sum(choices[0].cached_tokens for choices in prompts),
            media_tokens=sum(choices[0].media_tokens for choices in prompts) or UNSET,
        ),
        completion_tokens_details=CompletionDetails(
            reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
            audio_tokens=audio_tokens or UNSET,
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
                myna=pace,
            )
        )

    pace: Extension | UnsetType = UNSET
    usages: list[Usage] = []
    voices = _voices(heading)
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Finished):
                usages.append(event.usage)
            pace = pace_of(event) or pace
            for choice in _chunk_choices(event, heading, voices):
                yield chunk(choice)
    if heading.has_usage:
        yield chunk(usage=usage_object([usages]))


def _voices(heading: Heading) -> list[SpeechWriter]:
    """Make a writer for the sound of each choice; none if the answer is not spoken."""
    if heading.spoken is None:
        return []
    return [
        SpeechWriter(heading.spoken, audio_id=heading.audio_id(index), created=heading.created)
        for index in range(heading.num_choices)
    ]


def _chunk_choices(
    event: Event, heading: Heading, voices: list[SpeechWriter]
) -> Iterator[ChunkChoice]:
    """Translate one event; it becomes a chunk for each choice that this yields."""
    match event:
        case Accepted():
            for index in range(heading.num_choices):
                delta = Delta(role="assistant", content="")
                yield ChunkChoice(index=index, delta=voices[index].first() if voices else delta)
        case TextDelta(index=index, text=text):
            logprobs = chat_logprobs(event.logprobs) if heading.has_logprobs else None
            delta = voices[index].text(text) if voices else Delta(content=text)
            yield ChunkChoice(index=index, delta=delta, logprobs=logprobs)
        case ReasoningDelta(index=index, text=text):
            yield ChunkChoice(index=index, delta=Delta(reasoning=text, reasoning_content=text))
        case ToolCallDelta(index=index):
            yield ChunkChoice(index=index, delta=Delta(tool_calls=[_call_delta(event)]))
        case AudioDelta(index=index) if voices:
            yield ChunkChoice(index=index, delta=voices[index].sound(event))
        case Finished(index=index, reason=reason):
            if voices:
                yield ChunkChoice(index=index, delta=voices[index].last())
            yield ChunkChoice(index=index, delta=Delta(), finish_reason=reason)


def _call_delta(event: ToolCallDelta) -> ToolCallObject:
    return ToolCallObject(
        index=event.call_idx,
        id=event.id if event.id is not None else UNSET,
        type="function" if event.id is not None else UNSET,
        function=FunctionText(
            name=event.name if event.name is not None else UNSET,
            arguments=event.arguments,
        ),
    )


@dataclass
class ChatAnswer:
    """Gather one choice of a chat answer."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    calls: dict[int, ToolCallObject] = field(default_factory=dict)
    pcm: list[bytes] = field(default_factory=list)
    rate_hz: int = 0
    pace: Extension | UnsetType = UNSET
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
            case AudioDelta(pcm=pcm, rate_hz=rate_hz):
                self.pcm.append(pcm)
                self.rate_hz = rate_hz
                self.pace = pace_of(event) or self.pace
            case Finished(reason=reason):
                self.reason = reason

    def choice(self, index: int, heading: Heading) -> ChatChoice:
        """Return the finished choice."""
        reasoning = "".join(self.reasoning) or UNSET
        text = "".join(self.text)
        message = AssistantMessage(
            content=None if self.calls and not text else text,
            reasoning=reasoning,
            reasoning_content=reasoning,
            tool_calls=[self.calls[idx] for idx in sorted(self.calls)] or UNSET,
        )
        if heading.spoken is not None and self.rate_hz:
            self._add_sound(message, text, index, heading=heading, spoken=heading.spoken)
        return ChatChoice(
            index=index,
            message=message,
            logprobs=chat_logprobs(self.logprobs) if heading.has_logprobs else None,
            finish_reason=self.reason,
        )

    def _add_sound(
        self, message: AssistantMessage, text: str, index: int, *, heading: Heading, spoken: Spoken
    ) -> None:
        message.audio = whole_sound(
            spoken,
            audio_id=heading.audio_id(index),
            created=heading.created,
            pcm=b"".join(self.pcm),
            rate_hz=self.rate_hz,
            transcript=text,
        )
        message.audio_metadata = metadata(self.rate_hz, file_format=spoken.format)
        if spoken.dialect == "openai":
            message.content = None


async def kept_chat(
    heading: Heading,
    events: AsyncGenerator[Event, None],
    keep: Callable[[ChatCompletion], None],
) -> AsyncGenerator[Event, None]:
    """Pass events on, and keep the whole answer once it has ended."""
    answers = [ChatAnswer() for _ in range(heading.num_choices)]
    usages: list[Usage] = []
    async with aclosing(events):
        async for event in events:
            _gather(event, answers, usages)
            if len(usages) == heading.num_choices and isinstance(event, Finished):
                keep(_completion(heading, answers, usages))
            yield event


async def whole_chat(heading: Heading, events: AsyncGenerator[Event, None]) -> bytes:
    """Write a chat answer as one body."""
    answers = [ChatAnswer() for _ in range(heading.num_choices)]
    usages: list[Usage] = []
    async with aclosing(events):
        async for event in events:
            _gather(event, answers, usages)
    return encode(_completion(heading, answers, usages))


def _gather(event: Event, answers: list[ChatAnswer], usages: list[Usage]) -> None:
    if isinstance(event, Finished):
        usages.append(event.usage)
    if not isinstance(event, Accepted | Failed):
        answers[event.index].add(event)


def _completion(heading: Heading, answers: list[ChatAnswer], usages: list[Usage]) -> ChatCompletion:
    return ChatCompletion(
        id=heading.id,
        created=heading.created,
        model=heading.model,
        choices=[answer.choice(index, heading) for index, answer in enumerate(answers)],
        usage=usage_object([usages]),
        myna=answers[0].pace,  # only one answer at a time is spoken
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
