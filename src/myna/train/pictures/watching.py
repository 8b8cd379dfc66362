"""Watch a clip: what moved, which way, what else happened, and in which order."""

from __future__ import annotations

import random

from myna.train.pictures import clips
from myna.train.pictures.asking import Sight, Skill, Studio
from myna.train.pictures.canvas import COLOURS
from myna.train.pictures.clips import CHANGES, DIRECTIONS, Act, Film
from myna.train.pictures.icons import Icons
from myna.train.pictures.looking import called, the
from myna.train.pictures.scenes import Planned

ABILITY = "clip"
NUM_FRAMES = (4, 6, 6, 8, 8, 10, 12)
Cast = list[tuple[Planned, list[Act]]]
# Of a shape that looks the same when it is turned, no one can tell.
TURNABLE = ("triangle", "star", "heart", "cross", "rectangle", "oval", "crescent", "arrow")


def told(change: str) -> str:
    """Say what a thing did: "it moved left", "it grew"."""
    return f"it moved {change}" if change in DIRECTIONS else f"it {change}"


def any_film(rng: random.Random, icons: Icons) -> Film:
    """Make a clip of any kind, of which nothing is asked."""
    num_frames = rng.choice(NUM_FRAMES)
    kind = rng.random()
    if kind < 0.4:
        return _film(rng, icons, [(_one(rng, icons), _acts(rng, num_frames, 1))], num_frames)
    if kind < 0.6:
        return _film(rng, icons, [(_one(rng, icons), _acts(rng, num_frames, 2))], num_frames)
    one, other = _two(rng, icons)
    if kind < 0.8:
        return _film(rng, icons, [(one, _acts(rng, num_frames, 1)), (other, [])], num_frames)
    cast, _ = _in_turn(rng, (one, other), num_frames)
    return _film(rng, icons, cast, num_frames)


def _film(rng: random.Random, icons: Icons, cast: Cast, num_frames: int) -> Film:
    return clips.film(rng, icons, rng.sample(cast, len(cast)), num_frames)


def _one(rng: random.Random, icons: Icons) -> Planned:
    if rng.random() < 0.7:
        return Planned(rng.choice(icons.names))
    return Planned(rng.choice(TURNABLE), rng.choice(list(COLOURS)))


def _two(rng: random.Random, icons: Icons) -> tuple[Planned, Planned]:
    while True:
        one, other = _one(rng, icons), _one(rng, icons)
        if one.name != other.name:
            return one, other


def _change(rng: random.Random) -> str:
    """Choose a change; motions are half of them."""
    return rng.choice(tuple(DIRECTIONS) if rng.random() < 0.5 else CHANGES[len(DIRECTIONS) :])


def _acts(rng: random.Random, num_frames: int, count: int) -> list[Act]:
    """Choose what a thing does in turn; only the first can appear, only the last can vanish."""
    spans = clips.split(num_frames, count)
    while True:
        changes = [_change(rng) for _ in spans]
        has_order = "appeared" not in changes[1:] and "vanished" not in changes[:-1]
        if has_order and len(set(changes)) == count and not _is_undone(changes):
            return [Act(change, *span) for change, span in zip(changes, spans, strict=True)]


def _is_undone(changes: list[str]) -> bool:
    undone = ({"left", "right"}, {"up", "down"}, {"grew", "shrank"})
    return any(pair <= set(changes) for pair in undone)


def _in_turn(
    rng: random.Random, things: tuple[Planned, Planned], num_frames: int
) -> tuple[Cast, str]:
    """Let two things do the same, one after the other."""
    first, second = clips.split(num_frames, 2)
    change = _change(rng)
    changes = [change, change]
    if change in DIRECTIONS:
        changes[1] = rng.choice(list(DIRECTIONS))
    one, other = things
    return [(one, [Act(changes[0], *first)]), (other, [Act(changes[1], *second)])], change


def _sight(rng: random.Random, film: Film, answer: str, **slots: str) -> Sight:
    return Sight(clips.record(rng, film), answer, slots)


def _what_moved(rng: random.Random, studio: Studio) -> Sight:
    num_frames = rng.choice(NUM_FRAMES)
    one, other = _two(rng, studio.icons)
    span = clips.split(num_frames, 1)[0]
    change = _change(rng)
    cast: Cast = [(one, [Act(change, *span)]), (other, [])]
    film = _film(rng, studio.icons, cast, num_frames)
    return _sight(rng, film, called(one), did="moved" if change in DIRECTIONS else change)


def _which_way(rng: random.Random, studio: Studio) -> Sight:
    num_frames = rng.choice(NUM_FRAMES)
    one, other = _two(rng, studio.icons)
    way = rng.choice(list(DIRECTIONS))
    cast: Cast = [(one, [Act(way, *clips.split(num_frames, 1)[0])])]
    if rng.random() < 0.3:
        cast.append((other, []))
    return _sight(rng, _film(rng, studio.icons, cast, num_frames), way, thing=the(one))


def _what_happened(rng: random.Random, studio: Studio) -> Sight:
    num_frames = rng.choice(NUM_FRAMES)
    thing = _one(rng, studio.icons)
    acts = _acts(rng, num_frames, 1)
    film = _film(rng, studio.icons, [(thing, acts)], num_frames)
    return _sight(rng, film, told(acts[0].change), thing=the(thing))


def _two_acts(rng: random.Random, studio: Studio) -> tuple[Film, Planned, list[Act]]:
    num_frames = rng.choice([count for count in NUM_FRAMES if count > 4])
    thing = _one(rng, studio.icons)
    acts = _acts(rng, num_frames, 2)
    return _film(rng, studio.icons, [(thing, acts)], num_frames), thing, acts


def _what_first(rng: random.Random, studio: Studio) -> Sight:
    film, thing, acts = _two_acts(rng, studio)
    place = rng.randrange(2)
    answer = told(acts[place].change)
    return _sight(rng, film, answer, thing=the(thing), place=("first", "last")[place])


def _in_order(rng: random.Random, studio: Studio) -> Sight:
    film, thing, acts = _two_acts(rng, studio)
    then = told(acts[1].change).removeprefix("it ")
    return _sight(rng, film, f"{told(acts[0].change)} then {then}", thing=the(thing))


def _which_first(rng: random.Random, studio: Studio) -> Sight:
    num_frames = rng.choice(NUM_FRAMES)
    things = _two(rng, studio.icons)
    cast, change = _in_turn(rng, things, num_frames)
    film = _film(rng, studio.icons, cast, num_frames)
    place = rng.randrange(2)
    one, other = rng.sample(things, 2)
    slots = {"one": the(one), "other": the(other), "place": ("first", "last")[place]}
    slots["did"] = "moved" if change in DIRECTIONS else change
    return _sight(rng, film, the(things[place]), **slots)


SKILLS = (
    Skill(
        "what_moved",
        ABILITY,
        (
            *("what {did}", "which thing {did}", "what thing {did}", "tell me what {did}"),
            *("which of them {did}", "name the thing that {did}", "what was it that {did}"),
        ),
        _what_moved,
        weight=2,
    ),
    Skill(
        "which_way",
        ABILITY,
        (
            *("which way did {thing} move", "where did {thing} move", "where did {thing} go"),
            *("which way did it move", "which way did {thing} go", "where did it go"),
            *("say which way it went", "say where {thing} went", "where was {thing} moved"),
            *("do you know where it went", "i want to know which way {thing} went"),
            *("say where it moved", "did {thing} go left, right, up or down"),
        ),
        _which_way,
        weight=2,
    ),
    Skill(
        "what_happened",
        ABILITY,
        (
            *("what happened", "what happened to {thing}", "what did {thing} do"),
            *("what happened here", "what do you see", "what did it do"),
        ),
        _what_happened,
        weight=2,
    ),
    Skill(
        "what_first",
        ABILITY,
        ("what happened {place}", "what did {thing} do {place}", "what did it do {place}"),
        _what_first,
        weight=1.5,
    ),
    Skill(
        "in_order",
        ABILITY,
        (
            *("what happened, in order", "what happened one after the other"),
            *("tell me all that happened", "what did {thing} do, in order"),
        ),
        _in_order,
        weight=1.5,
    ),
    Skill(
        "which_first",
        ABILITY,
        (
            *("what {did} {place}, {one} or {other}", "which {did} {place}, {one} or {other}"),
            *(
                "which thing {did} {place}, {one} or {other}",
                "{one} or {other}: which {did} {place}",
                "say which {did} {place}, {one} or {other}",
                "was it {one} or {other} that {did} {place}",
            ),
        ),
        _which_first,
        weight=1.5,
    ),
)
