import random

import numpy as np
import pytest

from myna.train.pictures import clips, watching
from myna.train.pictures.clips import DIRECTIONS, Act
from myna.train.pictures.scenes import Planned

THING = Planned("arrow", "red")


def poses(change, num_frames=8):
    film = clips.film(random.Random(change), None, [(THING, [Act(change, 0, 7)])], num_frames)
    return film.actors[0].poses


@pytest.mark.parametrize(("change", "way"), DIRECTIONS.items())
def test_a_thing_moves_the_way_that_is_told(change, way):
    first, last = poses(change)[0], poses(change)[-1]
    moved = np.array([last.x - first.x, last.y - first.y])
    assert moved @ np.array(way) >= clips.REACH[0] - 1e-6
    assert np.linalg.norm(moved) <= clips.REACH[1] + 1e-6
    assert all(0.05 < share < 0.95 for pose in (first, last) for share in (pose.x, pose.y))


def test_a_thing_grows_shrinks_and_turns():
    for change, factor in (("grew", 1), ("shrank", -1)):
        first, *_, last = poses(change)
        assert (last.side / first.side) ** factor >= clips.GROWTH[0] - 1e-6
    first, *_, last = poses("turned")
    assert clips.TURN[0] <= abs(last.angle - first.angle) <= clips.TURN[1]


def test_a_thing_appears_and_vanishes_in_the_middle():
    appeared = [pose.side > 0 for pose in poses("appeared")]
    vanished = [pose.side > 0 for pose in poses("vanished")]
    assert (appeared[0], appeared[-1]) == (False, True)
    assert (vanished[0], vanished[-1]) == (True, False)
    assert 2 <= sum(appeared) <= 6


@pytest.mark.parametrize("change", clips.CHANGES)
def test_what_a_time_step_shows_is_what_the_thing_does(change):
    film = clips.film(random.Random(3), None, [(THING, [Act(change, 0, 3)])], 4)
    told = [clips.seen_in_step(film, step)[1] for step in range(2)]
    if change in ("appeared", "vanished"):  # between two steps
        assert told == ([[], ["still"]] if change == "appeared" else [["still"], []])
    else:
        assert [change] in told
        assert {name for names in told for name in names} <= {change, "still"}


def test_what_appears_within_a_step_is_told():
    film = clips.film(random.Random(3), None, [(THING, [Act("appeared", 0, 2)])], 4)
    assert clips.seen_in_step(film, 0)[1] == ["appeared"]


def test_frames_show_the_thing_where_its_box_is():
    film = clips.film(random.Random(1), None, [(THING, [Act("right", 0, 3)])], 4)
    for i in range(4):
        image, (box,) = clips.frame(film, i)
        changed = np.asarray(image).astype(int) - np.asarray(film.ground)
        columns = np.abs(changed).sum((0, 2)).nonzero()[0]
        assert columns.min() >= box.left * clips.FRAME_PX - 2
        assert columns.max() <= box.right * clips.FRAME_PX + 2


def test_a_clip_has_square_frames_at_two_a_second():
    film = clips.film(random.Random(1), None, [(THING, [])], 6)
    clip = clips.record(random.Random(2), film)
    assert clip.frames.shape == (6, clips.FRAME_PX, clips.FRAME_PX, 3)
    assert clip.fps == 2.0
    assert clips.record(random.Random(2), film, range(2, 4)).frames.shape[0] == 2


def test_a_clip_is_cut_into_parts_without_gaps():
    assert clips.split(8, 1) == [(0, 7)]
    assert clips.split(8, 2) == [(0, 3), (3, 7)]


SKILLS = {skill.name: skill for skill in watching.SKILLS}


@pytest.fixture
def acted(monkeypatch):
    """Keep what the things of each clip do."""
    kept = []
    film = clips.film

    def keep(rng, icons, cast, num_frames):
        kept.append({watching.the(thing): [act.change for act in acts] for thing, acts in cast})
        return film(rng, icons, cast, num_frames)

    monkeypatch.setattr(clips, "film", keep)
    monkeypatch.setattr(clips, "record", lambda rng, film: None)
    return kept


def sights(name, studio, count=30):
    rng = random.Random(name)
    return [SKILLS[name].draw(rng, studio) for _ in range(count)]


def test_what_moved_is_the_only_thing_that_did(studio, acted):
    for sight, cast in zip(sights("what_moved", studio), acted, strict=True):
        (mover,) = [thing for thing, changes in cast.items() if changes]
        assert sight.answer.split()[-1] == mover.split()[-1]
        change = cast[mover][0]
        assert sight.slots["did"] == ("moved" if change in DIRECTIONS else change)


def test_the_way_is_that_of_the_thing_asked_for(studio, acted):
    for sight, cast in zip(sights("which_way", studio), acted, strict=True):
        assert cast[sight.slots["thing"]] == [sight.answer]


def test_what_happened_is_told(studio, acted):
    for sight, cast in zip(sights("what_happened", studio), acted, strict=True):
        ((change,),) = cast.values()
        assert sight.answer == (f"it moved {change}" if change in DIRECTIONS else f"it {change}")


def test_first_and_last_are_told_apart(studio, acted):
    for sight, cast in zip(sights("what_first", studio), acted, strict=True):
        ((first, last),) = cast.values()
        asked = first if sight.slots["place"] == "first" else last
        assert sight.answer == watching.told(asked)


def test_what_happened_in_turn_is_told_in_order(studio, acted):
    for sight, cast in zip(sights("in_order", studio), acted, strict=True):
        ((first, last),) = cast.values()
        assert sight.answer == f"{watching.told(first)} then {watching.told(last)[3:]}"
        assert last != "appeared"
        assert first != "vanished"


def test_of_two_things_one_was_first(studio, acted):
    answers = []
    for sight in sights("which_first", studio):
        things = {sight.slots["one"], sight.slots["other"]}
        assert sight.answer in things
        answers.append(sight.answer == sight.slots["one"])
    assert 0.2 < np.mean(answers) < 0.8


def test_films_of_any_kind_can_be_drawn(studio):
    rng = random.Random(5)
    assert {watching.any_film(rng, studio.icons).num_frames for _ in range(20)} <= {4, 6, 8, 10, 12}
