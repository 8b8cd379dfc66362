"""Every frame of the encoder knows what is heard in it."""

from __future__ import annotations

import numpy as np

from myna.train.nano_config import nano_config
from myna.train.shapes import SOUND_CHUNK_FRAMES
from myna.train.sound.events import KIND_IDS, Event, pitch_id
from myna.train.sound.frames import OTHER, centres, event_targets, segments, targets
from myna.train.sound.phones import PHONE_IDS
from myna.train.sound.utterance import Span

WORDS = (Span("cat", 0.2, 0.5), Span("cat", 0.5, 0.8), Span("zyx", 0.9, 1.1))
PHONES = (Span("sil", 0.0, 0.2), Span("k", 0.2, 0.24), Span("ae", 0.24, 1.2))


def test_frames_begin_anew_with_every_chunk() -> None:
    found = centres(SOUND_CHUNK_FRAMES + 50)
    assert len(found) == SOUND_CHUNK_FRAMES // 8 + 7
    assert found[[0, 1, 100, 101]].tolist() == [0.0, 0.08, 8.0, 8.08]


def test_a_frame_counts_as_many_as_the_encoder_makes() -> None:
    config = nano_config().thinker.audio
    assert config.chunk_frames == SOUND_CHUNK_FRAMES
    for length in (3, 100, 101, 799, 800, 801):
        assert len(centres(length)) == config.num_tokens(length)


def test_slots_hold_what_is_spoken_at_their_time() -> None:
    found = targets(WORDS, PHONES, num_mel_frames=120, vocabulary={"cat": 2})
    assert found.phones.shape == (15, 4)
    # Frame 3 is centred at 0.24 s: its slots are at 0.21, 0.23, 0.25 and 0.27 s.
    assert found.phones[3].tolist() == [PHONE_IDS[name] for name in ("k", "k", "ae", "ae")]
    assert found.words[3].tolist() == [2, 2]
    assert found.words[12].tolist() == [OTHER, OTHER]
    assert found.begins.sum() == 3


def test_slots_divide_into_the_words_again() -> None:
    found = targets(WORDS, PHONES, num_mel_frames=120, vocabulary={"cat": 2})
    parts = segments(found.begins.ravel() > 0, found.words.ravel() > 0)
    assert [int(found.words.ravel()[part.start]) for part in parts] == [2, 2, OTHER]


def test_a_word_needs_no_beginning_after_silence() -> None:
    assert segments([False] * 5, [True, True, False, True, True]) == [range(2), range(3, 5)]


def test_silence_has_no_words() -> None:
    found = targets((), (Span("sil", 0.0, 1.0),), num_mel_frames=100, vocabulary={})
    assert not found.words.any()
    assert not found.begins.any()


def test_events_have_a_kind_an_onset_and_a_height() -> None:
    gliding = Event("tone", 0.24, 0.56, (220.0, 440.0))
    found = event_targets((gliding, Event("clap", 0.8, 0.9, None)), num_mel_frames=100)
    assert found.kinds.tolist() == [
        KIND_IDS["tone"] if 3 <= i < 7 else KIND_IDS["clap"] if i in (10, 11) else 0
        for i in range(13)
    ]
    assert np.argwhere(found.onsets).tolist()[0] == [3, 0]
    assert found.pitches[3] == pitch_id(220.0)
    assert found.pitches[6] > found.pitches[3]
    assert not found.pitches[10:].any()
