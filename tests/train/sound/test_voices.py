"""Synthesizers tell when they say what."""

from __future__ import annotations

import ctypes
import random

import numpy as np
import pytest

from myna.train.examples import Example, Sound, Spoken
from myna.train.sound import espeak, flite
from myna.train.sound.utterance import RATE_HZ, NotSpoken, Utterance
from myna.train.sound.voices import say, voiced

ESPEAK = {"espeak": 1.0}


def needs(library: str, package: str) -> None:
    try:
        ctypes.CDLL(library)
    except OSError:
        pytest.skip(f"{library} is not here (Debian: {package})")


@pytest.fixture
def robot() -> espeak.Espeak:
    needs(espeak.LIBRARY, "libespeak-ng1")
    return espeak.espeak()


@pytest.fixture
def recorded() -> flite.Flite:
    needs(flite.LIBRARIES[0], "libflite1")
    return flite.flite()


def check(said: Utterance) -> None:
    """Words come in order within the sound, phones without gaps, and speech is louder than rest."""
    assert [span.name for span in said.words] == said.text.split()
    ends = [span.end_s for span in said.phones]
    assert ends == sorted(ends)
    assert said.words[-1].end_s <= said.seconds + 0.01
    start, end = (round(s * RATE_HZ) for s in (said.words[0].start_s, said.words[-1].end_s))
    loud = np.abs(said.samples)
    margin = RATE_HZ // 20
    around = np.concatenate(([0.0], loud[: max(0, start - margin)], loud[end + margin :]))
    assert loud[start:end].mean() > 5 * around.mean()


def test_espeak_tells_times(robot: espeak.Espeak) -> None:
    said = robot.say("the red apple is forty two", espeak.Manner(voice="en-us+f3"))
    check(said)
    heard = " ".join(span.name for span in said.phones if span.name != "sil")
    assert heard == "dh ah r eh d ae p ah l ih z f ao r t iy t uw"


def test_flite_tells_times(recorded: flite.Flite) -> None:
    said = recorded.say("the red apple is forty two", flite.Manner(voice="rms"))
    check(said)
    heard = " ".join(span.name for span in said.phones if span.name != "sil")
    assert heard == "dh ah r eh d ae p ah l ih z f ao r t iy t uw"


def test_a_among_letters_is_a_letter(robot: espeak.Espeak, recorded: flite.Flite) -> None:
    for said in (
        robot.say("a b and a cat", espeak.Manner(voice="en-us+m1")),
        recorded.say("a b and a cat", flite.Manner(voice="rms")),
    ):
        vowels = [span.name for span in said.phones if span.name in ("ey", "ah")]
        assert vowels[0] == "ey"
        assert vowels[-1] == "ah"


def test_voices_that_are_not_there_are_named(robot: espeak.Espeak, recorded: flite.Flite) -> None:
    with pytest.raises(NotSpoken, match="espeak-ng has no voice 'xx-yy'"):
        robot.say("hello", espeak.Manner(voice="xx-yy"))
    with pytest.raises(NotSpoken, match="flite has no voice 'nobody'"):
        recorded.say("hello", flite.Manner(voice="nobody"))


@pytest.mark.usefixtures("robot")
def test_equal_seeds_choose_the_same_voice() -> None:
    first, again = (say("good morning", random.Random(5), weights=ESPEAK) for _ in range(2))
    assert first.voice == again.voice
    # The library draws its own jitter and cannot be seeded.
    assert first.seconds == pytest.approx(again.seconds, rel=0.02)


@pytest.mark.usefixtures("robot")
def test_what_is_to_be_said_becomes_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("myna.train.sound.voices.LIVE", ESPEAK)
    asked = Example("answer_aloud", ("listen", Spoken("spell cat")), "c a t")
    made = voiced(asked, random.Random(1))
    assert made.question[0] == "listen"
    assert isinstance(made.question[1], Sound)
    assert made.answer == "c a t"
