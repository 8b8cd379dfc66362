"""Look at a scene: count, colour, shape, place, size, and what is missing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

from myna.train.examples import Picture
from myna.train.language.numbers import in_words
from myna.train.language.style import NO, YES
from myna.train.language.words import plural
from myna.train.pictures import figures, scenes
from myna.train.pictures.asking import Sight, Skill, Studio
from myna.train.pictures.canvas import COLOURS
from myna.train.pictures.names import WITHOUT_ARTICLE, phrase
from myna.train.pictures.scenes import Planned, Scene, Thing

ABILITY = "scene"
APART = 0.16  # of the picture: nearer, and no one asks which is left of which
LEVEL = 0.1
SIDES: dict[str, Callable[[Thing, Thing], float]] = {  # how far a thing is to a side of another
    "left": lambda thing, other: other.box.x - thing.box.x,
    "right": lambda thing, other: thing.box.x - other.box.x,
    "above": lambda thing, other: other.box.y - thing.box.y,
    "below": lambda thing, other: thing.box.y - other.box.y,
}
SIDE_WORDS = {"left": "left of", "right": "right of", "above": "above", "below": "below"}
COUNTED = tuple(WITHOUT_ARTICLE)  # names that stand for many or for stuff are not counted


def called(thing: Thing | Planned) -> str:
    """Name a thing with its article: "a cat", "a red square"."""
    return phrase(thing.name) if thing.colour is None else _with_colour(thing.colour, thing.name)


def the(thing: Thing | Planned) -> str:
    """Name a thing that was named before."""
    return f"the {thing.name}" if thing.colour is None else f"the {thing.colour} {thing.name}"


def _with_colour(colour: str, shape: str) -> str:
    return f"{'an' if colour == 'orange' else 'a'} {colour} {shape}"


def _show(rng: random.Random, studio: Studio, planned: Sequence[Planned]) -> Scene:
    return scenes.scene(rng, studio.icons, planned)


def _sight(scene: Scene, answer: str, **slots: str) -> Sight:
    return Sight(Picture(scene.pixels), answer, slots)


def _count(rng: random.Random) -> int:
    """Draw how many things a scene has; up to five mostly."""
    return rng.choices(range(1, 10), (5, 6, 6, 6, 6, 3, 2, 2, 2))[0]


def _shape(rng: random.Random) -> Planned:
    return Planned(rng.choice(figures.SHAPES), rng.choice(list(COLOURS)), rng.random() < 0.6)


def _shapes(rng: random.Random, count: int) -> list[Planned]:
    """Choose shapes of which no two share the name or the colour."""
    names = rng.sample(figures.SHAPES, count)
    colours = rng.sample(list(COLOURS), count)
    return [
        Planned(name, colour, rng.random() < 0.6)
        for name, colour in zip(names, colours, strict=True)
    ]


def _different(rng: random.Random, studio: Studio, count: int) -> list[Planned]:
    """Choose things of which no two share the name: icons, shapes or both."""
    if rng.random() < 0.35:
        return _shapes(rng, count)
    names = rng.sample(studio.icons.names, count)
    planned = [Planned(name, None, rng.random() < 0.6) for name in names]
    if rng.random() < 0.3:
        shape = rng.choice([name for name in figures.SHAPES if name not in names])
        planned[0] = Planned(shape, rng.choice(list(COLOURS)), planned[0].is_big)
    return planned


def _how_many(rng: random.Random, studio: Studio) -> Sight:
    scene = _show(rng, studio, scenes.plan(rng, studio.icons, _count(rng)))
    return _sight(scene, in_words(len(scene.things)))


def _how_many_of(rng: random.Random, studio: Studio) -> Sight:
    """Count one kind of thing among others: by name, or shapes by colour."""
    count = _count(rng)
    others = rng.randint(0, max(0, min(4, 9 - count)))
    if rng.random() < 0.5:
        name = rng.choice([name for name in studio.icons.names if name not in COUNTED])
        asked, rest = Planned(name), [Planned(n) for n in rng.sample(studio.icons.names, 9)]
        rest = [thing for thing in rest if thing.name != name]
        slot = plural(name)
        wanted = [asked] * count
    elif rng.random() < 0.5:
        shape = rng.choice(figures.SHAPES)
        wanted = [Planned(shape, rng.choice(list(COLOURS))) for _ in range(count)]
        rest = [thing for thing in (_shape(rng) for _ in range(9)) if thing.name != shape]
        slot = plural(shape)
    else:
        colour = rng.choice(list(COLOURS))
        wanted = [Planned(rng.choice(figures.SHAPES), colour) for _ in range(count)]
        rest = [thing for thing in (_shape(rng) for _ in range(9)) if thing.colour != colour]
        slot = f"{colour} {rng.choice(('things', 'shapes'))}"
    scene = _show(rng, studio, [*wanted, *rest[:others]])
    return _sight(scene, in_words(count), things=slot)


def _what_colour(rng: random.Random, studio: Studio) -> Sight:
    scene = _show(rng, studio, _shapes(rng, rng.choice((1, 2, 2, 3, 3, 4, 5))))
    thing = rng.choice(scene.things)
    return _sight(scene, str(thing.colour), shape=thing.name)


def _what_shape(rng: random.Random, studio: Studio) -> Sight:
    scene = _show(rng, studio, _shapes(rng, rng.choice((2, 2, 3, 3, 4, 5))))
    thing = rng.choice(scene.things)
    return _sight(scene, phrase(thing.name), colour=str(thing.colour))


def _one_shape(rng: random.Random, studio: Studio) -> Sight:
    scene = _show(rng, studio, _shapes(rng, 1))
    return _sight(scene, called(scene.things[0]))


def _which_side(rng: random.Random, studio: Studio) -> Sight:
    """Ask where one of two things is, along the axis that leaves no doubt."""
    while True:
        scene = _show(rng, studio, _different(rng, studio, rng.choice((2, 2, 3, 4))))
        one, other = rng.sample(scene.things, 2)
        sides = [side for side, far in SIDES.items() if far(one, other) > APART]
        axes = [
            pair
            for pair in (("left", "right"), ("above", "below"))
            if any(side in pair for side in sides)
        ]
        if axes:
            axis = rng.choice(axes)
            answer = next(side for side in sides if side in axis)
            first, second = rng.sample(axis, 2)
            slots = {"one": the(one), "other": the(other)}
            slots |= {"first": first, "second": SIDE_WORDS[second]}
            return _sight(scene, answer, **slots)


def _what_is_beside(rng: random.Random, studio: Studio) -> Sight:
    """Ask for the only thing on a side of another."""
    while True:
        scene = _show(rng, studio, _different(rng, studio, rng.choice((2, 2, 3))))
        other = rng.choice(scene.things)
        side = rng.choice(list(SIDES))
        far = {thing: SIDES[side](thing, other) for thing in scene.things if thing is not other}
        there = [thing for thing, distance in far.items() if distance > APART]
        doubtful = [thing for thing, distance in far.items() if LEVEL / 2 < distance <= APART]
        if len(there) == 1 and not doubtful:
            return _sight(scene, called(there[0]), side=SIDE_WORDS[side], other=the(other))


def _bigger(rng: random.Random, studio: Studio) -> Sight:
    planned = _different(rng, studio, 2)
    planned = [Planned(thing.name, thing.colour, i == 0) for i, thing in enumerate(planned)]
    scene = _show(rng, studio, planned)
    one, other = rng.sample(scene.things, 2)
    is_big = rng.random() < 0.5
    answer = one if one.is_big == is_big else other
    return _sight(
        scene, the(answer), size="bigger" if is_big else "smaller", one=the(one), other=the(other)
    )


def _missing(rng: random.Random, studio: Studio) -> Sight:
    planned = _different(rng, studio, rng.choice((3, 4, 4, 5)))
    named = [scenes.plain_name(thing) for thing in planned]
    left_out = rng.randrange(len(planned))
    scene = _show(rng, studio, [*planned[:left_out], *planned[left_out + 1 :]])
    listed = ", ".join(rng.sample(named, len(named)))
    return _sight(scene, f"the {named[left_out]}", things=listed)


def _is_there(rng: random.Random, studio: Studio) -> Sight:
    scene = _show(rng, studio, _different(rng, studio, rng.choice((2, 3, 4, 5))))
    seen = [thing.name for thing in scene.things]
    if rng.random() < 0.5:
        return _sight(scene, YES, thing=called(rng.choice(scene.things)))
    absent = [name for name in (*studio.icons.names, *figures.SHAPES * 8) if name not in seen]
    return _sight(scene, NO, thing=phrase(rng.choice(absent)))


def _describe(rng: random.Random, studio: Studio) -> Sight:
    """List all things: two or three from left to right, or so many of a kind."""
    if rng.random() < 0.4:
        count = rng.randint(2, 6)
        name = rng.choice([name for name in studio.icons.names if name not in COUNTED])
        scene = _show(rng, studio, [Planned(name)] * count)
        return _sight(scene, f"{in_words(count)} {plural(name)}")
    while True:
        scene = _show(rng, studio, _different(rng, studio, rng.choice((2, 2, 3))))
        xs = [thing.box.x for thing in scene.things]
        if all(after - before > LEVEL for before, after in pairwise(xs)):
            names = [called(thing) for thing in scene.things]
            head = ", ".join(names[:-1])
            return _sight(scene, f"{head} and {names[-1]}")


def _most(rng: random.Random, studio: Studio) -> Sight:
    """Ask of which of two kinds there are more."""
    one, other = (
        Planned(name)
        for name in rng.sample([name for name in studio.icons.names if name not in COUNTED], 2)
    )
    few = rng.randint(1, 3)
    many = few + rng.randint(1, 3)
    scene = _show(rng, studio, [*[one] * many, *[other] * few])
    counts = Counter(thing.name for thing in scene.things)
    first, second = rng.sample(list(counts), 2)
    is_more = rng.random() < 0.6
    answer = max(counts, key=counts.__getitem__) if is_more else min(counts, key=counts.__getitem__)
    slots = {"one": plural(first), "other": plural(second), "more": "more" if is_more else "less"}
    return _sight(scene, plural(answer), **slots)


SKILLS = (
    Skill(
        "how_many",
        ABILITY,
        (
            *("how many things are there", "how many things do you see", "count the things"),
            *("how many objects are there", "how many things are in the picture"),
            *("count the objects", "how many things can you see", "how many are there"),
            *("count all things in the picture", "what is the number of things"),
        ),
        _how_many,
        weight=2,
    ),
    Skill(
        "how_many_of",
        ABILITY,
        (
            *("how many {things} are there", "how many {things} do you see", "count the {things}"),
            *("how many {things} can you see", "how many {things} are in the picture"),
            *("what is the number of {things}", "tell me how many {things} there are"),
        ),
        _how_many_of,
        weight=3,
    ),
    Skill(
        "what_colour",
        ABILITY,
        (
            *(
                "what colour is the {shape}",
                "which colour is the {shape}",
                "name the colour of the {shape}",
                "what is the colour of the {shape}",
                "the {shape} is what colour",
            ),
            *("what color is the {shape}", "tell me the colour of the {shape}"),
        ),
        _what_colour,
        weight=2,
    ),
    Skill(
        "what_shape",
        ABILITY,
        (
            *("what is {colour}", "which shape is {colour}", "what shape is {colour}"),
            *("what is the {colour} shape", "name the {colour} shape", "what thing is {colour}"),
        ),
        _what_shape,
        weight=2,
    ),
    Skill(
        "one_shape",
        ABILITY,
        ("what is this", "what do you see", "what shape is this", "name this shape", "what is it"),
        _one_shape,
        weight=1,
    ),
    Skill(
        "which_side",
        ABILITY,
        (
            "is {one} {first} or {second} {other}",
            "where is {one}, {first} or {second} {other}",
            "say where {one} is, {first} or {second} {other}",
            "say if {one} is {first} or {second} {other}",
        ),
        _which_side,
        weight=2.5,
    ),
    Skill(
        "what_is_beside",
        ABILITY,
        (
            *(
                "what is {side} {other}",
                "what do you see {side} {other}",
                "name the thing {side} {other}",
                "which thing is {side} {other}",
                "what thing is {side} {other}",
            ),
        ),
        _what_is_beside,
        weight=2,
    ),
    Skill(
        "bigger",
        ABILITY,
        (
            *("which is {size}, {one} or {other}", "what is {size}, {one} or {other}"),
            *("which one is {size}, {one} or {other}", "is {one} or {other} {size}"),
            *("say which is {size}, {one} or {other}", "{one} or {other}: which is {size}"),
        ),
        _bigger,
        weight=1.5,
    ),
    Skill(
        "missing",
        ABILITY,
        (
            *("what is missing: {things}", "which of these is missing: {things}"),
            *(
                "what is not there: {things}",
                "{things}: what is missing",
                "{things}, what is not in the picture",
                "say which of these is not there: {things}",
                "which one do you not see: {things}",
            ),
        ),
        _missing,
        weight=2,
    ),
    Skill(
        "is_there",
        ABILITY,
        (
            *("is there {thing}", "do you see {thing}", "is there {thing} in the picture"),
            *("can you see {thing}", "does the picture show {thing}"),
            *("say if there is {thing}", "is there {thing} or not", "is {thing} in the picture"),
        ),
        _is_there,
        weight=1.5,
    ),
    Skill(
        "describe",
        ABILITY,
        (
            *("what do you see", "what is in the picture", "describe the picture", "describe this"),
            *("what is here", "name all things", "what can you see", "tell me what you see"),
        ),
        _describe,
        weight=2,
    ),
    Skill(
        "most",
        ABILITY,
        (
            *("are there {more} {one} or {other}", "which are {more}, {one} or {other}"),
            *("say which are {more}, {one} or {other}", "do you see {more} {one} or {other}"),
        ),
        _most,
        weight=0.7,
    ),
)
