import pytest

from myna.train.pictures.names import ICON_KEYS, NAMES, WITHOUT_ARTICLE, phrase


def test_there_are_three_hundred_names_and_no_name_twice():
    assert len(NAMES) >= 300
    assert len(set(NAMES)) == len(NAMES)


def test_no_icon_has_two_names():
    keys = [key for keys in ICON_KEYS.values() for key in keys]
    assert len(set(keys)) == len(keys)


def test_names_are_short_lower_case_words():
    assert all(len(name.split()) <= 4 and name.islower() for name in NAMES)
    assert all(name.replace(" ", "").isalpha() for name in NAMES)


def test_names_without_article_are_names():
    assert set(NAMES) > WITHOUT_ARTICLE


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cat", "a cat"),
        ("owl", "an owl"),
        ("unicorn", "a unicorn"),
        ("umbrella", "an umbrella"),
        ("hourglass", "an hourglass"),
        ("milk", "milk"),
        ("thumbs up", "thumbs up"),
    ],
)
def test_phrases_carry_their_article(name, said):
    assert phrase(name) == said
