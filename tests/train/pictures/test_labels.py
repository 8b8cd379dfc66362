import numpy as np

from myna.train.pictures import labels
from myna.train.pictures.canvas import Box
from myna.train.pictures.labels import CHANGES, CHARACTERS, HUES, THINGS, UNSCORED, WORDS
from myna.train.pictures.lines import Line
from myna.train.pictures.scenes import Thing

QUARTER = Box(0.5, 0.0, 1.0, 0.5)


def test_a_thing_is_in_the_tokens_that_it_covers():
    found = labels.label_things([Thing("cat", None, QUARTER, True)], 4, 4)
    cat = THINGS.index("cat")
    assert found.thing.reshape(4, 4).tolist() == [
        [0, 0, cat, cat],
        [0, 0, cat, cat],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]
    assert (found.hue[found.thing == cat] == UNSCORED).all()  # an icon has many colours
    assert found.centres.sum() == 1
    assert (found.change == UNSCORED).all()
    assert (found.characters == UNSCORED).all()


def test_a_shape_has_a_colour():
    found = labels.label_things([Thing("ring", "pink", QUARTER, True)], 2, 2)
    assert found.thing.tolist() == [0, THINGS.index("ring"), 0, 0]
    assert found.hue.tolist() == [0, HUES.index("pink"), 0, 0]


def test_a_small_thing_counts_where_most_of_it_lies():
    tiny = Thing("bee", None, Box(0.05, 0.05, 0.15, 0.15), False)
    found = labels.label_things([tiny], 2, 2)
    assert found.thing.tolist() == [THINGS.index("bee"), 0, 0, 0]


def test_the_thing_that_covers_more_of_a_token_wins():
    things = [
        Thing("cat", None, Box(0.0, 0.0, 0.35, 1.0), True),
        Thing("dog", None, Box(0.35, 0.0, 1.0, 1.0), True),
    ]
    found = labels.label_things(things, 1, 2)
    assert found.thing.tolist() == [THINGS.index("cat"), THINGS.index("dog")]


def test_centres_are_counted_up_to_the_highest_class():
    here = [Thing("bee", None, Box(0.4, 0.4, 0.5, 0.5), False)] * 5
    assert labels.label_things(here, 1, 1).centres.tolist() == [labels.MAX_CENTRES]


def test_changes_are_told_in_clips_alone():
    thing = Thing("cat", None, QUARTER, True)
    found = labels.label_things([thing], 2, 2, changes=["grew"])
    assert found.change.tolist() == [0, CHANGES.index("grew"), 0, 0]


def test_characters_stand_in_order_in_the_tokens_of_their_line():
    pixels = np.zeros((64, 96, 3), np.uint8)
    line = Line(pixels, "abc", Box(0.0, 0.5, 1.0, 1.0), (0.1, 0.2, 0.9))
    found = labels.label_line(line, 2, 3).characters.reshape(2, 3, labels.SLOTS)
    assert (found[0] == 0).all()  # the line is below
    a, b, c = (CHARACTERS.index(letter) for letter in "abc")
    assert found[1, :, :3].tolist() == [[a, b, 0], [0, 0, 0], [c, 0, 0]]


def test_more_characters_than_a_token_holds_are_left_out():
    line = Line(np.zeros((32, 32, 3), np.uint8), "abcdefg", Box(0, 0, 1, 1), (0.5,) * 7)
    found = labels.label_line(line, 1, 1)
    assert found.characters.tolist() == [[CHARACTERS.index(letter) for letter in "abcde"]]


def words_of(found: labels.TokenLabels) -> list[list[str | None]]:
    return [[None if i == UNSCORED else WORDS[i] for i in token] for token in found.words.tolist()]


def test_a_thing_is_worded_by_its_name_and_colour():
    things = [Thing("polar bear", None, Box(0, 0, 0.5, 1), True)]
    things.append(Thing("ring", "pink", Box(0.5, 0, 1, 1), True))
    assert words_of(labels.label_things(things, 1, 2)) == [["polar", "bear"], ["ring", "pink"]]
    assert words_of(labels.label_things([], 1, 1)) == [[None, None]]


def test_a_line_is_worded_where_its_words_stand():
    centres = tuple((i + 0.5) / 12 for i in range(12))
    line = Line(np.zeros((1, 1, 3), np.uint8), "Cat x9 a dog", Box(0, 0, 1, 1), centres)
    # Each token holds three characters: "Cat", " x9", " a ", "dog".
    assert words_of(labels.label_line(line, 1, 4)) == [
        ["cat", None],
        [None, None],
        ["a", None],
        ["dog", None],
    ]
    assert words_of(labels.label_line(line, 1, 2)) == [["cat", None], ["a", "dog"]]


def test_patches_are_told_what_is_in_their_middle():
    # Two tokens side by side are two rows of four patches; a bat fills the right half but for the
    # lowest row.
    bat = Thing("bat", None, Box(0.5, 0, 1, 0.5), True)
    found = labels.label_things([bat], 1, 2)
    assert [THINGS[i] for i in found.patch_thing] == [None] * 4 + ["bat"] * 2 + [None] * 2
    assert (found.patch_character == UNSCORED).all()


def test_patches_of_a_line_are_told_their_character():
    centres = (0.125, 0.375, 0.625)
    line = Line(np.zeros((1, 1, 3), np.uint8), "abc", Box(0, 0.5, 0.75, 1), centres)
    found = labels.label_line(line, 1, 2)
    # Of each token first the upper two patches, which hold nothing, then the lower two.
    assert [CHARACTERS[i] for i in found.patch_character] == [
        *(None, None, "a", "b"),
        *(None, None, "c", None),
    ]
    assert not found.patch_thing.any()
