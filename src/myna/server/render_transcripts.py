"""What was heard -> the forms of transcripts: JSON, verbose JSON, subtitles, text, events."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

from msgspec import UNSET

from myna.core.events import Event, Finished, TextDelta, TokenLogprob, Usage
from myna.server.hearing import Segment
from myna.server.render import encode, finite
from myna.server.schemas.audio import (
    AudioUsage,
    HeardLogprob,
    SegmentObject,
    TextEvent,
    Transcription,
    VerboseTranscription,
    WordObject,
)

FRAMES_PER_S = 100  # Whisper counts `seek` in frames of 10 ms.


def audio_usage(usage: Usage) -> AudioUsage:
    """Count the tokens of an answer that was heard or spoken."""
    num_answered = usage.completion_tokens + usage.audio_tokens
    return AudioUsage(
        type="tokens",
        input_tokens=usage.prompt_tokens,
        output_tokens=num_answered,
        total_tokens=usage.prompt_tokens + num_answered,
    )


def heard_logprobs(tokens: Sequence[TokenLogprob]) -> list[HeardLogprob]:
    """Translate how sure each token was."""
    return [
        HeardLogprob(
            token=token.token, logprob=finite(token.logprob), bytes=list(token.token_bytes)
        )
        for token in tokens
    ]


async def text_events(
    events: AsyncGenerator[Event, None], *, has_logprobs: bool
) -> AsyncGenerator[bytes, None]:
    """Write what is heard as events, as it is understood."""
    pieces: list[str] = []
    tokens: list[TokenLogprob] = []
    async with aclosing(events):
        async for event in events:
            match event:
                case TextDelta(text=piece, logprobs=logprobs):
                    pieces.append(piece)
                    tokens.extend(logprobs)
                    heard = heard_logprobs(logprobs) if has_logprobs else UNSET
                    yield encode(
                        TextEvent(type="transcript.text.delta", delta=piece, logprobs=heard)
                    )
                case Finished(usage=usage):
                    yield encode(
                        TextEvent(
                            type="transcript.text.done",
                            text="".join(pieces),
                            logprobs=heard_logprobs(tokens) if has_logprobs else UNSET,
                            usage=audio_usage(usage),
                        )
                    )


async def segment_events(segments: AsyncGenerator[Segment, None]) -> AsyncGenerator[bytes, None]:
    """Write segments as events, each as soon as it was heard."""
    heard: list[Segment] = []
    async with aclosing(segments):
        async for segment in segments:
            delta = f" {segment.text}" if heard else segment.text
            yield encode(TextEvent(type="transcript.text.delta", delta=delta))
            yield encode(
                TextEvent(
                    type="transcript.text.segment",
                    id=f"seg_{len(heard)}",
                    start=segment.piece.start_s,
                    end=segment.piece.end_s,
                    text=segment.text,
                )
            )
            heard.append(segment)
    text = " ".join(segment.text for segment in heard)
    usage = audio_usage(total_usage(heard))
    yield encode(TextEvent(type="transcript.text.done", text=text, usage=usage))


async def whole_transcript(
    events: AsyncGenerator[Event, None], *, is_plain: bool, has_logprobs: bool
) -> bytes:
    """Write what was heard as one text, plain or as JSON."""
    pieces: list[str] = []
    tokens: list[TokenLogprob] = []
    usage = Usage(prompt_tokens=0, completion_tokens=0)
    async with aclosing(events):
        async for event in events:
            match event:
                case TextDelta(text=piece, logprobs=logprobs):
                    pieces.append(piece)
                    tokens.extend(logprobs)
                case Finished():
                    usage = event.usage
    text = "".join(pieces).strip()
    if is_plain:
        return f"{text}\n".encode()
    logprobs_ = heard_logprobs(tokens) if has_logprobs else UNSET
    return encode(Transcription(text=text, usage=audio_usage(usage), logprobs=logprobs_))


def verbose(
    segments: Sequence[Segment],
    *,
    task: str,
    language: str,
    duration_s: float,
    temperature: float,
    has_words: bool,
) -> bytes:
    """Write segments as verbose JSON."""
    words = [
        WordObject(word=word.word, start=round(word.start_s, 3), end=round(word.end_s, 3))
        for segment in segments
        for word in segment.words
    ]
    return encode(
        VerboseTranscription(
            task="translate" if task == "translate" else "transcribe",
            language=language,
            duration=round(duration_s, 3),
            text=" ".join(segment.text for segment in segments),
            segments=[
                _segment_object(segment, number, temperature=temperature)
                for number, segment in enumerate(segments)
            ],
            words=words if has_words else UNSET,
            word_times="approximate" if has_words else UNSET,
            usage=audio_usage(total_usage(segments)),
        )
    )


def _segment_object(segment: Segment, number: int, *, temperature: float) -> SegmentObject:
    logprobs = [finite(token.logprob) or 0.0 for token in segment.tokens]
    spelled = segment.text.encode()
    return SegmentObject(
        id=number,
        seek=round(segment.piece.start_s * FRAMES_PER_S),
        start=segment.piece.start_s,
        end=segment.piece.end_s,
        text=segment.text,
        tokens=[token.token_id for token in segment.tokens],
        temperature=temperature,
        avg_logprob=round(sum(logprobs) / max(len(logprobs), 1), 4),
        compression_ratio=round(len(spelled) / max(len(zlib.compress(spelled)), 1), 4),
    )


def subtitles(segments: Sequence[Segment], *, is_vtt: bool) -> bytes:
    """Write segments as SubRip or as WebVTT."""
    return ("WEBVTT\n\n" if is_vtt else "").encode() + "".join(
        _cues(segments, is_vtt=is_vtt)
    ).encode()


def _cues(segments: Sequence[Segment], *, is_vtt: bool) -> Iterator[str]:
    spoken = [segment for segment in segments if segment.text]
    for number, segment in enumerate(spoken, start=1):
        # A blank line would end the cue, and in WebVTT an arrow would begin a new one.
        text = "\n".join(line for line in segment.text.splitlines() if line.strip())
        text = text.replace("-->", "->")
        start, end = (
            clock(at_s, mark="." if is_vtt else ",")
            for at_s in (segment.piece.start_s, segment.piece.end_s)
        )
        label = "" if is_vtt else f"{number}\n"
        yield f"{label}{start} --> {end}\n{text}\n\n"


def clock(at_s: float, *, mark: str) -> str:
    """Write a time as hours, minutes, seconds and, after `mark`, milliseconds."""
    at_ms = round(at_s * 1000)
    hours, minutes, seconds = at_ms // 3_600_000, at_ms // 60_000 % 60, at_ms // 1000 % 60
    return f"{hours:02}:{minutes:02}:{seconds:02}{mark}{at_ms % 1000:03}"


def total_usage(segments: Sequence[Segment]) -> Usage:
    """Add up what the segments took."""
    return Usage(
        prompt_tokens=sum(segment.usage.prompt_tokens for segment in segments),
        completion_tokens=sum(segment.usage.completion_tokens for segment in segments),
    )
