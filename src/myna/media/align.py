"""When was each word of a spoken text said?

Two ways: by the log-probabilities of a model that hears (`ctc_words`), or, where none is at hand,
by syllables and loudness (`spoken_words`), which is marked approximate.
Not here: a model that hears.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from myna.core.errors import InvalidRequest

FRAME_S = 0.01
# Speech is what is louder than the quiet tenth by this factor, or a share of the loud.
VOICED_SHARE = 0.1
# How much of a text, weighed as words are below, is said in a second at 160 words a minute.
WEIGHT_PER_S = 7.5
PUNCTUATION = ".,;:!?…\"')]}。，！？、；：—–"  # noqa: RUF001 - as other scripts write them
MIN_PAUSE_S = 0.12
MIN_RUN_S = 0.03
# A pause where no punctuation is costs as much as this many seconds of misfit, squared.
ODD_PAUSE_COST = 0.06
REACH = 20
LETTER_WEIGHT = 0.12
FINAL_STRETCH = 1.3
WORD = re.compile(r"\S+")
# Each of these is a syllable of its own: CJK, kana, Hangul.
SYLLABIC = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
VOWELS = re.compile(r"[aeiouyаеиоуыэюяαεηιουω]+")  # noqa: RUF001 - Cyrillic, Greek

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class WordTime:
    """Say when a word was spoken.

    Attributes:
        word: as it stands in the text.
        end_char: where it ends in the text.
        start_s: when it begins, from the start of the sound.
        end_s: when it ends.
        is_approximate: whether it was reckoned, not heard.
    """

    word: str
    end_char: int
    start_s: float
    end_s: float
    is_approximate: bool = False


@dataclass
class Loudness:
    """Follow how loud a sound is, frame by frame of `FRAME_S`; all that is kept of it.

    Attributes:
        levels: root mean squares, of samples between -1 and 1.
        duration_s: of all that was heard.
    """

    levels: list[float] = field(default_factory=list)
    duration_s: float = 0.0
    _rest: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    def add(self, samples: Floats, *, rate_hz: int) -> None:
        """Hear more of the sound: (W,) samples."""
        self.duration_s += len(samples) / rate_hz
        waiting = np.concatenate([self._rest, samples])
        frame = max(round(rate_hz * FRAME_S), 1)
        num_frames = len(waiting) // frame
        frames = waiting[: num_frames * frame].reshape(num_frames, frame)
        self._rest = waiting[num_frames * frame :]
        self.levels += np.sqrt(np.mean(frames * frames, axis=1)).tolist()

    def until(self, end_s: float) -> Loudness:
        """Give the loudness of the beginning alone."""
        return Loudness(self.levels[: round(end_s / FRAME_S)], min(end_s, self.duration_s))


def loudness_of(samples: Floats, *, rate_hz: int) -> Loudness:
    """Measure a whole sound: (W,) samples between -1 and 1."""
    loudness = Loudness()
    loudness.add(samples, rate_hz=rate_hz)
    return loudness


def cut_text(text: str, words: Sequence[WordTime], *, end_s: float) -> str:
    """Keep the words of a text that were heard, at least by half, before a time."""
    ends = [word.end_char for word in words if (word.start_s + word.end_s) / 2 <= end_s]
    return text[: max(ends, default=0)]


def syllables(word: str) -> float:
    """Estimate how many syllables a word takes to say, from its letters; digits are read out."""
    plain = unicodedata.normalize("NFKD", word.lower())
    letters = "".join(mark for mark in plain if not unicodedata.combining(mark))
    num_groups = len(VOWELS.findall(letters))
    if num_groups > 1 and re.search(r"[bcdfghjkmnpqrstvwxz]e(s|d)?\W*$", letters):
        num_groups -= 1  # a silent e, as English has it
    num_digits = sum(mark.isdigit() for mark in letters)
    num_syllabic = len(SYLLABIC.findall(word))
    num_capitals = len(word) if word.isupper() and len(word) > 1 and not num_groups else 0
    return max(float(num_groups + num_syllabic + 1.5 * num_digits + num_capitals), 0.6)


def spoken_words(text: str, loudness: Loudness, *, is_whole: bool = True) -> tuple[WordTime, ...]:
    """Reckon when each word of a text was said, by syllables and loudness.

    Args:
        text: what was said, or begun to be said.
        loudness: of the sound.
        is_whole: whether all of the text was said; if not, the words that there was time for are
            found by the usual speed, and the others are left out.
    """
    found = list(WORD.finditer(text))
    weights = np.array([_weight(match[0]) for match in found])
    runs = _voiced_runs(np.array(loudness.levels))
    if not found or not runs:
        return ()
    if not is_whole:
        voiced_s = sum(end - start for start, end in runs) * FRAME_S
        num_said = int(np.searchsorted(weights.cumsum(), voiced_s * WEIGHT_PER_S, side="right"))
        found, weights = found[:num_said], weights[:num_said]
        if not found:
            return ()
    times: list[WordTime] = []
    spans = _share_out(found, weights, runs)
    for (first, last), frames in spans:
        edges = np.interp(
            np.concatenate([[0.0], weights[first:last].cumsum()]) / weights[first:last].sum(),
            [0.0, 1.0],
            frames,
        )
        times += [
            WordTime(
                word=match[0],
                end_char=match.end(),
                start_s=float(start) * FRAME_S,
                end_s=min(float(end) * FRAME_S, loudness.duration_s),
                is_approximate=True,
            )
            for match, (start, end) in zip(
                found[first:last], itertools.pairwise(edges), strict=True
            )
        ]
    return tuple(times)


def _weight(word: str) -> float:
    """Weigh a word by the time it takes: its consonants count, and it is drawn out at an end."""
    weight = syllables(word) + LETTER_WEIGHT * sum(mark.isalpha() for mark in word)
    return weight * FINAL_STRETCH if word[-1] in PUNCTUATION else weight


def _voiced_runs(levels: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Find the stretches of speech between pauses, in frames."""
    if not len(levels):
        return []
    loud = float(np.quantile(levels, 0.9))
    quiet = float(np.quantile(levels, 0.05))
    # A sound that is never silent has no background to rise above.
    voiced = levels > max(min(quiet * 2, loud / 2), loud * VOICED_SHARE, 1e-4)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(np.int8), [0]])))
    runs: list[tuple[int, int]] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and (start - runs[-1][1]) * FRAME_S < MIN_PAUSE_S:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return [run for run in runs if (run[1] - run[0]) * FRAME_S >= MIN_RUN_S]


def _share_out(
    found: Sequence[re.Match[str]], weights: NDArray[np.float64], runs: list[tuple[int, int]]
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Give each stretch of speech its words: as many as fit, pauses rather at punctuation.

    The cheapest of all ways, where a stretch costs the square of what it is too long or too short
    for its words; only ways near an even speed are looked at.

    Returns:
        Ranges of words, each with its frames.
    """
    num_words = len(found)
    heard = np.array([end - start for start, end in runs], np.float64)
    said = np.concatenate([[0.0], weights.cumsum()]) * heard.sum() / weights.sum()
    reached = heard.cumsum()
    is_end = [match[0][-1] in PUNCTUATION for match in found]
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for idx in range(len(runs)):
        is_last = idx == len(runs) - 1
        near = int(np.searchsorted(said, reached[idx]))
        ends = [num_words] if is_last else range(max(near - REACH, 0), min(near + REACH, num_words))
        following: dict[int, tuple[float, tuple[int, ...]]] = {}
        for end in ends:
            at_word = end > 0 and is_end[end - 1]
            toll = 0.0 if at_word or is_last else ODD_PAUSE_COST
            ways = [
                (cost + toll + ((said[end] - said[start]) - heard[idx]) ** 2 * FRAME_S**2, path)
                for start, (cost, path) in best.items()
                if start <= end
            ]
            if ways:
                cost, path = min(ways)
                following[end] = (float(cost), (*path, end))
        best = following or best
    _, path = best.get(num_words, min(best.values()))
    return _spans(path, runs, num_words)


def _spans(
    path: tuple[int, ...], runs: list[tuple[int, int]], num_words: int
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Pair ranges of words with frames; a stretch without words joins the one before."""
    spans: list[tuple[tuple[int, int], tuple[int, int]]] = []
    start = 0
    for end, run in zip((*path[:-1], num_words), runs, strict=False):
        if end > start:
            spans.append(((start, end), run))
        elif spans:
            words, frames = spans[-1]
            spans[-1] = (words, (frames[0], run[1]))
        start = end
    return spans


def ctc_words(
    text: str,
    log_probs: Floats,
    tokens: Sequence[Sequence[int]],
    *,
    blank_id: int,
    frame_s: float,
) -> tuple[WordTime, ...]:
    """Find when each word of a text was said, by what a model heard: CTC forced alignment.

    Args:
        text: what was said.
        log_probs: (T, V) log-probabilities of tokens by frame.
        tokens: the token ids of each word of the text, in order; a word may have none.
        blank_id: the token that stands for no token.
        frame_s: time from one frame to the next.

    Raises:
        InvalidRequest: the tokens do not fit the text, or there are fewer frames than they need.
    """
    found = list(WORD.finditer(text))
    if len(found) != len(tokens):
        raise InvalidRequest(
            f"the text has {len(found)} words, but tokens of {len(tokens)} were given; give those "
            "of each word between white space"
        )
    spans = ctc_spans(log_probs, [token for word in tokens for token in word], blank_id=blank_id)
    times: list[WordTime] = []
    idx = 0
    for match, word in zip(found, tokens, strict=True):
        own = spans[idx : idx + len(word)]
        idx += len(word)
        last_s = times[-1].end_s if times else 0.0
        start_s = own[0][0] * frame_s if own else last_s
        end_s = own[-1][1] * frame_s if own else last_s
        times.append(WordTime(word=match[0], end_char=match.end(), start_s=start_s, end_s=end_s))
    return tuple(times)


def ctc_spans(
    log_probs: Floats, token_ids: Sequence[int], *, blank_id: int
) -> list[tuple[int, int]]:
    """Find the frames of each token on the likeliest path through all of them.

    Source: Graves et al. 2006, the states of CTC; the maximum taken in place of the sum.

    Returns:
        First frame and the one after the last, for each token.

    Raises:
        InvalidRequest: there are fewer frames than the tokens need.
    """
    if not token_ids:
        return []
    num_frames = len(log_probs)
    repeats = sum(a == b for a, b in itertools.pairwise(token_ids))
    if num_frames < len(token_ids) + repeats:
        raise InvalidRequest(
            f"{len(token_ids)} tokens need {len(token_ids) + repeats} frames of sound, but there "
            f"are {num_frames}; is this the text of this sound?"
        )
    states = np.full(2 * len(token_ids) + 1, blank_id)
    states[1::2] = token_ids
    may_skip = np.zeros(len(states), bool)
    may_skip[3::2] = states[3::2] != states[1:-2:2]
    emitted = log_probs[:, states]  # (T, 2n+1)
    steps = np.zeros(emitted.shape, np.int8)
    score = np.full(len(states), -np.inf)
    score[:2] = emitted[0, :2]
    for t in range(1, num_frames):
        one = np.concatenate([[-np.inf], score[:-1]])
        two = np.where(may_skip, np.concatenate([[-np.inf, -np.inf], score[:-2]]), -np.inf)
        ways = np.stack([score, one, two])
        steps[t] = ways.argmax(0)
        score = ways.max(0) + emitted[t]
    state = len(states) - (1 if score[-1] >= score[-2] else 2)
    path = np.zeros(num_frames, np.int64)
    for t in range(num_frames - 1, -1, -1):
        path[t] = state
        state -= int(steps[t, state])
    spans = []
    for idx in range(len(token_ids)):
        frames = np.flatnonzero(path == 2 * idx + 1)
        spans.append((int(frames[0]), int(frames[-1]) + 1))
    return spans
