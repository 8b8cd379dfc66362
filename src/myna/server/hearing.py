"""A long sound, heard piece by piece: it is cut at its pauses, and each piece is asked about alone.

So each piece of text has its times by construction, and one long sound becomes many short requests
that a service answers together. Not here: how the text is written (render_transcripts).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, closing
from dataclasses import dataclass, field

from myna.core.events import Event, Finished, TextDelta, TokenLogprob, Usage
from myna.media.align import WordTime, loudness_of, spoken_words
from myna.media.decoded import Sound
from myna.media.decoder import Decoder
from myna.media.encode import encode_wav
from myna.media.limits import MediaBudget
from myna.media.pauses import Piece, pieces_of
from myna.server.merge import merge

Ask = Callable[[bytes, int], AsyncGenerator[Event, None]]
"""Asks what is said in a file; the number tells the requests of one sound apart."""


@dataclass
class Segment:
    """Hold what was heard in one piece, and when each of its words was said."""

    piece: Piece
    text: str = ""
    tokens: list[TokenLogprob] = field(default_factory=list)
    usage: Usage = field(default_factory=lambda: Usage(prompt_tokens=0, completion_tokens=0))
    words: tuple[WordTime, ...] = ()

    def add(self, event: Event) -> None:
        """Take one event of the answer."""
        match event:
            case TextDelta(text=text, logprobs=logprobs):
                self.text += text
                self.tokens.extend(logprobs)
            case Finished(usage=usage):
                self.text, self.usage = self.text.strip(), usage


def decode(data: bytes) -> Sound:
    """Decode a sound, in a process that may be killed."""
    with closing(Decoder(num_children=1)) as decoder:
        return decoder.audio(data, MediaBudget())


async def hear(sound: Sound, ask: Ask) -> AsyncGenerator[Segment, None]:
    """Hear a sound; yields its segments in order, each as soon as it and those before are done."""
    pieces = await asyncio.to_thread(pieces_of, sound.samples, rate_hz=sound.rate_hz)
    segments = [Segment(piece) for piece in pieces]
    streams = [_hear_piece(sound, piece, ask, number) for number, piece in enumerate(pieces)]
    done: set[int] = set()
    num_given = 0
    async with aclosing(merge(streams)) as events:
        async for number, event in events:
            segments[number].add(event)
            if not isinstance(event, Finished):
                continue
            segment = segments[number]
            segment.words = await asyncio.to_thread(_words, sound, segment)
            done.add(number)
            while num_given in done:
                yield segments[num_given]
                num_given += 1


async def _hear_piece(
    sound: Sound, piece: Piece, ask: Ask, number: int
) -> AsyncGenerator[Event, None]:
    samples = _samples(sound, piece)
    file = await asyncio.to_thread(encode_wav, samples.samples, rate_hz=sound.rate_hz)
    async with aclosing(ask(file, number)) as events:
        async for event in events:
            yield event


def _samples(sound: Sound, piece: Piece) -> Sound:
    first, last = (round(at_s * sound.rate_hz) for at_s in (piece.start_s, piece.end_s))
    return Sound(samples=sound.samples[first:last], rate_hz=sound.rate_hz)


def _words(sound: Sound, segment: Segment) -> tuple[WordTime, ...]:
    """Reckon when each word was said, from the start of the whole sound."""
    heard = _samples(sound, segment.piece)
    start_s = segment.piece.start_s
    return tuple(
        WordTime(
            word=word.word,
            end_char=word.end_char,
            start_s=start_s + word.start_s,
            end_s=start_s + word.end_s,
            is_approximate=word.is_approximate,
        )
        for word in spoken_words(segment.text, loudness_of(heard.samples, rate_hz=heard.rate_hz))
    )
