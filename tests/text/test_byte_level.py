"""The byte-level alphabet."""

from tokenizers import pre_tokenizers

from myna.text import byte_level


def test_the_alphabet_is_the_one_of_the_tokenizers_library() -> None:
    assert sorted(byte_level.ALPHABET) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert byte_level.from_bytes(b" \n") == "ĠĊ"


def test_every_byte_survives_a_round_trip() -> None:
    raw = bytes(range(256))
    assert byte_level.to_bytes(byte_level.from_bytes(raw)) == raw


def test_a_token_outside_the_alphabet_stands_for_its_own_text() -> None:
    assert byte_level.to_bytes("<｜User｜>") == "<｜User｜>".encode()  # noqa: RUF001 - DeepSeek's
