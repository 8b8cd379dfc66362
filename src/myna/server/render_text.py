"""Core events -> raw completions, as OpenAI's older clients read them: logprobs in columns."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec import UNSET, UnsetType

from myna.core.events import Event, Finished, PromptEcho, TextDelta, TokenLogprob, Usage
from myna.server.merge import merge
from myna.server.render import Heading, encode, finite, usage_object
from myna.server.schemas.answers import (
    LegacyLogprobs,
    TextChoice,
    TextCompletion,
    UsageObject,
)

Utf8Decoder = getincrementaldecoder("utf-8")


class Columns:
    """Lay out one choice's log-probabilities; knows at which character the next token begins."""

    def __init__(self) -> None:
        self.offset = 0
        self.decoder = Utf8Decoder(errors="replace")

    def add(self, tokens: Sequence[TokenLogprob]) -> LegacyLogprobs:
        """Return the columns of the tokens that follow those added so far."""
        offsets = []
        for token in tokens:
            offsets.append(self.offset)
            self.offset += len(self.decoder.decode(token.token_bytes))
        return LegacyLogprobs(
            text_offset=offsets,
            tokens=[legacy_token(token) for token in tokens],
            token_logprobs=[finite(token.logprob) for token in tokens],
            top_logprobs=[_likeliest(token) for token in tokens],
        )


def legacy_token(token: TokenLogprob) -> str:
    """Name a token by its text, or by its bytes where they are a part of a character."""
    try:
        return token.token_bytes.decode() or token.token
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.token_bytes)


def _likeliest(token: TokenLogprob) -> dict[str, float] | None:
    """Map the alternatives and the token itself to their log-probabilities."""
    if token.logprob is None:
        return None
    return {legacy_token(top): finite(top.logprob) or 0.0 for top in (*token.top, token)}


async def text_chunks(
    heading: Heading, streams: Sequence[AsyncGenerator[Event, None]]
) -> AsyncGenerator[bytes, None]:
    """Write the continuations of all prompts as chunks."""

    def chunk(*choices: TextChoice, usage: UsageObject | None = None) -> bytes:
        return encode(_completion(heading, list(choices), usage if heading.has_usage else UNSET))

    columns: dict[int, Columns] = {}
    usages: list[list[Usage]] = [[] for _ in streams]
    async with aclosing(merge(streams)) as events:
        async for prompt_idx, event in events:
            if isinstance(event, PromptEcho | TextDelta):
                index = prompt_idx * heading.num_choices + event.index
                logprobs = None
                if heading.has_logprobs:
                    logprobs = columns.setdefault(index, Columns()).add(event.logprobs or ())
                yield chunk(TextChoice(index=index, text=event.text, logprobs=logprobs))
            elif isinstance(event, Finished):
                index = prompt_idx * heading.num_choices + event.index
                usages[prompt_idx].append(event.usage)
                yield chunk(TextChoice(index=index, text="", finish_reason=event.reason))
    if heading.has_usage:
        yield chunk(usage=usage_object(usages))


async def whole_text(heading: Heading, streams: Sequence[AsyncGenerator[Event, None]]) -> bytes:
    """Write the continuations of all prompts as one body."""
    num_choices = len(streams) * heading.num_choices
    choices = [TextChoice(index=index, text="") for index in range(num_choices)]
    logprobs: list[list[TokenLogprob]] = [[] for _ in choices]
    usages: list[list[Usage]] = [[] for _ in streams]
    async with aclosing(merge(streams)) as events:
        async for prompt_idx, event in events:
            if isinstance(event, PromptEcho | TextDelta):
                index = prompt_idx * heading.num_choices + event.index
                choices[index].text += event.text
                logprobs[index].extend(event.logprobs or ())
            elif isinstance(event, Finished):
                index = prompt_idx * heading.num_choices + event.index
                usages[prompt_idx].append(event.usage)
                choices[index].finish_reason = event.reason
    if heading.has_logprobs:
        for choice in choices:
            choice.logprobs = Columns().add(logprobs[choice.index])
    return encode(_completion(heading, choices, usage_object(usages)))


def _completion(
    heading: Heading, choices: list[TextChoice], usage: UsageObject | UnsetType | None
) -> TextCompletion:
    return TextCompletion(
        id=heading.id,
        created=heading.created,
        model=heading.model,
        choices=choices,
        usage=usage,
    )
