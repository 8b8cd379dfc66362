"""Sentences of two to about nine words, for hearing, repeating, reading and speaking.

They are grammatical and mean little: what is heard must be heard, it cannot be guessed.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from myna.train.language import words
from myna.train.language.numbers import in_words
from myna.train.pictures.names import NAMES, phrase

_SUBJECTS = ("i", "you", "we", "they", "he", "she")
_OWNERS = (
    "the",
    "the",
    "my",
    "your",
    "his",
    "her",
    "our",
    "their",
    "this",
    "that",
    "every",
    "some",
)
_BASE = (*words.VERBS, *words.INTRANSITIVE)


def make(rng: random.Random) -> str:
    """Make one sentence, in lower case and without punctuation."""
    return rng.choices(_SHAPES, _WEIGHTS)[0](rng)


def thing(rng: random.Random) -> str:
    """Make a noun phrase, such as "the old house", "three cups" or "anna"."""
    kind = rng.random()
    noun = rng.choice(words.NOUNS)
    if kind < 0.1:
        return rng.choice(words.PEOPLE)
    if kind < 0.22:
        return phrase(rng.choice(NAMES))
    adjective = rng.choice((*words.ADJECTIVES, *words.COLOURS)) if rng.random() < 0.4 else ""
    if kind < 0.34:
        number = in_words(rng.randint(2, 12))
        return " ".join(filter(None, (number, adjective, words.plural(noun))))
    if kind < 0.42:
        return words.with_article(f"{adjective} {noun}".strip())
    return " ".join(filter(None, (rng.choice(_OWNERS), adjective, noun)))


def _where(rng: random.Random) -> str:
    return f"{rng.choice(words.PREPOSITIONS)} {thing(rng)}"


def _ending(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.35:
        return f" {_where(rng)}"
    return f" {rng.choice(words.ADVERBS)}" if kind < 0.55 else ""


def _action(rng: random.Random, *, is_past: bool) -> str:
    verb = rng.choice(words.VERBS if rng.random() < 0.75 else words.INTRANSITIVE)
    said = words.past(verb) if is_past else verb
    return f"{said} {thing(rng)}" if verb in words.VERBS else said


def _story(rng: random.Random) -> str:
    who = rng.choice(_SUBJECTS) if rng.random() < 0.35 else thing(rng)
    return f"{who} {_action(rng, is_past=True)}{_ending(rng)}"


def _modal(rng: random.Random) -> str:
    modal = rng.choice(("can", "will", "must", "should", "may", "did not", "could", "would"))
    who = rng.choice(_SUBJECTS) if rng.random() < 0.6 else thing(rng)
    return f"{who} {modal} {_action(rng, is_past=False)}{_ending(rng)}"


def _state(rng: random.Random) -> str:
    who = thing(rng)
    quality = rng.choice((*words.ADJECTIVES, *words.COLOURS))
    if rng.random() < 0.3:
        quality += f" and {rng.choice(words.ADJECTIVES)}"
    return f"{who} {rng.choice(('is', 'was', 'is not', 'was not'))} {quality}{_ending(rng)}"


def _question(rng: random.Random) -> str:
    opening = f"{rng.choice(words.ASKING)} {rng.choice(('did', 'will', 'can', 'does', 'should'))}"
    return f"{opening} {thing(rng)} {rng.choice(_BASE)}{_ending(rng)}"


def _order(rng: random.Random) -> str:
    please = "please " if rng.random() < 0.3 else ""
    return f"{please}{_action(rng, is_past=False)}{_ending(rng)}"


def _place(rng: random.Random) -> str:
    return f"there {rng.choice(('is', 'was'))} {thing(rng)} {_where(rng)}"


def _clauses(rng: random.Random) -> str:
    link = rng.choice(words.LINKS)
    who, other = rng.choice(_SUBJECTS), rng.choice((*_SUBJECTS, *words.PEOPLE))
    verb, second = rng.choice(words.INTRANSITIVE), rng.choice(words.INTRANSITIVE)
    return f"{who} {words.past(verb)} {link} {other} {words.past(second)}"


def _number_list(rng: random.Random) -> str:
    if rng.random() < 0.4:
        return in_words(rng.randint(0, 999))
    return " ".join(in_words(rng.randint(0, 20)) for _ in range(rng.randint(2, 5)))


def _word_list(rng: random.Random) -> str:
    kinds = (words.LETTERS, words.COLOURS, words.DAYS, words.MONTHS, words.NOUNS, words.ADJECTIVES)
    pool = rng.choice((*kinds, NAMES, words.SOUNDS, words.SHAPES, words.domain()))
    return " ".join(rng.choice(pool) for _ in range(rng.randint(2, 5)))


def _talk(rng: random.Random) -> str:
    return f"{rng.choice(_SUBJECTS)} {words.past(rng.choice(words.VERBS))} {rng.choice(_OBJECTS)}"


_OBJECTS = ("me", "you", "it", "them", "nothing", "all", "both", "us", "him", "her")
_SHAPES: tuple[Callable[[random.Random], str], ...] = (
    *(_story, _modal, _state, _question, _order, _place, _clauses),
    *(_number_list, _word_list, _talk),
)
_WEIGHTS = (22, 14, 12, 9, 9, 6, 5, 8, 11, 4)
