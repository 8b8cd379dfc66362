"""How well the model's voice is understood by a recogniser that is not ours."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import soxr
from numpy.typing import NDArray

from myna.core.events import AudioDelta, Failed
from myna.core.requests import Request, RequestId, SamplingParams, SayInput, Speech
from myna.core.service import Service
from myna.evals import metrics
from myna.evals.heldout import seeds
from myna.evals.metrics import Errors
from myna.evals.referee import HEARING_HZ, Referee, open_referee
from myna.evals.report import RowReport
from myna.evals.runner import NOTHING, Miss
from myna.train.language import sentences

NAME = "speak"
TITLE = "speak: what an independent recogniser understands of unseen sentences"
COUNT = 200
MUST, AIM = 20.0, 12.0
MIN_WORDS = 3  # of one or two words, a recogniser of sentences makes something else
PCM_SCALE = 32768.0
_IDS = itertools.count()


async def run(
    service: Service,
    *,
    limit: int | None = None,
    num_misses: int = 0,
    referee: Referee | None = None,
    progress: Callable[[str, int, int], None] = lambda row, done, total: None,
) -> RowReport:
    """Let the model say unseen sentences, and count the words that were not understood.

    Args:
        service: speaks.
        limit: the most sentences.
        num_misses: sentences to show that were misunderstood.
        referee: listens; the usual one if None.
        progress: is told how many sentences were said.

    Raises:
        Unavailable: the recogniser is not installed.
    """
    hear = referee or open_referee()
    count = min(COUNT, limit or COUNT)
    total, num_failed = NOTHING, 0
    misses: list[Miss] = []
    for number in range(count):
        text = sentence(number)
        samples = await say(service, text)
        heard = "" if samples is None else hear(samples)
        errors = metrics.word_errors(text, heard)
        total += errors
        num_failed += samples is None
        if errors.wrong:
            misses.append(Miss(NAME, text, text, heard))
        progress(NAME, number + 1, count)
    return _report(total, count=count, num_failed=num_failed, misses=tuple(misses[:num_misses]))


def sentence(number: int) -> str:
    """Make an unseen sentence of some length."""
    rng = seeds.generator(NAME, number)
    while True:
        text = sentences.make(rng)
        words = text.split()
        if len(words) >= MIN_WORDS and all(len(word) > 1 or word in ("a", "i") for word in words):
            return text


async def say(service: Service, text: str) -> NDArray[np.float32] | None:
    """Let the service speak a text; give (W,) samples of 16 kHz, or None if it failed."""
    request = Request(
        id=RequestId(f"eval-say-{next(_IDS)}"),
        input=SayInput(text=text),
        sampling=SamplingParams(seed=0),
        speech=Speech(),
    )
    pcm, rate_hz = b"", HEARING_HZ
    async for event in service.generate(request):
        match event:
            case AudioDelta():
                pcm += event.pcm
                rate_hz = event.rate_hz
            case Failed():
                return None
            case _:
                pass
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / PCM_SCALE
    heard: NDArray[np.float32] = soxr.resample(samples, rate_hz, HEARING_HZ)
    return heard


def _report(total: Errors, *, count: int, num_failed: int, misses: tuple[Miss, ...]) -> RowReport:
    figure = 100 * total.share
    return RowReport(
        name=NAME,
        title=TITLE,
        unit="WER",
        must=MUST,
        aim=AIM,
        measured=round(figure, 1),
        passes=figure <= MUST,
        count=count,
        num_failed=num_failed,
        misses=misses,
    )
