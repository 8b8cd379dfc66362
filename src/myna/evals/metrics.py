"""How an answer is compared with the one that was wanted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NOT_WORDS = re.compile(r"[^\w' ]+")
_ARTICLES = frozenset(("a", "an", "the"))


@dataclass(frozen=True)
class Errors:
    """Count what an answer got wrong, out of how much.

    Attributes:
        wrong: insertions, deletions and substitutions; or one for a wrong answer.
        total: words, characters or answers that were wanted.
    """

    wrong: int
    total: int

    def __add__(self, other: Errors) -> Errors:
        return Errors(self.wrong + other.wrong, self.total + other.total)

    @property
    def share(self) -> float:
        """Give the share that is wrong; it may exceed one where much was inserted."""
        return self.wrong / max(1, self.total)


def distance(wanted: Sequence[str], found: Sequence[str]) -> int:
    """Count the fewest insertions, deletions and substitutions between two sequences.

    Source: Levenshtein 1966; Wagner and Fischer 1974.
    """
    costs = list(range(len(found) + 1))
    for i, one in enumerate(wanted, start=1):
        diagonal, costs[0] = costs[0], i
        for j, other in enumerate(found, start=1):
            diagonal, costs[j] = (
                costs[j],
                min(costs[j] + 1, costs[j - 1] + 1, diagonal + (one != other)),
            )
    return costs[-1]


def plain_words(text: str) -> list[str]:
    """Split into lower-case words without marks."""
    return _NOT_WORDS.sub(" ", text.lower()).split()


def word_errors(wanted: str, found: str) -> Errors:
    """Count wrong words."""
    words = plain_words(wanted)
    return Errors(distance(words, plain_words(found)), len(words))


def character_errors(wanted: str, found: str) -> Errors:
    """Count wrong characters, capitals and marks included."""
    found = " ".join(found.split())
    return Errors(distance(wanted, found), len(wanted))


def answer_errors(wanted: str, found: str) -> Errors:
    """Tell whether an answer is right but for capitals, marks and articles."""
    return Errors(int(_core(wanted) != _core(found)), 1)


def start_errors(wanted: str, found: str) -> Errors:
    """Tell whether an answer begins with the words that were wanted."""
    words = plain_words(wanted)
    return Errors(int(plain_words(found)[: len(words)] != words), 1)


def _core(text: str) -> list[str]:
    words = plain_words(text)
    kept = [word for word in words if word not in _ARTICLES]
    return kept or words
