"""The voices that nano learns to hear from. One whole voice is known only to the evaluation."""

from __future__ import annotations

import random
from dataclasses import replace

from myna.train.examples import Example, Samples, Sound, Spoken
from myna.train.sound import espeak, flite, hibari_voice
from myna.train.sound.utterance import NotSpoken, Utterance, stretched

ACCENTS = (
    "en-us",
    "en-us",
    "en-us",
    "en-us",
    "en-029",
    "en-gb-x-rp",
    "en-us-nyc",
    "en-gb-scotland",
)
_VARIANTS = (
    "f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 m6 m7 m8 Alex Alicia Andrea Andy Annie Denis Diogo Gene "
    "Henrique Hugo Jacky Lee Marco Mario Michael Mike adam anika belinda benjamin caleb david ed "
    "edward grandma iven john linda max michel paul rob robert steph victor klatt2 klatt4"
)
VARIANTS = tuple(_VARIANTS.split())
FLITE = {"rms": 105.0, "awb": 120.0, "kal16": 105.0}  # their middles in Hz
WEIGHTS = {"hibari": 0.15, "hibari-bent": 0.3, "flite": 0.25, "espeak": 0.3}
LIVE = {"hibari": 0.1, "hibari-bent": 0.15, "flite": 0.1, "espeak": 0.65}  # three times as fast


def say(text: str, rng: random.Random, *, weights: dict[str, float] = WEIGHTS) -> Utterance:
    """Let some voice speak a text.

    Args:
        text: words as they are spoken; digits are read too.
        rng: chooses the voice and its manner.
        weights: of the synthesizers; one that is given a text that it reads in its own way is
            replaced by espeak-ng.

    Raises:
        NotSpoken: no synthesizer reads the text word by word.
    """
    (kind,) = rng.choices(list(weights), list(weights.values()))
    try:
        return _say(kind, text, rng)
    except NotSpoken:
        return _say("espeak", text, rng)


def spoken_live(text: str, rng: random.Random) -> Samples:
    """Let some voice speak a text while others wait for it: mostly the fastest one.

    Raises:
        NotSpoken: no synthesizer reads the text word by word.
    """
    return say(text, rng, weights=LIVE).samples


def voiced(example: Example, rng: random.Random) -> Example:
    """Turn what is still to be said into sound."""
    parts = tuple(
        Sound(spoken_live(part.text, rng)) if isinstance(part, Spoken) else part
        for part in example.question
    )
    return replace(example, question=parts)


def _say(kind: str, text: str, rng: random.Random) -> Utterance:
    match kind:
        case "espeak":
            spoken = espeak.espeak().say(
                text,
                espeak.Manner(
                    voice=f"{rng.choice(ACCENTS)}+{rng.choice(VARIANTS)}",
                    words_a_minute=rng.randint(120, 200),
                    pitch=rng.randint(20, 80),
                    range=rng.randint(20, 80),
                ),
            )
        case "flite":
            voice = rng.choice(list(FLITE))
            manner = flite.Manner(
                voice=voice,
                stretch=rng.uniform(0.75, 1.2),
                pitch_hz=FLITE[voice] * rng.uniform(0.85, 1.3),
            )
            # Recorded throats are few; played at another rate they become more.
            spoken = stretched(flite.flite().say(text, manner), rng.uniform(0.8, 1.15))
        case "hibari":
            natural = hibari_voice.Manner(speed=rng.uniform(0.85, 1.3), seed=rng.randrange(1 << 30))
            spoken = hibari_voice.hibari().say(text, natural)
        case _:
            bent = hibari_voice.Manner(
                speed=rng.uniform(0.85, 1.35),
                pitch=2 ** rng.uniform(-1.1, 0.4),
                throat=rng.uniform(0.82, 1.15),
                seed=rng.randrange(1 << 30),
            )
            spoken = hibari_voice.hibari().say(text, bent)
    return spoken
