"""A service without a model: it answers with the caller's own words, to test what stands around it.

A token is a word with the white space after it. Lines that start with a slash are commands:

    /think WORDS          WORDS arrive as reasoning, before the answer
    /call NAME JSON       the answer is a call of tool NAME
    /fail WORDS           the answer breaks off with an error after what was written so far
    /refuse WORDS         the request is refused as overloaded

Not here: sampling, templates, constraints, limits of a context.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncGenerator, Iterator

from myna.core.errors import InternalError, Overloaded, Unavailable
from myna.core.events import (
    Accepted,
    Event,
    Failed,
    Finished,
    FinishReason,
    PromptEcho,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from myna.core.requests import ChatInput, Request, TextInput
from myna.core.service import Health, ModelCard

WORD = re.compile(r"\s*\S+\s*|\s+")
COMMAND = re.compile(r"/(think|call|fail|refuse)(?: (.*))?")


class EchoService:
    """Echo the last user's text, or the raw prompt, one word every `delay_s`.

    Args:
        model: the id to be served under.
        delay_s: time between two words.
    """

    def __init__(self, *, model: str = "echo", delay_s: float = 0.0) -> None:
        self.card = ModelCard(id=model, family="echo", context_length=1_000_000, created_s=0)
        self.delay_s = delay_s
        self.num_running = 0
        self.num_cancelled = 0
        self.closed = asyncio.Event()

    async def models(self) -> tuple[ModelCard, ...]:
        """List the one model."""
        return (self.card,)

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """Number the words of a text."""
        return tuple(_token_id(word) for word in WORD.findall(text))

    async def health(self) -> Health:
        """Report ready until closed."""
        reason = "closed" if self.closed.is_set() else ""
        return Health(ready=not reason, reason=reason, num_running=self.num_running)

    async def close(self) -> None:
        """End every open request with `Failed`."""
        self.closed.set()

    async def generate(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answer with the words of the prompt, choice after choice."""
        self.num_running += 1
        ended = False
        try:
            for event in _answer(request):
                if isinstance(event, TextDelta | ReasoningDelta | ToolCallDelta):
                    await self._pause()
                if self.closed.is_set():
                    event = Failed(error=Unavailable("The echo service was closed.").info())
                ended = isinstance(event, Failed)
                yield event
                if ended:
                    return
            ended = True
        finally:
            self.num_running -= 1
            self.num_cancelled += not ended

    async def _pause(self) -> None:
        """Wait for one word's time, or until the service is closed."""
        if self.delay_s == 0:
            await asyncio.sleep(0)
            return
        try:
            await asyncio.wait_for(self.closed.wait(), self.delay_s)
        except TimeoutError:
            return


def _answer(request: Request) -> Iterator[Event]:
    """Write down all events of a request."""
    prompt = _prompt(request)
    lines = prompt.splitlines(keepends=True)
    commands = [match for line in lines if (match := COMMAND.fullmatch(line.rstrip("\r\n")))]
    text = "".join(line for line in lines if not COMMAND.fullmatch(line.rstrip("\r\n")))
    arguments = {match[1]: match[2] or "" for match in commands}
    if "refuse" in arguments:
        yield Failed(error=Overloaded(arguments["refuse"], retry_after_s=1.0).info())
        return
    num_prompt_tokens = len(WORD.findall(prompt))
    yield Accepted(prompt_tokens=num_prompt_tokens)
    for index in range(request.num_choices):
        if not isinstance(request.input, ChatInput) and request.input.echo:
            logprobs = _logprobs(WORD.findall(prompt), request, first=None)
            yield PromptEcho(index=index, text=prompt, logprobs=logprobs or None)
        reasoning = WORD.findall(arguments.get("think", ""))
        yield from (ReasoningDelta(index=index, text=word) for word in reasoning)
        words, reason = _cut(text, request)
        for word in words:
            yield TextDelta(index=index, text=word, logprobs=_logprobs([word], request))
        if "fail" in arguments:
            yield Failed(error=InternalError(arguments["fail"]).info())
            return
        call = _call(arguments.get("call"), request)
        if call is not None:
            call_id = f"call_{request.id.removeprefix('req_')}_{index}"
            yield ToolCallDelta(index=index, call_idx=0, id=call_id, name=call[0])
            yield ToolCallDelta(index=index, call_idx=0, arguments=call[1])
            reason = "tool_calls"
        usage = Usage(
            prompt_tokens=num_prompt_tokens,
            completion_tokens=len(reasoning) + len(words),
            reasoning_tokens=len(reasoning),
        )
        yield Finished(index=index, reason=reason, usage=usage)


def _prompt(request: Request) -> str:
    match request.input:
        case ChatInput(messages=messages):
            return next((turn.text for turn in reversed(messages) if turn.role == "user"), "")
        case TextInput(prompt=prompt):
            return prompt
        case tokens:
            return " ".join(str(token_id) for token_id in tokens.token_ids)


def _cut(text: str, request: Request) -> tuple[list[str], FinishReason]:
    """Apply stop strings, then the greatest number of words."""
    sampling = request.sampling
    ends = [end for stop in sampling.stop if (end := text.find(stop)) >= 0]
    words = WORD.findall(text[: min(ends)] if ends else text)
    if sampling.max_tokens is not None and len(words) > sampling.max_tokens:
        return words[: sampling.max_tokens], "length"
    return words, "stop"


def _call(command: str | None, request: Request) -> tuple[str, str] | None:
    """Name the tool to call, and its arguments; a required call takes the first tool."""
    if command is not None:
        name, _, arguments = command.partition(" ")
        return name, arguments or "{}"
    if isinstance(request.input, ChatInput) and request.input.tool_choice == "required":
        return request.input.tools[0].name, "{}"
    return None


def _logprobs(
    words: list[str], request: Request, *, first: float | None = -0.5
) -> tuple[TokenLogprob, ...]:
    """Invent log-probabilities: the word itself, then made-up alternatives."""
    num_alternatives = request.sampling.logprobs
    if num_alternatives is None:
        return ()
    return tuple(
        TokenLogprob(
            token_id=_token_id(word),
            token=word,
            token_bytes=word.encode(),
            logprob=first if idx == 0 else -0.5,
            top=tuple(_alternative(word, rank) for rank in range(num_alternatives) if idx or first),
        )
        for idx, word in enumerate(words)
    )


def _alternative(word: str, rank: int) -> TokenLogprob:
    token = word if rank == 0 else f"{word.strip()}~{rank}"
    return TokenLogprob(
        token_id=_token_id(token), token=token, token_bytes=token.encode(), logprob=-0.5 - rank
    )


def _token_id(word: str) -> int:
    return zlib.crc32(word.encode()) & 0x7FFFFFFF
