"""Sounds that synthesizers name become one set of phones."""

from __future__ import annotations

import pytest

from myna.train.sound.phones import from_flite, from_ipa


@pytest.mark.parametrize(
    ("symbol", "phones"),
    [
        ("ɑːɹ", ("aa", "r")),
        ("tʃ", ("ch",)),
        ("eɪ", ("ey",)),
        ("A", ("ey",)),
        ("ɾ", ("t",)),
        ("", ("sil",)),
        ("ˈ", ("sil",)),
    ],
)
def test_ipa_becomes_phones(symbol: str, phones: tuple[str, ...]) -> None:
    assert from_ipa(symbol) == phones


def test_a_sound_of_another_language_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'y' in 'yː' is no sound of English"):
        from_ipa("yː")


def test_flites_weak_vowel_joins_its_strong_one() -> None:
    assert from_flite("ax") == "ah"
    assert from_flite("pau") == "sil"


def test_an_unknown_name_of_flites_is_refused() -> None:
    with pytest.raises(ValueError, match="'nn' is no phone"):
        from_flite("nn")
