import random

import pytest

from myna.train.examples import Picture, Spoken
from myna.train.language.numbers import in_words
from myna.train.pictures import asking, figures, looking, naming, scenes
from myna.train.pictures.asking import Sight, Skill
from myna.train.pictures.names import phrase

SKILLS = {skill.name: skill for skill in looking.SKILLS}


@pytest.fixture
def shown(monkeypatch):
    """Keep every scene that is drawn, so that answers can be judged by what is in it."""
    kept = []
    draw = scenes.scene

    def keep(rng, icons, planned):
        kept.append(draw(rng, icons, planned))
        return kept[-1]

    monkeypatch.setattr(scenes, "scene", keep)
    return kept


def sights(name, studio, count=15):
    rng = random.Random(name)
    for _ in range(count):
        yield SKILLS[name].draw(rng, studio)


def test_a_question_is_a_picture_and_a_sentence(studio):
    skill = naming.SKILLS[0]
    example = asking.ask_typed(skill, random.Random(0), studio, templates=("what is it",))
    picture, text = example.question
    assert isinstance(picture, Picture)
    assert text.lower().strip("?.") == "what is it"
    assert example.ability == "name_picture"
    assert example.answer in {phrase(name) for name in studio.icons.names}


def test_asked_aloud_the_sentence_is_to_be_spoken(studio):
    sight = Sight(Picture(figures.draw("ring", (1, 2, 3))[..., :3]), "a ring", {"size": "big"})
    skill = Skill("odd", "scene", ("how {size} is it",), lambda rng, studio: sight)
    example = asking.ask_aloud(skill, random.Random(0), studio)
    assert example.ability == asking.ASK_ABOUT
    assert example.question[1] == Spoken("how big is it")


def test_is_it_is_answered_by_yes_and_no(studio):
    skill = naming.SKILLS[1]
    rng = random.Random(1)
    answers = [skill.draw(rng, studio).answer for _ in range(40)]
    assert set(answers) == {"yes", "no"}
    assert 10 < answers.count("yes") < 30


def test_things_are_counted(studio, shown):
    for sight in sights("how_many", studio):
        assert sight.answer == in_words(len(shown[-1].things))


def test_one_kind_of_thing_is_counted(studio, shown):
    for sight in sights("how_many_of", studio):
        asked = sight.slots["things"]
        found = 0
        for thing in shown[-1].things:
            names = {looking.plural(thing.name)}
            if thing.colour:
                names |= {f"{thing.colour} things", f"{thing.colour} shapes"}
            found += asked in names
        assert sight.answer == in_words(found)


def test_colour_and_shape_belong_together(studio, shown):
    for sight in sights("what_colour", studio):
        assert (sight.slots["shape"], sight.answer) in {
            (thing.name, thing.colour) for thing in shown[-1].things
        }
    for sight in sights("what_shape", studio):
        assert (sight.slots["colour"], sight.answer) in {
            (thing.colour, phrase(thing.name)) for thing in shown[-1].things
        }
    for sight in sights("one_shape", studio):
        (thing,) = shown[-1].things
        assert sight.answer == looking.called(thing)


def find(scene, name):
    return next(thing for thing in scene.things if looking.the(thing) == name)


def test_sides_are_those_that_can_be_seen(studio, shown):
    for sight in sights("which_side", studio):
        one, other = (find(shown[-1], sight.slots[slot]) for slot in ("one", "other"))
        assert looking.SIDES[sight.answer](one, other) > looking.APART
        words = (sight.slots["first"], sight.slots["second"])
        assert sight.answer in {word.removesuffix(" of") for word in words}


def test_only_one_thing_is_beside_another(studio, shown):
    sides = {words: side for side, words in looking.SIDE_WORDS.items()}
    for sight in sights("what_is_beside", studio):
        other = find(shown[-1], sight.slots["other"])
        far = looking.SIDES[sides[sight.slots["side"]]]
        there = [thing for thing in shown[-1].things if far(thing, other) > looking.APART]
        assert [looking.called(thing) for thing in there] == [sight.answer]


def test_the_bigger_thing_is_bigger(studio, shown):
    for sight in sights("bigger", studio):
        answer = find(shown[-1], sight.answer)
        assert answer.is_big == (sight.slots["size"] == "bigger")


def test_what_is_missing_is_named_but_not_shown(studio, shown):
    for sight in sights("missing", studio):
        named = set(sight.slots["things"].split(", "))
        seen = {scenes.plain_name(thing) for thing in shown[-1].things}
        assert {f"the {name}" for name in named - seen} == {sight.answer}


def test_what_is_there_is_seen(studio, shown):
    for sight in sights("is_there", studio):
        seen = {looking.called(thing) for thing in shown[-1].things}
        assert (sight.slots["thing"] in seen) == (sight.answer == "yes")


def test_a_description_names_all_from_left_to_right(studio, shown):
    for sight in sights("describe", studio):
        things = shown[-1].things
        if len({thing.name for thing in things}) == 1:
            assert sight.answer == f"{in_words(len(things))} {looking.plural(things[0].name)}"
        else:
            names = sight.answer.replace(" and ", ", ").split(", ")
            assert names == [looking.called(thing) for thing in things]


def test_there_are_more_of_what_is_seen_oftener(studio, shown):
    for sight in sights("most", studio):
        names = [looking.plural(thing.name) for thing in shown[-1].things]
        counts = {name: names.count(name) for name in names}
        choose = max if sight.slots["more"] == "more" else min
        assert sight.answer == choose(counts, key=counts.get)


def test_an_orange_thing_is_an_orange_one():
    assert looking.called(scenes.Planned("ring", "orange")) == "an orange ring"
    assert looking.called(scenes.Planned("ring", "red")) == "a red ring"
