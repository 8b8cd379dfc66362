"""What each token of a picture should know: the dense answers that teach the eyes.

A token sees a square of the picture. A network that is told what lies in each square learns many
times faster than one that is told a name a picture. A token is made of four patches, which are told
less: what is in their middle. That takes no counting, and is learnt before the rest.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from myna.train.pictures.canvas import COLOURS, Box
from myna.train.pictures.figures import SHAPES
from myna.train.pictures.lines import ALPHABET, Line, vocabulary
from myna.train.pictures.names import NAMES
from myna.train.pictures.rule import PICTURE_RULE
from myna.train.pictures.scenes import Thing

Labels = NDArray[np.int64]

UNSCORED = -100  # as torch's cross entropy spells it
THINGS = (None, *dict.fromkeys((*NAMES, *SHAPES)))  # a plain star bears the name of the icon
HUES = (None, *COLOURS)
MAX_CENTRES = 3
SLOTS = 5  # characters that a token can hold, in order
CHARACTERS = (None, *ALPHABET)
WORDS = tuple(
    dict.fromkeys(word for name in (*vocabulary(), *SHAPES, *COLOURS) for word in name.split())
)
PLACES = 2  # of words: a name's first and last, or a shape and its colour; a line's from the left
CHANGES = (
    None,
    *("still", "left", "right", "up", "down", "grew", "shrank", "turned", "appeared", "vanished"),
)
MERGE = PICTURE_RULE.merge  # patches a token, in each direction
CLEAR_SHARE = 0.3  # of a token, or of the thing: less of a thing is not worth a label

_THING_IDS = {name: i for i, name in enumerate(THINGS)}
_HUE_IDS = {name: i for i, name in enumerate(HUES)}
_CHANGE_IDS = {name: i for i, name in enumerate(CHANGES)}
_WORD_IDS = {word: i for i, word in enumerate(WORDS)}
_CHARACTER_IDS = {name: i for i, name in enumerate(CHARACTERS)}


@dataclass(frozen=True)
class TokenLabels:
    """Hold the labels of a picture's N tokens, row by row, or of one time step of a clip.

    Attributes:
        thing: (N,) of `THINGS`.
        hue: (N,) of `HUES`; only plain shapes have one.
        centres: (N,) how many things have their middle here, up to `MAX_CENTRES`.
        characters: (N, SLOTS) of `CHARACTERS`.
        change: (N,) of `CHANGES`; unscored in stills.
        words: (N, PLACES) of `WORDS`, unscored where there are fewer.
        patch_thing: (4 N,) of `THINGS`, in the order of the encoder's patches.
        patch_character: (4 N,) of `CHARACTERS`.
    """

    thing: Labels
    hue: Labels
    centres: Labels
    characters: Labels
    change: Labels
    words: Labels
    patch_thing: Labels
    patch_character: Labels


def label_things(
    things: Sequence[Thing], rows: int, columns: int, *, changes: Sequence[str] | None = None
) -> TokenLabels:
    """Tell what lies in each token.

    Args:
        things: of a scene.
        rows: of tokens.
        columns: of tokens.
        changes: what each thing does in this time step of a clip.
    """
    count = rows * columns
    cover = _covering(things, rows, columns)
    names = np.array([*(_THING_IDS[thing.name] for thing in things), 0])  # of none: the last
    hues = [UNSCORED if thing.colour is None else _HUE_IDS[thing.colour] for thing in things]
    words = [*map(_words_of, things), (UNSCORED,) * PLACES]
    centres = np.zeros(count, np.int64)
    for thing in things:
        row = min(rows - 1, int(thing.box.y * rows))
        column = min(columns - 1, int(thing.box.x * columns))
        centres[row * columns + column] += 1
    if changes is None:
        change = np.full(count, UNSCORED)
    else:
        change = np.array([*(_CHANGE_IDS[change] for change in changes), 0])[cover]
    patch_cover = _covering(things, MERGE * rows, MERGE * columns)
    return TokenLabels(
        thing=names[cover],
        hue=np.array([*hues, 0])[cover],
        centres=np.minimum(centres, MAX_CENTRES),
        characters=np.full((count, SLOTS), UNSCORED),
        change=change,
        words=np.array(words)[cover],
        patch_thing=_in_squares(names[patch_cover], rows, columns),
        patch_character=np.full(count * MERGE**2, UNSCORED),
    )


def _covering(things: Sequence[Thing], rows: int, columns: int) -> Labels:
    """Give the number of the thing that covers most of each token, or -1: (N,)."""
    none = np.full(rows * columns, CLEAR_SHARE)
    shares = np.stack((none, *(_shares(thing.box, rows, columns) for thing in things)))
    cover: Labels = shares.argmax(0) - 1
    return cover


def _words_of(thing: Thing) -> tuple[int, int]:
    first, *others = thing.name.split()
    second = others[-1] if others else thing.colour
    return _WORD_IDS[first], UNSCORED if second is None else _WORD_IDS[second]


def label_line(line: Line, rows: int, columns: int) -> TokenLabels:
    """Tell what is written in each token, from left to right, in all rows of the line.

    A word lies in every token that one of its characters lies in.
    """
    characters = np.zeros((rows, columns, SLOTS), np.int64)
    words = np.full((rows, columns, PLACES), UNSCORED)
    held = np.zeros(columns, np.int64)
    touched = _shares(line.box, rows, columns).reshape(rows, columns).max(1) > CLEAR_SHARE
    at = [min(columns - 1, max(0, int(centre * columns))) for centre in line.centres]
    for character, column in zip(line.text, at, strict=True):
        if held[column] < SLOTS:
            characters[touched, column, held[column]] = _CHARACTER_IDS[character]
            held[column] += 1
    for column, held_words in _words_in(line.text, at).items():
        words[touched, column, : len(held_words)] = held_words
    count = rows * columns
    nothing = np.zeros(count, np.int64)
    return TokenLabels(
        thing=nothing,
        hue=nothing,
        centres=nothing,
        characters=characters.reshape(count, SLOTS),
        change=np.full(count, UNSCORED),
        words=words.reshape(count, PLACES),
        patch_thing=np.zeros(count * MERGE**2, np.int64),
        patch_character=_in_squares(_strokes(line, MERGE * rows, MERGE * columns), rows, columns),
    )


def _strokes(line: Line, rows: int, columns: int) -> Labels:
    """Give the character in the middle of each patch: (rows, columns)."""
    ends = [line.box.left, *(sum(pair) / 2 for pair in pairwise(line.centres)), line.box.right]
    places = np.searchsorted(ends, (np.arange(columns) + 0.5) / columns) - 1
    text = np.array([*(_CHARACTER_IDS[character] for character in line.text), 0])
    is_inside = (places >= 0) & (places < len(line.text))
    touched = _shares(line.box, rows, columns).reshape(rows, columns).max(1) > CLEAR_SHARE
    found: Labels = np.where(is_inside, text[places], 0) * touched[:, None]
    return found


def _in_squares(patches: Labels, rows: int, columns: int) -> Labels:
    """Bring patches that lie row by row into the encoder's order: token by token."""
    squares = patches.reshape(rows, MERGE, columns, MERGE).transpose(0, 2, 1, 3)
    return squares.reshape(-1)


def _words_in(text: str, columns: Sequence[int]) -> dict[int, list[int]]:
    """Give the first words of each column, known ones by their number; others are unscored."""
    found: dict[int, list[int]] = defaultdict(list)
    for word in re.finditer(r"\S+", text):
        number = _WORD_IDS.get(word[0].lower(), UNSCORED)
        for column in dict.fromkeys(columns[word.start() : word.end()]):
            if len(found[column]) < PLACES:
                found[column].append(number)
    return found


def _shares(box: Box, rows: int, columns: int) -> NDArray[np.float64]:
    """Give the part of each token, or of the box where that is smaller, that both share: (N,)."""
    tops, lefts = np.arange(rows) / rows, np.arange(columns) / columns
    high = np.clip(np.minimum(box.bottom, tops + 1 / rows) - np.maximum(box.top, tops), 0, None)
    wide = np.clip(
        np.minimum(box.right, lefts + 1 / columns) - np.maximum(box.left, lefts), 0, None
    )
    area = max(1e-9, (box.right - box.left) * (box.bottom - box.top))
    shared: NDArray[np.float64] = (high[:, None] * wide / min(area, 1 / (rows * columns))).ravel()
    return shared
