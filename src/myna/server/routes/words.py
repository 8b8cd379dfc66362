"""`POST /api/v1/word-times`: when each word of a spoken answer is heard, to follow it as it plays.

Only the loudness is sent, not the sound: the times are reckoned from it.
"""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.media.align import FRAME_S, Loudness, spoken_words
from myna.server.body import read_wire
from myna.server.schemas.words import WordObject, WordTimes, WordTimesRequest

REQUEST = msgspec.json.Decoder(WordTimesRequest)


async def word_times(request: Request) -> Response:
    """Reckon the times of the words of a text."""
    wire = await read_wire(request, REQUEST)
    loudness = Loudness(levels=wire.levels, duration_s=len(wire.levels) * FRAME_S)
    found = await asyncio.to_thread(spoken_words, wire.text, loudness)
    words = [
        WordObject(
            word=item.word,
            end_char=item.end_char,
            start_s=item.start_s,
            end_s=item.end_s,
            is_approximate=item.is_approximate,
        )
        for item in found
    ]
    return Response(msgspec.json.encode(WordTimes(words=words)), media_type="application/json")


routes = [Route("/api/v1/word-times", word_times, methods=["POST"])]
