"""A service without a model: it answers with the caller's own words, to test what stands around it.

A token is a word with the white space after it. Lines that start with a slash are commands:

    /think WORDS          WORDS arrive as reasoning, before the answer
    /call NAME JSON       the answer is a call of tool NAME
    /fail WORDS           the answer breaks off with an error after what was written so far
    /refuse WORDS         the request is refused as overloaded

Media are told apart and weighed, not looked at. Speech is a beep a word.
Not here: sampling, templates, constraints, limits of a context.
"""

from __future__ import annotations

import array
import asyncio
import math
import re
import sys
import zlib
from collections.abc import AsyncGenerator, Iterator

from myna.core.echo_edit import echo_edit
from myna.core.errors import InternalError, InvalidRequest, Overloaded, Unavailable
from myna.core.events import (
    Accepted,
    AudioDelta,
    Event,
    Failed,
    Finished,
    FinishReason,
    PictureDelta,
    PromptEcho,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from myna.core.messages import Part, TextPart, VideoPart
from myna.core.requests import ChatInput, EditInput, Request, SayInput, TextInput, TokenInput
from myna.core.service import Health, ModelCard

WORD = re.compile(r"\s*\S+\s*|\s+")
COMMAND = re.compile(r"/(think|call|fail|refuse)(?: (.*))?")
VOICES = ("ethan", "chelsie", "aiden")
RATE_HZ = 24_000
BEEP_SAMPLES = 1920
BEEP_LEVEL = 8000
PAUSED = TextDelta | ReasoningDelta | ToolCallDelta | AudioDelta | PictureDelta


class EchoService:
    """Echo the last user's text, or the raw prompt, one word every `delay_s`.

    Args:
        model: the id to be served under.
        delay_s: time between two words.
        is_omni: take media and speak, as an omni model does.
        is_editor: edit pictures, too; they come back as they were.
    """

    def __init__(
        self,
        *,
        model: str = "echo",
        delay_s: float = 0.0,
        is_omni: bool = True,
        is_editor: bool = False,
    ) -> None:
        self.card = ModelCard(
            id=model,
            family="echo",
            context_length=1_000_000,
            created_s=0,
            inputs=("text", "image", "audio", "video") if is_omni else ("text",),
            outputs=("text", "audio") if is_omni else ("text",),
            voices=VOICES if is_omni else (),
            capabilities=("edit",) if is_editor else (),
        )
        self.delay_s = delay_s
        self.num_running = 0
        self.num_cancelled = 0
        self.closed = asyncio.Event()

    async def models(self) -> tuple[ModelCard, ...]:
        """List the one model."""
        return (self.card,)

    async def tokenize(self, text: str, *, model: str | None = None) -> tuple[int, ...]:
        """Number the words of a text."""
        return tuple(_token_id(word) for word in WORD.findall(text))

    async def detokenize(self, token_ids: tuple[int, ...], *, model: str | None = None) -> str:
        """Write the numbers: words cannot be found again."""
        return " ".join(str(token_id) for token_id in token_ids)

    async def render(self, chat: ChatInput, *, model: str | None = None) -> str:
        """Write a line for each turn."""
        return "".join(f"{turn.role}: {turn.text}\n" for turn in chat.messages)

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
            for event in _events(request, self.card.voices):
                if isinstance(event, PAUSED):
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


def _events(request: Request, voices: tuple[str, ...]) -> Iterator[Event]:
    """Choose between words and pictures; commands work for both."""
    asked = request.input
    if isinstance(asked, EditInput) and COMMAND.fullmatch(asked.prompt) is None:
        return echo_edit(asked, num_choices=request.num_choices)
    return _answer(request, voices)


def _answer(request: Request, voices: tuple[str, ...]) -> Iterator[Event]:
    """Write down all events of a request."""
    if (refusal := _refusal_to_speak(request, voices)) is not None:
        yield Failed(error=refusal.info())
        return
    if isinstance(request.input, SayInput):
        yield from _say(request.input.text)
        return
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
        if isinstance(request.input, TextInput | TokenInput) and request.input.echo:
            logprobs = _logprobs(WORD.findall(prompt), request, first=None)
            yield PromptEcho(index=index, text=prompt, logprobs=logprobs or None)
        reasoning = WORD.findall(arguments.get("think", ""))
        yield from (ReasoningDelta(index=index, text=word) for word in reasoning)
        words, reason = _cut(text, request)
        for word in words:
            yield TextDelta(index=index, text=word, logprobs=_logprobs([word], request))
            if request.speech is not None:
                yield AudioDelta(index=index, pcm=beep(word), rate_hz=RATE_HZ)
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
            media_tokens=_num_media_tokens(request),
            audio_tokens=len(words) if request.speech is not None else 0,
        )
        yield Finished(index=index, reason=reason, usage=usage)


def _prompt(request: Request) -> str:
    match request.input:
        case ChatInput(messages=messages, continues=continues):
            turn = next((turn for turn in reversed(messages) if turn.role == "user"), None)
            text = "".join(_part_text(part) for part in turn.content) if turn else ""
            return text.removeprefix(messages[-1].text) if continues else text
        case TextInput(prompt=prompt) | EditInput(prompt=prompt):
            return prompt
        case SayInput(text=text):
            return text
        case tokens:
            return " ".join(str(token_id) for token_id in tokens.token_ids)


def _part_text(part: Part) -> str:
    """Tell what a part is: a text itself, a line for anything else."""
    if isinstance(part, TextPart):
        return part.text
    name = type(part).__name__.removesuffix("Part").lower()
    if not isinstance(part, VideoPart):
        return f"{name} {len(part.data)} bytes\n"
    size = f"{len(part.frames)} frames" if part.frames else f"{len(part.data)} bytes"
    fps = "" if part.fps is None else f" at {part.fps:g} fps"
    return f"{name} {size}{fps}{' with sound' if part.has_sound else ''}\n"


def _num_media_tokens(request: Request) -> int:
    """Count the words that stand for media."""
    if not isinstance(request.input, ChatInput):
        return 0
    parts = [part for turn in request.input.messages[-1:] for part in turn.content]
    return sum(len(_part_text(part).split()) for part in parts if not isinstance(part, TextPart))


def _refusal_to_speak(request: Request, voices: tuple[str, ...]) -> InvalidRequest | None:
    if request.speech is None:
        if isinstance(request.input, SayInput):
            return InvalidRequest("a text to be spoken needs `speech`; say by which voice")
        return None
    if not voices:
        return InvalidRequest("this echo does not speak; ask for text alone")
    voice = request.speech.voice
    if voice is not None and voice not in voices:
        return InvalidRequest(f"there is no voice {voice!r}; there are {', '.join(voices)}")
    return None


def _say(text: str) -> Iterator[Event]:
    """Beep once for each word of a text, and write nothing."""
    words = WORD.findall(text)
    yield Accepted(prompt_tokens=len(words))
    for word in words:
        yield AudioDelta(index=0, pcm=beep(word), rate_hz=RATE_HZ)
    usage = Usage(prompt_tokens=len(words), completion_tokens=0, audio_tokens=len(words))
    yield Finished(index=0, reason="stop", usage=usage)


def beep(word: str) -> bytes:
    """Make the sound of a word: a short tone, the same for the same word.

    Returns:
        Mono samples, 16-bit signed little-endian.
    """
    step = 2 * math.pi * (300 + _token_id(word) % 600) / RATE_HZ
    samples = array.array(
        "h", (round(BEEP_LEVEL * math.sin(step * t)) for t in range(BEEP_SAMPLES))
    )
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


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
