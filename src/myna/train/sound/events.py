"""Sound events that can be named, and questions about them: which, how many, how high, in which
order.

Every clip is known exactly: when each event begins and ends, and how high it is.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from myna.train.examples import Example, Samples, Sound
from myna.train.language import words
from myna.train.language.numbers import in_words
from myna.train.sound import timbres
from myna.train.sound.utterance import PEAK, RATE_HZ

ABILITY = "sound_event"
QUIET = "silence"
_HEARD = (
    "beep bell buzz chord clap click drum flute guitar harp knock noise organ piano siren tone "
    "trumpet violin whistle"
)
KINDS = (QUIET, *_HEARD.split())
KIND_IDS = {kind: i for i, kind in enumerate(KINDS)}
INSTRUMENTS = tuple(timbres.PROGRAMS)
SHORT = ("beep", "bell", "clap", "click", "drum", "knock")  # those that are counted
LOWEST_HZ = 110.0
NUM_PITCHES = 25  # none, and a quarter of an octave each
LOW_HZ, HIGH_HZ = (150.0, 350.0), (900.0, 2200.0)  # what is called low and high
UNCOUNTED = ("noise",)


@dataclass(frozen=True)
class Event:
    """Say what is heard from when to when.

    Attributes:
        kind: one of `KINDS`.
        start_s: when it begins.
        end_s: when it has died away, or the next begins.
        hz: its height at the beginning and the end, if it has one.
    """

    kind: str
    start_s: float
    end_s: float
    hz: tuple[float, float] | None


@dataclass(frozen=True)
class Scene:
    """Hold a clip of events; `samples` has 16 kHz."""

    samples: Samples
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Asked:
    """Hold a question about a clip, with its answer."""

    scene: Scene
    question: str
    answer: str


@dataclass(frozen=True)
class Wish:
    """Ask for an event.

    Attributes:
        kind: one of `KINDS`.
        hz: its height, of kinds that have one; drawn if not given.
        end_hz: glide there.
        seconds: drawn if not given.
    """

    kind: str
    hz: float | None = None
    end_hz: float | None = None
    seconds: float | None = None


def scene(wishes: tuple[Wish, ...], rng: random.Random) -> Scene:
    """Sound events one after another, with quiet around them and a little noise under them."""
    at = rng.uniform(0.05, 0.5)
    gap = rng.uniform(0.12, 0.45)
    sounds: list[tuple[float, Samples]] = []
    events: list[Event] = []
    for wish in wishes:
        sound, hz = _sounded(wish, rng)
        sound = sound * np.float32(rng.uniform(0.5, 1.0) / max(1e-6, float(np.abs(sound).max())))
        sounds.append((at, sound))
        events.append(Event(wish.kind, at, at + _heard_s(sound), hz))
        at = events[-1].end_s + gap * rng.uniform(0.8, 1.25)
    length = round((at + rng.uniform(0.0, 0.5)) * RATE_HZ)
    clip = np.zeros(length + RATE_HZ, np.float32)
    for start_s, sound in sounds:
        start = round(start_s * RATE_HZ)
        room = clip[start : start + len(sound)]
        room += sound[: len(room)]
    clip = clip[:length]
    generator = np.random.default_rng(rng.randrange(1 << 30))
    clip += generator.standard_normal(length).astype(np.float32) * 10 ** rng.uniform(-5, -2)
    clip *= PEAK * 10 ** rng.uniform(-1.0, 0.0) / max(1e-6, float(np.abs(clip).max()))
    return Scene(np.clip(clip, -1, 1), tuple(events))


def pitch_id(hz: float) -> int:
    """Number a height from 1 on, a quarter of an octave each."""
    return min(NUM_PITCHES - 1, max(1, 1 + round(4 * math.log2(hz / LOWEST_HZ))))


def make(rng: random.Random) -> Example:
    """Ask a question about sound events."""
    asked = ask(rng)
    return Example(ABILITY, (Sound(asked.scene.samples), asked.question), asked.answer)


def ask(rng: random.Random) -> Asked:
    """Ask a question, and keep what is known about the clip."""
    return rng.choices(_ASKED, _WEIGHTS)[0](rng)


def named(kind: str) -> str:
    """Name an event with its article."""
    return kind if kind in UNCOUNTED else words.with_article(kind)


def _sounded(wish: Wish, rng: random.Random) -> tuple[Samples, tuple[float, float] | None]:
    if wish.kind in timbres.PROGRAMS:
        low, high = timbres.PROGRAMS[wish.kind][1]
        key = (
            rng.randint(low, high) if wish.hz is None else round(69 + 12 * math.log2(wish.hz / 440))
        )
        hz = 440 * 2 ** ((key - 69) / 12)
        return timbres.instrument(wish.kind, key, wish.seconds or rng.uniform(0.3, 1.2), rng), (
            hz,
            hz,
        )
    drawn = wish.hz or _HEIGHTS.get(wish.kind, (300.0, 600.0))[0] * 2 ** (
        rng.random() * math.log2(_ratio(wish.kind))
    )
    if wish.end_hz is not None:
        return timbres.gliding(drawn, wish.end_hz, wish.seconds or 1.0), (drawn, wish.end_hz)
    seconds = wish.seconds or rng.uniform(*_SECONDS.get(wish.kind, (0.4, 1.0)))
    has_height = wish.kind in _HEIGHTS
    sound = timbres.COMPUTED[wish.kind](drawn, seconds, rng)
    return sound, (drawn, drawn) if has_height else None


_HEIGHTS = {
    "beep": (400.0, 2200.0),
    "tone": (180.0, 2000.0),
    "buzz": (70.0, 160.0),
    "bell": (300.0, 1200.0),
    "chord": (150.0, 500.0),
}
_SECONDS = {"beep": (0.1, 0.3), "bell": (0.7, 1.4), "clap": (0.2, 0.25), "siren": (1.2, 2.2)}


def _ratio(kind: str) -> float:
    low, high = _HEIGHTS.get(kind, (300.0, 600.0))
    return high / low


def _heard_s(sound: Samples) -> float:
    """Tell when a sound has fallen 30 dB below its loudest."""
    loud = np.flatnonzero(np.abs(sound) > 0.03 * np.abs(sound).max())
    return float(loud[-1] + 1) / RATE_HZ


def _which(rng: random.Random) -> Asked:
    kind = rng.choice(KINDS[1:])
    question = rng.choice(
        ("what do you hear?", "what is this sound?", "name the sound.", "which sound is this?")
    )
    return Asked(scene((Wish(kind),), rng), question, named(kind))


def _instrument(rng: random.Random) -> Asked:
    kind = rng.choice(INSTRUMENTS)
    notes = tuple(Wish(kind, seconds=rng.uniform(0.2, 0.6)) for _ in range(rng.randint(1, 4)))
    question = rng.choice(
        ("which instrument is played?", "what instrument do you hear?", "name the instrument.")
    )
    return Asked(scene(notes, rng), question, named(kind))


def _count(rng: random.Random) -> Asked:
    kind, number = rng.choice(SHORT), rng.randint(1, 6)
    wish = Wish(kind, _drawn_hz(kind, rng), seconds=rng.uniform(0.1, 0.3))
    question = rng.choice(
        (
            f"how many {words.plural(kind)} do you hear?",
            f"count the {words.plural(kind)}.",
            f"how many {words.plural(kind)} are there?",
        )
    )
    return Asked(scene((wish,) * number, rng), question, in_words(number))


def _drawn_hz(kind: str, rng: random.Random) -> float | None:
    return rng.uniform(*_HEIGHTS[kind]) if kind in _HEIGHTS else None


def _height(rng: random.Random) -> Asked:
    is_high = rng.random() < 0.5
    kind = rng.choice(("tone", "tone", "beep"))
    hz = rng.uniform(*(HIGH_HZ if is_high else LOW_HZ))
    found = scene((Wish(kind, hz, seconds=rng.uniform(0.3, 1.0)),), rng)
    question = rng.choice((f"is the {kind} high or low?", f"is this {kind} high or low?"))
    return Asked(found, question, "high" if is_high else "low")


def _motion(rng: random.Random) -> Asked:
    is_rising = rng.random() < 0.5
    low = rng.uniform(200, 700)
    ends = (low, low * rng.uniform(1.5, 3.0))
    start, end = ends if is_rising else reversed(ends)
    found = scene((Wish("tone", start, end, rng.uniform(0.6, 1.5)),), rng)
    question = rng.choice(("is the tone rising or falling?", "does the tone rise or fall?"))
    return Asked(found, question, "rising" if is_rising else "falling")


def _higher(rng: random.Random) -> Asked:
    kind = rng.choice(("tone", "beep", "piano", "flute"))
    low = rng.uniform(250, 700)
    pair = [low, low * rng.uniform(1.4, 2.5)]
    rng.shuffle(pair)
    found = scene(tuple(Wish(kind, hz, seconds=0.4) for hz in pair), rng)
    is_higher = rng.random() < 0.5
    is_first = (pair[0] > pair[1]) == is_higher
    sound = "note" if kind in INSTRUMENTS else kind
    question = f"which {sound} is {'higher' if is_higher else 'lower'}, the first or the second?"
    return Asked(found, question, "the first" if is_first else "the second")


def _order(rng: random.Random) -> Asked:
    first, second = rng.sample(KINDS[1:], 2)
    found = scene((Wish(first), Wish(second)), rng)
    kind = rng.random()
    if kind < 0.4:
        is_first = rng.random() < 0.5
        question = f"which sound comes {'first' if is_first else 'last'}?"
        return Asked(found, question, named(first if is_first else second))
    if kind < 0.7:
        question = rng.choice(("which two sounds do you hear?", "what do you hear, in order?"))
        return Asked(found, question, f"{named(first)} and then {named(second)}")
    asked, other = rng.choice(((first, second), (second, first)))
    place = rng.choice(("before", "after"))
    right = (asked == first) == (place == "before")
    question = f"do you hear the {asked} {place} the {other}?"
    return Asked(found, question, "yes" if right else "no")


def _presence(rng: random.Random) -> Asked:
    there = rng.sample(KINDS[1:], rng.choice((1, 2)))
    is_there = rng.random() < 0.5
    others = [kind for kind in KINDS[1:] if kind not in there]
    asked = rng.choice(there if is_there else others)
    question = f"do you hear {named(asked)}?"
    return Asked(scene(tuple(map(Wish, there)), rng), question, "yes" if is_there else "no")


_ASKED: tuple[Callable[[random.Random], Asked], ...] = (
    _which,
    _instrument,
    _count,
    _height,
    _motion,
    _higher,
    _order,
    _presence,
)
_WEIGHTS = (3, 2, 3, 1, 1, 1, 3, 1)
