"""Which thing is bigger, and what the opposite of a word is."""

from __future__ import annotations

import random

from myna.train.language.skills import Facts, Skill
from myna.train.pictures.names import phrase

# Steps of size; things of neighbouring steps are not compared.
SIZES = (
    "ant mosquito fly bee ladybug coin pill",
    "key ring mouse egg spider snail pen pencil",
    "apple banana cup shoe frog hamster phone",
    "cat rabbit hat owl duck book backpack",
    "chair dog sheep goat pig guitar wolf",
    "horse bed cow lion bear camel piano",
    "car elephant taxi giraffe hippo tractor",
    "house bus whale truck church train",
    "castle ship school hospital factory",
    "mountain island volcano moon sun",
)
OPPOSITES = (
    "big small, hot cold, old young, good bad, long short, fast slow, high low, light dark, "
    "happy sad, clean dirty, dry wet, full empty, hard soft, loud quiet, strong weak, rich poor, "
    "early late, open closed, left right, up down, above below, black white, day night, "
    "yes no, first last, man woman, boy girl, king queen, begin end, true false, more less, "
    "bigger smaller, before after, never always, win lose, buy sell, push pull, come go"
)
_PAIRS = tuple(tuple(pair.split()) for pair in OPPOSITES.split(","))
_STEPS = tuple(tuple(step.split()) for step in SIZES)


def _things(rng: random.Random) -> tuple[str, str, str, str]:
    """Draw two things in any order, then the bigger and the smaller of them."""
    low = rng.randrange(len(_STEPS) - 2)
    high = rng.randrange(low + 2, len(_STEPS))
    smaller, bigger = phrase(rng.choice(_STEPS[low])), phrase(rng.choice(_STEPS[high]))
    first, second = rng.sample((smaller, bigger), 2)
    return first, second, bigger, smaller


def _bigger_thing(rng: random.Random) -> Facts:
    first, second, bigger, _ = _things(rng)
    return Facts({"first": first, "second": second}, bigger)


def _smaller_thing(rng: random.Random) -> Facts:
    first, second, _, smaller = _things(rng)
    return Facts({"first": first, "second": second}, smaller)


def _opposite(rng: random.Random) -> Facts:
    word, other = rng.sample(rng.choice(_PAIRS), 2)
    return Facts({"word": word}, other)


SKILLS = (
    Skill(
        "bigger_thing",
        (
            *("which is bigger {first} or {second}", "what is bigger {first} or {second}"),
            *("which is larger {first} or {second}", "is {first} or {second} bigger"),
            *("which one is bigger: {first} or {second}", "{first} or {second} which is bigger"),
        ),
        _bigger_thing,
        weight=0.8,
    ),
    Skill(
        "smaller_thing",
        (
            *("which is smaller {first} or {second}", "what is smaller {first} or {second}"),
            *("is {first} or {second} smaller", "{first} or {second} which is smaller"),
            *("which one is smaller: {first} or {second}",),
        ),
        _smaller_thing,
        weight=0.8,
    ),
    Skill(
        "opposite",
        (
            *("what is the opposite of {word}", "the opposite of {word}", "opposite of {word}"),
            *("tell me the opposite of {word}", "which word is the opposite of {word}"),
        ),
        _opposite,
        weight=0.5,
    ),
)
