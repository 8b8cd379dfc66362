"""Fields: every wrong type is refused by name, with what was found and what is expected."""

import pytest

from myna.core.errors import BadCheckpoint
from myna.models.fields import Fields

WRONG_INTEGERS = ["32", 32.0, True, [32], {}, 0, -1, 2**40]
WRONG_NUMBERS = ["1", True, [1.0], {}, float("nan"), float("inf"), -1.0, 2]
WRONG_TEXTS = [1, True, ["silu"], {}]


def fields(value: object) -> Fields:
    return Fields({"p.key": value}, source="config.json", prefix="p.")


@pytest.mark.parametrize("value", WRONG_INTEGERS)
def test_what_is_no_integer_in_range_is_refused(value: object) -> None:
    with pytest.raises(BadCheckpoint, match=r"`p\.key` is .*, but an integer from 1 to"):
        fields(value).integer("key")


@pytest.mark.parametrize("value", WRONG_NUMBERS)
def test_what_is_no_number_in_range_is_refused(value: object) -> None:
    with pytest.raises(BadCheckpoint, match=r"`p\.key` is .*, but a number from 0 to 1 is"):
        fields(value).number("key", low=0, high=1)


@pytest.mark.parametrize("value", [0, 1, "true", [], {}])
def test_what_is_no_boolean_is_refused(value: object) -> None:
    with pytest.raises(BadCheckpoint, match="but true or false is expected"):
        fields(value).boolean("key", default=False)


@pytest.mark.parametrize("value", WRONG_TEXTS)
def test_what_is_no_string_is_refused(value: object) -> None:
    with pytest.raises(BadCheckpoint, match="but a string is expected"):
        fields(value).text("key", default="")


def test_a_string_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(BadCheckpoint, match="is 'relu', but 'silu' or 'gelu' is expected"):
        fields("relu").choice("key", ("silu", "gelu"), default="silu")


@pytest.mark.parametrize("value", ["1", 1.0, True, [1, "2"], [True], {}, [-1]])
def test_what_is_no_list_of_integers_is_refused(value: object) -> None:
    with pytest.raises(BadCheckpoint, match="an integer, or a list of integers, from 0"):
        fields(value).integers("key")


@pytest.mark.parametrize("value", ["yarn", 1, [], True])
def test_what_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(BadCheckpoint, match="but an object is expected"):
        fields(value).section("key")


def test_a_required_key_that_is_absent_is_named() -> None:
    with pytest.raises(BadCheckpoint, match=r"config\.json lacks `p\.other` \(an integer"):
        fields(1).integer("other")
    with pytest.raises(BadCheckpoint, match=r"lacks `p\.other` \(a number"):
        fields(1).number("other", low=0, high=1)


def test_a_long_value_is_quoted_in_part() -> None:
    with pytest.raises(BadCheckpoint) as caught:
        fields("x" * 100_000).integer("key")
    assert len(str(caught.value)) < 300


def test_null_counts_as_absent() -> None:
    absent = fields(None)
    assert absent.integer("key", default=3) == 3
    assert absent.number("key", low=0, high=1, default=0.5) == 0.5
    assert absent.boolean("key", default=True) is True
    assert absent.optional_boolean("key") is None
    assert absent.optional_integer("key") is None
    assert absent.text("key", default="a") == "a"
    assert absent.integers("key") == ()
    assert absent.section("key") is None


def test_right_values_are_given_back() -> None:
    assert fields(7).integer("key") == 7
    assert fields(7).optional_integer("key") == 7
    assert fields(7).integers("key") == (7,)
    assert fields([7, 8]).integers("key") == (7, 8)
    assert fields(1).number("key", low=0, high=1) == 1.0
    assert fields(False).optional_boolean("key") is False
    assert fields("a").choice("key", ("a",), default="b") == "a"


def test_a_section_says_where_it_is() -> None:
    section = fields({"factor": "4"}).section("key")
    assert section is not None
    with pytest.raises(BadCheckpoint, match=r"config\.json `p\.key` says `factor` is '4'"):
        section.number("factor", low=1, high=64)


def test_what_nobody_read_is_listed() -> None:
    both = Fields({"a": 1, "c": 2, "b": 3}, source="config.json")
    both.integer("a")
    assert both.unread() == ("b", "c")
