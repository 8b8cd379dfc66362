"""What is heard in each frame of the audio encoder: the targets that ears are trained with.

The three convolutions centre frame j of a chunk on the chunk's mel frame 8j; around there are four
slots for phones and two for words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from myna.train.shapes import SOUND_CHUNK_FRAMES
from myna.train.sound.events import KIND_IDS, Event, pitch_id
from myna.train.sound.events import QUIET as QUIET_EVENT
from myna.train.sound.phones import PHONE_IDS
from myna.train.sound.utterance import Span

Ids = NDArray[np.int64]
HZ = 100  # mel frames a second
SHORTENING = 8  # mel frames become one frame of the encoder
FRAME_S = SHORTENING / HZ
NUM_PHONE_SLOTS = 4
NUM_WORD_SLOTS = 2
QUIET, OTHER = 0, 1  # what a word slot holds when it holds no known word


@dataclass(frozen=True)
class Targets:
    """Hold what T frames should tell.

    Attributes:
        phones: (T, 4), numbers of `phones.PHONES`.
        words: (T, 2), numbers of a vocabulary.
        begins: (T, 2), one where a word's first slot is, else zero.
    """

    phones: Ids
    words: Ids
    begins: Ids


@dataclass(frozen=True)
class EventTargets:
    """Hold what T frames of sound events should tell.

    Attributes:
        kinds: (T,), numbers of `events.KINDS`.
        onsets: (T, 2), one where an event begins.
        pitches: (T,), as `events.pitch_id` numbers them; zero where nothing has a height.
    """

    kinds: Ids
    onsets: Ids
    pitches: Ids


def centres(num_mel_frames: int) -> NDArray[np.float64]:
    """Give the middle of every encoder frame in seconds: (T,); each chunk begins anew."""
    starts = range(0, num_mel_frames, SOUND_CHUNK_FRAMES)
    lengths = [min(SOUND_CHUNK_FRAMES, num_mel_frames - start) for start in starts]
    return np.concatenate(
        [
            start / HZ + np.arange(-(-length // SHORTENING)) * FRAME_S
            for start, length in zip(starts, lengths, strict=True)
        ]
    )


def targets(
    words: Sequence[Span],
    phones: Sequence[Span],
    *,
    num_mel_frames: int,
    vocabulary: Mapping[str, int],
) -> Targets:
    """Look up what is heard in each slot of each frame.

    Args:
        words: when each word is spoken.
        phones: when each phone is spoken.
        num_mel_frames: of the clip.
        vocabulary: a number, from 2 on, for each known word.
    """
    middles = centres(num_mel_frames)
    heard = np.array([PHONE_IDS[phone.name] for phone in phones], np.int64)
    phone_ids = _looked_up(phones, heard, _slots(middles, NUM_PHONE_SLOTS), nothing=0)
    at = _looked_up(words, np.arange(len(words)), _slots(middles, NUM_WORD_SLOTS), nothing=-1)
    known = np.array([*(vocabulary.get(word.name, OTHER) for word in words), QUIET], np.int64)
    flat = at.ravel()
    before = np.concatenate(([-1], flat[:-1]))
    begins = ((flat >= 0) & (flat > np.maximum.accumulate(before))).astype(np.int64)
    return Targets(phone_ids, known[at], begins.reshape(at.shape))


def event_targets(events: Sequence[Event], *, num_mel_frames: int) -> EventTargets:
    """Look up which event is heard in each frame, and where events begin.

    Args:
        events: in order.
        num_mel_frames: of the clip.
    """
    spans = [Span(event.kind, event.start_s, event.end_s) for event in events]
    middles = centres(num_mel_frames)
    at = _looked_up(spans, np.arange(len(spans)), middles, nothing=-1)
    kinds = np.array([*(KIND_IDS[event.kind] for event in events), KIND_IDS[QUIET_EVENT]], np.int64)
    pitches = np.zeros(len(middles), np.int64)
    for frame in np.flatnonzero(at >= 0).tolist():
        event = events[at[frame]]
        if event.hz is not None:
            done = (middles[frame] - event.start_s) / (event.end_s - event.start_s)
            pitches[frame] = pitch_id(event.hz[0] * (event.hz[1] / event.hz[0]) ** done)
    slots = _slots(middles, NUM_WORD_SLOTS)
    half = FRAME_S / NUM_WORD_SLOTS / 2
    onsets = np.zeros(slots.shape, np.int64)
    for event in events:
        onsets |= np.abs(slots - event.start_s) <= half
    return EventTargets(kinds[at], onsets, pitches)


def segments(begins: Sequence[bool], is_spoken: Sequence[bool]) -> list[range]:
    """Divide slots into words: each lasts until the next begins, or until nothing is said.

    Args:
        begins: whether a word begins in a slot.
        is_spoken: whether anything is said in it.
    """
    found: list[range] = []
    for slot, (begin, spoken) in enumerate(zip(begins, is_spoken, strict=True)):
        if not spoken:
            continue
        if begin or not found or found[-1].stop != slot:
            found.append(range(slot, slot + 1))
        else:
            found[-1] = range(found[-1].start, slot + 1)
    return found


def _slots(middles: NDArray[np.float64], num_slots: int) -> NDArray[np.float64]:
    """Divide each frame evenly: (T, slots) seconds."""
    width = FRAME_S / num_slots
    return middles[:, None] + (np.arange(num_slots) - (num_slots - 1) / 2) * width


def _looked_up(spans: Sequence[Span], ids: Ids, times: NDArray[np.float64], *, nothing: int) -> Ids:
    """Find the number of the span around each time."""
    if not spans:
        return np.full(times.shape, nothing, np.int64)
    starts = np.array([span.start_s for span in spans])
    ends = np.array([span.end_s for span in spans])
    place = np.searchsorted(starts, times, "right") - 1
    inside = (place >= 0) & (times < ends[place])
    return np.where(inside, ids[place], nothing)
