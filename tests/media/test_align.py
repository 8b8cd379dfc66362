"""When words were said: by a model's log-probabilities, and by syllables and loudness."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from myna.core.errors import InvalidRequest
from myna.media.align import (
    Loudness,
    ctc_spans,
    ctc_words,
    cut_text,
    loudness_of,
    spoken_words,
    syllables,
)
from spoken_sentences import Spoken, sentences, speak

RATE_HZ = 16_000
MEDIAN_S = 0.08
BLANK = 0


@pytest.fixture(scope="module")
def spoken() -> list[Spoken]:
    """Speak fifty sentences."""
    return speak(sentences(50, seed=1))


def errors_s(spoken: list[Spoken]) -> list[float]:
    """Compare where words begin with where they were reckoned to."""
    found = []
    for sentence in spoken:
        loudness = loudness_of(sentence.samples, rate_hz=sentence.rate_hz)
        for word in spoken_words(sentence.text, loudness):
            start_char = word.end_char - len(word.word)
            if start_char in sentence.starts_s:
                found.append(abs(word.start_s - sentence.starts_s[start_char]))
    return found


def test_words_of_fifty_sentences_are_found_by_syllables(spoken: list[Spoken]) -> None:
    found = errors_s(spoken)
    assert len(found) > 450
    assert float(np.median(found)) <= MEDIAN_S


def test_every_word_has_a_time_after_the_one_before(spoken: list[Spoken]) -> None:
    for sentence in spoken:
        loudness = loudness_of(sentence.samples, rate_hz=sentence.rate_hz)
        words = spoken_words(sentence.text, loudness)
        assert [word.word for word in words] == sentence.text.split()
        assert all(word.is_approximate for word in words)
        assert all(word.start_s < word.end_s for word in words)
        pairs = itertools.pairwise(words)
        assert all(before.end_s <= after.start_s + 1e-9 for before, after in pairs)
        assert words[-1].end_s <= loudness.duration_s


def test_what_was_cut_is_what_was_not_heard(spoken: list[Spoken]) -> None:
    misses = []
    for sentence in spoken:
        loudness = loudness_of(sentence.samples, rate_hz=sentence.rate_hz)
        end_s = loudness.duration_s / 2
        kept = cut_text(sentence.text, spoken_words(sentence.text, loudness), end_s=end_s)
        heard = sum(start_s < end_s for start_s in sentence.starts_s.values())
        misses.append(abs(len(kept.split()) - heard))
    assert float(np.mean(misses)) <= 1.2


def test_of_an_answer_that_was_broken_off_only_the_beginning_was_said(
    spoken: list[Spoken],
) -> None:
    misses = []
    for sentence in spoken:
        end_s = len(sentence.samples) / sentence.rate_hz / 2
        begun = sentence.samples[: len(sentence.samples) // 2]
        loudness = loudness_of(begun, rate_hz=sentence.rate_hz)
        words = spoken_words(sentence.text, loudness, is_whole=False)
        heard = sum(start_s < end_s for start_s in sentence.starts_s.values())
        misses.append(abs(len(words) - heard))
    assert float(np.mean(misses)) <= 1.6


def test_silence_and_empty_texts_have_no_words() -> None:
    tone = np.sin(np.arange(RATE_HZ)).astype(np.float32)
    assert spoken_words("hello", Loudness()) == ()
    assert spoken_words("hello", loudness_of(0 * tone, rate_hz=RATE_HZ)) == ()
    assert spoken_words("  ", loudness_of(tone, rate_hz=RATE_HZ)) == ()
    short = loudness_of(tone[:800], rate_hz=RATE_HZ)
    assert spoken_words("extraordinarily", short, is_whole=False) == ()
    assert cut_text("hello there", (), end_s=1.0) == ""


def test_loudness_is_the_same_however_sound_comes() -> None:
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, RATE_HZ).astype(np.float32)
    whole, pieces = loudness_of(sound, rate_hz=RATE_HZ), Loudness()
    for piece in np.array_split(sound, [7, 160, 161, 5000]):
        pieces.add(piece, rate_hz=RATE_HZ)
    assert pieces.levels == pytest.approx(whole.levels)
    assert pieces.duration_s == pytest.approx(1.0)
    assert pieces.until(0.25).duration_s == 0.25
    assert len(pieces.until(0.25).levels) == 25


@pytest.mark.parametrize(
    ("word", "count"),
    [("cat", 1), ("water", 2), ("time", 1), ("library", 3), ("2026", 6), ("八哥", 2), ("hmm", 0.6),
     ("Straße", 2), ("погода", 3), ("HTTP", 4)],
)  # fmt: skip
def test_syllables_are_estimated(word: str, count: float) -> None:
    assert syllables(word) == pytest.approx(count)


def best_path(log_probs: np.ndarray, token_ids: list[int]) -> float:
    """Score the likeliest path by looking at all of them."""
    num_frames, num_tokens = log_probs.shape
    best = -np.inf
    for path in itertools.product(range(num_tokens), repeat=num_frames):
        merged = [token for token, _ in itertools.groupby(path)]
        if [token for token in merged if token != BLANK] == token_ids:
            best = max(best, sum(log_probs[t, token] for t, token in enumerate(path)))
    return float(best)


@pytest.mark.parametrize("token_ids", [[1], [1, 2], [1, 1], [2, 1, 2], [1, 2, 2]])
def test_alignment_is_the_likeliest_path(token_ids: list[int]) -> None:
    rng = np.random.default_rng(len(token_ids))
    for _ in range(20):
        logits = rng.normal(0, 2, (6, 3))
        log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        spans = ctc_spans(log_probs.astype(np.float32), token_ids, blank_id=BLANK)
        path = np.full(6, BLANK)
        for token, (first, last) in zip(token_ids, spans, strict=True):
            path[first:last] = token
        score = sum(float(log_probs[t, token]) for t, token in enumerate(path))
        assert score == pytest.approx(best_path(log_probs, token_ids), abs=1e-4)


def test_words_take_the_times_of_their_tokens() -> None:
    frames = [0, 1, 1, 0, 2, 0, 0, 3, 3, 0]
    log_probs = np.full((len(frames), 4), -10.0, np.float32)
    log_probs[np.arange(len(frames)), frames] = 0.0
    words = ctc_words("ab -- c", log_probs, [[1, 2], [], [3]], blank_id=BLANK, frame_s=0.02)
    times = [(word.word, word.end_char, word.start_s, word.end_s) for word in words]
    assert times == [
        ("ab", 2, pytest.approx(0.02), pytest.approx(0.10)),
        ("--", 5, pytest.approx(0.10), pytest.approx(0.10)),
        ("c", 7, pytest.approx(0.14), pytest.approx(0.18)),
    ]
    assert not any(word.is_approximate for word in words)
    assert ctc_spans(log_probs, [], blank_id=BLANK) == []


def test_what_cannot_be_aligned_is_refused() -> None:
    log_probs = np.zeros((2, 3), np.float32)
    with pytest.raises(InvalidRequest, match="2 tokens need 3 frames of sound, but there are 2"):
        ctc_spans(log_probs, [1, 1], blank_id=BLANK)
    with pytest.raises(InvalidRequest, match="the text has 2 words, but tokens of 1 were given"):
        ctc_words("one two", log_probs, [[1]], blank_id=BLANK, frame_s=0.02)
