"""Letters of words: spell, spell backwards, count, first and last, order of the alphabet."""

from __future__ import annotations

import random

from myna.train.language import words
from myna.train.language.numbers import in_words
from myna.train.language.skills import Facts, Skill
from myna.train.language.strange import strange_word
from myna.train.pictures.names import NAMES

_NAME_WORDS = tuple(dict.fromkeys(word for name in NAMES for word in name.split()))
_DOMAIN = tuple(word for word in words.domain() if len(word) > 1)
_BEGINNERS = tuple(dict.fromkeys((*words.NOUNS, *words.COLOURS, *words.PEOPLE, *words.ADJECTIVES)))


def any_word(rng: random.Random) -> str:
    """Draw a picture's name, a word of the domain, or now and then one never taught."""
    kind = rng.random()
    if kind < 0.4:
        return rng.choice(_NAME_WORDS)
    return rng.choice(_DOMAIN) if kind < 0.88 else strange_word(rng)


def spelled(word: str) -> str:
    """Set letters apart."""
    return " ".join(word)


def _spell(rng: random.Random) -> Facts:
    word = any_word(rng)
    return Facts({"word": word}, spelled(word))


def _spell_backwards(rng: random.Random) -> Facts:
    word = any_word(rng)
    while len(word) > 7:
        word = any_word(rng)
    return Facts({"word": word}, spelled(word[::-1]))


def _count_letters(rng: random.Random) -> Facts:
    word = any_word(rng)
    return Facts({"word": word}, f"{spelled(word)} is {in_words(len(word))} letters")


def _count_one_letter(rng: random.Random) -> Facts:
    word = any_word(rng)
    letter = rng.choice(word)
    slots = {"word": word, "letter": letter}
    return Facts(slots, f"{spelled(word)} has {in_words(word.count(letter))}")


def _first_letter(rng: random.Random) -> Facts:
    word = any_word(rng)
    return Facts({"word": word}, word[0])


def _last_letter(rng: random.Random) -> Facts:
    word = any_word(rng)
    return Facts({"word": word}, word[-1])


def _alphabetical(rng: random.Random) -> Facts:
    first, second = rng.sample(_BEGINNERS, 2)
    return Facts({"first": first, "second": second}, min(first, second))


def _letter_after(rng: random.Random) -> Facts:
    place = rng.randrange(25)
    return Facts({"letter": words.LETTERS[place]}, words.LETTERS[place + 1])


def _letter_before(rng: random.Random) -> Facts:
    place = rng.randrange(1, 26)
    return Facts({"letter": words.LETTERS[place]}, words.LETTERS[place - 1])


SKILLS = (
    Skill(
        "spell",
        (
            *("how do you spell {word}", "spell {word}", "spell the word {word}"),
            *("how is {word} spelled", "can you spell {word}", "please spell {word}"),
            *("what are the letters of {word}", "tell me how to spell {word}", "spell: {word}"),
            *("how do i spell {word}", "say the letters of {word}"),
        ),
        _spell,
        weight=2.0,
    ),
    Skill(
        "spell_backwards",
        (
            *("spell {word} backwards", "how do you spell {word} backwards"),
            *("spell the word {word} backwards", "can you spell {word} in reverse"),
            *("please spell {word} backwards", "reverse the letters of {word}"),
            *("what are the letters of {word} in reverse order", "spell backwards: {word}"),
        ),
        _spell_backwards,
        weight=1.2,
    ),
    Skill(
        "count_letters",
        (
            *("how many letters are in {word}", "how many letters does {word} have"),
            *("count the letters in {word}", "count the letters of {word}"),
            *("how many letters are there in the word {word}", "how long is the word {word}"),
            *("how many letters: {word}", "tell me how many letters {word} has"),
        ),
        _count_letters,
        weight=1.2,
    ),
    Skill(
        "count_one_letter",
        (
            *("how many {letter} are in {word}", "how many times is {letter} in {word}"),
            *("count the letter {letter} in {word}", "how many {letter} does {word} have"),
            *("how many times do you see {letter} in {word}", "count {letter} in {word}"),
        ),
        _count_one_letter,
        weight=0.8,
    ),
    Skill(
        "first_letter",
        (
            *("what is the first letter of {word}", "which letter comes first in {word}"),
            *("the first letter of {word}", "tell me the first letter of {word}"),
            *("what letter does {word} start with", "first letter: {word}"),
        ),
        _first_letter,
        weight=0.6,
    ),
    Skill(
        "last_letter",
        (
            *("what is the last letter of {word}", "which letter comes last in {word}"),
            *("the last letter of {word}", "tell me the last letter of {word}"),
            *("what letter is last in {word}", "last letter: {word}"),
        ),
        _last_letter,
        weight=0.6,
    ),
    Skill(
        "alphabetical",
        (
            *("which comes first in the alphabet {first} or {second}",),
            *("which word comes first in alphabetical order {first} or {second}",),
            *("what comes first in the alphabet {first} or {second}",),
            *("in alphabetical order which is first {first} or {second}",),
            *("{first} or {second} which comes first in the alphabet",),
            *("which is first in the alphabet: {first} or {second}",),
        ),
        _alphabetical,
        weight=1.2,
    ),
    Skill(
        "letter_after",
        (
            *("which letter comes after {letter}", "what letter comes after {letter}"),
            *("what comes after {letter} in the alphabet", "the letter after {letter}"),
            *("which letter is next after {letter}", "tell me the letter after {letter}"),
        ),
        _letter_after,
        weight=0.4,
    ),
    Skill(
        "letter_before",
        (
            *("which letter comes before {letter}", "what letter comes before {letter}"),
            *("what comes before {letter} in the alphabet", "the letter before {letter}"),
            *("tell me the letter before {letter}",),
        ),
        _letter_before,
        weight=0.4,
    ),
)
