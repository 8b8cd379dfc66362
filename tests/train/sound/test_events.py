"""Sound events are where they are said to be, and answers are true of them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from myna.train.examples import Sound
from myna.train.sound import soundfont
from myna.train.sound.events import KINDS, Wish, ask, make, named, pitch_id, scene
from myna.train.sound.soundfont import FONT, Soundfont
from myna.train.sound.timbres import COMPUTED, PROGRAMS
from myna.train.sound.utterance import RATE_HZ


@pytest.fixture
def font() -> None:
    """Need FluidSynth and its font."""
    if not FONT.exists():
        pytest.skip(f"{FONT} is not here (Debian: timgm6mb-soundfont, libfluidsynth3)")


def level(samples: np.ndarray, start_s: float, end_s: float) -> float:
    return float(np.abs(samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]).mean())


@pytest.mark.parametrize("kind", sorted(COMPUTED))
def test_an_event_is_heard_in_its_time(kind: str) -> None:
    found = scene((Wish(kind), Wish(kind)), random.Random(4))
    first, second = found.events
    assert 0 < first.start_s < first.end_s < second.start_s < second.end_s
    assert second.end_s <= len(found.samples) / RATE_HZ
    between = level(found.samples, first.end_s + 0.03, second.start_s - 0.01)
    assert level(found.samples, first.start_s, first.end_s) > 3 * between
    assert np.abs(found.samples).max() <= 1.0


def test_a_gliding_tone_ends_higher() -> None:
    found = scene((Wish("tone", 300.0, 900.0, 1.0),), random.Random(1))
    event = found.events[0]
    assert event.hz == (300.0, 900.0)
    start = round(event.start_s * RATE_HZ)
    crossings = np.diff(np.sign(found.samples[start : start + RATE_HZ])) != 0
    assert crossings[-4000:].sum() > 1.5 * crossings[:4000].sum()


def test_pitches_are_numbered_by_quarters_of_an_octave() -> None:
    assert [pitch_id(hz) for hz in (50.0, 110.0, 220.0, 440.0, 9000.0)] == [1, 1, 5, 9, 24]


def test_names_carry_their_article() -> None:
    assert [named(kind) for kind in ("bell", "organ", "noise")] == ["a bell", "an organ", "noise"]


def test_every_kind_can_be_sounded() -> None:
    assert sorted(KINDS[1:]) == sorted((*COMPUTED, *PROGRAMS))


@pytest.mark.usefixtures("font")
def test_counts_are_true() -> None:
    rng = random.Random(2)
    numbers = "zero one two three four five six".split()  # noqa: SIM905 - reads as it counts
    counted = [asked for asked in (ask(rng) for _ in range(60)) if asked.answer in numbers]
    assert counted
    for asked in counted:
        assert len(asked.scene.events) == numbers.index(asked.answer)
        assert len({event.kind for event in asked.scene.events}) == 1


@pytest.mark.usefixtures("font")
def test_answers_name_what_is_there() -> None:
    rng = random.Random(7)
    for asked in (ask(rng) for _ in range(40)):
        if asked.question.startswith(("what do you", "name the", "which instrument")):
            assert named(asked.scene.events[0].kind) in asked.answer


@pytest.mark.usefixtures("font")
def test_equal_seeds_ask_the_same() -> None:
    first, again = (make(random.Random(9)) for _ in range(2))
    assert (first.ability, first.answer) == (again.ability, again.answer)
    sounds = [part for made in (first, again) for part in made.question if isinstance(part, Sound)]
    assert (sounds[0].samples == sounds[1].samples).all()


@pytest.mark.usefixtures("font")
def test_a_note_has_the_pitch_of_its_key() -> None:
    samples = soundfont.note(73, 69, 5)
    spectrum = np.abs(np.fft.rfft(samples[2000:6000], 1 << 15))
    assert spectrum.argmax() * RATE_HZ / (1 << 15) == pytest.approx(440, rel=0.02)


@pytest.mark.usefixtures("font")
def test_a_file_that_is_no_font_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.sf2"
    path.write_bytes(b"no font")
    with pytest.raises(FileNotFoundError, match="no soundfont that can be read; install timgm6mb"):
        Soundfont(path)
