"""Text from a stream of ids."""

from hypothesis import given
from hypothesis import strategies as st

from myna.text.stream_decoder import StreamDecoder
from myna.text.tokenizer import Tokenizer


@given(data=st.data())
def test_pieces_join_to_the_decoded_whole(tokenizer: Tokenizer, data: st.DataObject) -> None:
    """Any ids at all, also such as make no UTF-8."""
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=30))
    decoder = StreamDecoder(tokenizer)
    text = "".join([*[decoder.feed(i) for i in ids], decoder.finish()])
    assert text == tokenizer.decode(ids)
    assert decoder.num_chars == len(text)


def test_a_character_waits_for_its_last_byte(tokenizer: Tokenizer) -> None:
    ids = [i for byte in "ð\x9f¤\x96" if (i := byte_id(tokenizer, byte)) is not None]
    decoder = StreamDecoder(tokenizer)
    assert [decoder.feed(i) for i in ids] == ["", "", "", "🤖"]
    assert decoder.finish() == ""


def test_an_unfinished_character_ends_as_the_replacement_character(tokenizer: Tokenizer) -> None:
    decoder = StreamDecoder(tokenizer)
    first = byte_id(tokenizer, "ð")
    assert first is not None
    assert decoder.feed(first) == ""
    assert decoder.finish() == "\ufffd"


def test_control_tokens_show_on_request_only(tokenizer: Tokenizer) -> None:
    end = tokenizer.id_of("<|im_end|>")
    assert end is not None
    assert StreamDecoder(tokenizer).feed(end) == ""
    assert StreamDecoder(tokenizer, shown=[end]).feed(end) == "<|im_end|>"


def byte_id(tokenizer: Tokenizer, latin1: str) -> int | None:
    """Find the token of one byte, given as a Latin-1 character."""
    raw = latin1.encode("latin-1")
    return next((i for i in range(tokenizer.vocab_size) if tokenizer.token_bytes(i) == raw), None)
