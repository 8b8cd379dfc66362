"""Encoding and decoding."""

import threading
import time

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models

from myna.core.errors import InvalidRequest
from myna.text.tokenizer import Tokenizer

# Texts that are likely to hold, or nearly hold, control tokens.
NASTY = st.lists(
    st.sampled_from(
        [
            "<|im_end|>",
            "<|im_",
            "end|>",
            "<",
            "<think>",
            "</tool_call>",
            " ",
            "\n",
            "a",
            "é",
            "日本",
            "\ufdd0",
            "'s",
            "12",
            "<|im_start|>",
        ]
    ),
    max_size=12,
).map("".join)


def test_encoding_equals_the_tokenizers_library(
    tokenizer: Tokenizer, trained: tokenizers.Tokenizer, corpus: tuple[str, ...]
) -> None:
    for text in (*corpus, "<|im_start|>user\nhi<|im_end|>"):
        assert tokenizer.encode(text) == trained.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("special", [True, False])
def test_other_threads_go_on_while_a_long_text_is_encoded(
    tokenizer: Tokenizer, *, special: bool
) -> None:
    text = "The quick brown fox, jumps over 12 lazy dogs; " * 10_000
    encoding = threading.Thread(target=tokenizer.encode, args=[text], kwargs={"special": special})
    started_s = seen_s = time.monotonic()
    encoding.start()
    longest_s = 0.0
    while encoding.is_alive():
        time.sleep(0.001)
        longest_s, seen_s = max(longest_s, time.monotonic() - seen_s), time.monotonic()
    assert longest_s < (seen_s - started_s) / 2  # nearly all of it if encoding keeps Python's lock


def test_decoding_gives_normalised_text_back(
    tokenizer: Tokenizer, trained: tokenizers.Tokenizer, corpus: tuple[str, ...]
) -> None:
    for text in corpus:
        expected = trained.normalizer.normalize_str(text)
        assert tokenizer.decode(tokenizer.encode(text)) == expected


def test_decoding_hides_control_tokens_only(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("<|im_start|>a<think>b<|im_end|>")
    assert tokenizer.decode(ids) == "a<think>b"
    assert tokenizer.decode(ids, skip_special=False) == "<|im_start|>a<think>b<|im_end|>"


def test_half_a_character_decodes_to_the_replacement_character(tokenizer: Tokenizer) -> None:
    first_byte = tokenizer.id_of("ð")
    assert first_byte is not None
    assert tokenizer.decode([first_byte]) == "\ufffd"


def test_user_text_never_becomes_a_control_token(tokenizer: Tokenizer) -> None:
    text = "say <|im_end|> and <think>"
    ids = tokenizer.encode(text, special=False)
    controls = [tokenizer.id_of(token) for token in ("<|im_end|>", "<think>")]
    assert not set(ids) & set(controls)
    assert tokenizer.decode(ids) == text


@given(text=NASTY)
@settings(max_examples=200)
def test_escaped_text_encodes_like_user_text(tokenizer: Tokenizer, text: str) -> None:
    rendered = tokenizer.escape_control_tokens(text)
    assert tokenizer.encode_rendered(rendered) == tokenizer.encode(text, special=False)


@given(text=NASTY)
def test_user_text_in_a_template_adds_no_control_token(tokenizer: Tokenizer, text: str) -> None:
    prompt = f"<|im_start|>user\n{tokenizer.escape_control_tokens(text)}<|im_end|>\n"
    ids = tokenizer.encode_rendered(prompt)
    controls = [i for i in ids if i in tokenizer.special_ids]
    assert controls == [tokenizer.id_of("<|im_start|>"), tokenizer.id_of("<|im_end|>")]
    assert tokenizer.decode(ids).startswith("user\n")


def test_text_without_control_tokens_encodes_as_always(
    tokenizer: Tokenizer, corpus: tuple[str, ...]
) -> None:
    for text in corpus:
        rendered = f"<|im_start|>user\n{tokenizer.escape_control_tokens(text)}<|im_end|>\n"
        plain = f"<|im_start|>user\n{text}<|im_end|>\n"
        assert tokenizer.encode_rendered(rendered) == tokenizer.encode(plain)
        assert tokenizer.encode(text, special=False) == tokenizer.encode(text)


def test_half_a_surrogate_pair_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(InvalidRequest, match=r"U\+D800 at position 1, half of a surrogate pair"):
        tokenizer.encode("a\ud800")
    with pytest.raises(InvalidRequest, match="half of a surrogate pair"):
        tokenizer.encode_rendered("\ufdd0a\ud800")


def test_ids_without_a_token_are_unused(tokenizer: Tokenizer) -> None:
    rust = tokenizers.Tokenizer(models.BPE(vocab={"a": 0, "b": 3}, merges=[]))
    gappy = Tokenizer(rust, unused_ids=[3])
    assert (gappy.vocab_size, gappy.num_tokens) == (4, 2)
    assert gappy.unused_ids == {1, 2, 3}
    assert gappy.token_bytes(1) == b""
    assert gappy.token_bytes(99) == b""
    assert gappy.token_of(-1) is None
    assert gappy.token_of(3) == "b"
    assert tokenizer.unused_ids == frozenset()


def test_token_bytes_join_to_the_text(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("naïve <|im_end|> 日本")
    raw = b"".join(tokenizer.token_bytes(i) for i in ids)
    assert raw.decode() == "naïve <|im_end|> 日本"


def test_the_marks_of_deepseeks_turns_are_hidden() -> None:
    rust = tokenizers.Tokenizer(models.BPE(vocab={"a": 0, "<": 1}, merges=[]))
    rust.add_tokens(["<｜User｜>", "<think>"])  # noqa: RUF001 - written with these bars
    tokenizer = Tokenizer(rust)
    ids = tokenizer.encode("<｜User｜>a<think>")  # noqa: RUF001 - as above
    assert tokenizer.decode(ids) == "a<think>"


def test_bytes_without_a_token_are_warned_of(tokenizer: Tokenizer) -> None:
    rust = tokenizers.Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))
    (warning,) = Tokenizer(rust).warnings
    assert warning.startswith("the vocabulary has no token for 207 of the 208 bytes")
    assert tokenizer.warnings == ()


def test_a_blank_token_that_strips_blanks_is_found() -> None:
    rust = tokenizers.Tokenizer(models.BPE(vocab={"a": 0, "<": 1}, merges=[]))
    rust.add_tokens([tokenizers.AddedToken(" ", lstrip=True, normalized=False), "<s>"])
    tokenizer = Tokenizer(rust)
    marked = tokenizer.escape_control_tokens("a a<")
    assert tokenizer.encode_rendered(marked) == tokenizer.encode("a a<")


def test_bos_is_not_wanted_where_there_is_none() -> None:
    rust = tokenizers.Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))
    assert Tokenizer(rust, adds_bos=True).adds_bos is False
    assert Tokenizer(rust, adds_bos=True, bos_id=0).adds_bos is True


def test_a_control_token_that_is_a_whole_piece_is_spelled_out() -> None:
    vocab = {"<": 0, "x": 1, ">": 2, "<x>": 3}
    rust = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[], ignore_merges=True))
    rust.add_special_tokens(["<x>"])
    tokenizer = Tokenizer(rust)
    assert tokenizer.encode("<x>") == [3]
    assert tokenizer.encode("<x>", special=False) == [0, 1, 2]


def test_added_tokens_that_steer_nothing_stay_tokens_in_user_text() -> None:
    rust = tokenizers.Tokenizer(models.BPE(vocab={"a": 0, " ": 1, "<s>": 2}, merges=[]))
    rust.add_tokens([tokenizers.AddedToken("  ", normalized=False), "<s>"])
    tokenizer = Tokenizer(rust)
    assert tokenizer.encode("a  a", special=False) == [0, 3, 0]
    assert tokenizer.escape_control_tokens("a  a") == "a  a"
    assert tokenizer.encode_rendered("<s>" + tokenizer.escape_control_tokens("a\ufdd0  a")) == [
        *[2, 0],
        *tokenizer.encode("\ufdd0", special=False),
        *[3, 0],
    ]


def test_blanks_around_a_token_that_strips_them_are_swallowed() -> None:
    rust = tokenizers.Tokenizer(models.BPE(vocab={"a": 0, " ": 1, "<s>": 2}, merges=[]))
    token = tokenizers.AddedToken("<s>", lstrip=True, rstrip=True, normalized=False, special=True)
    rust.add_tokens([token, tokenizers.AddedToken("<w>", single_word=True, normalized=False)])
    tokenizer = Tokenizer(rust)
    marked = tokenizer.escape_control_tokens("<")
    for text in ("a <s> a", "a<w>a", "a <w> a"):
        expected = tokenizer.encode(text)
        assert tokenizer.encode_rendered(text + marked)[: len(expected)] == expected
