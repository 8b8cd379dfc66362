"""Tokenizers in GGUF metadata."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import tokenizers
from tokenizers import pre_tokenizers

from myna.core.errors import BadCheckpoint, Unsupported
from myna.text.tokenizer import Tokenizer
from myna.text.tokenizer_gguf import from_gguf_metadata

Metadata = dict[str, object]
PREFIX = "tokenizer.ggml."


def test_gguf_and_tokenizer_json_give_equal_ids(
    tokenizer: Tokenizer, gguf_metadata: Metadata, corpus: tuple[str, ...]
) -> None:
    other = from_gguf_metadata(gguf_metadata)
    for text in (*corpus, "<|im_start|>a <tool_call> b<think><|im_end|>"):
        assert other.encode(text) == tokenizer.encode(text)
        assert other.encode(text, special=False) == tokenizer.encode(text, special=False)
        assert other.decode(other.encode(text)) == tokenizer.decode(tokenizer.encode(text))
    assert other.special_ids == tokenizer.special_ids
    assert other.warnings == ()


def test_unused_tokens_are_told(gguf_metadata: Metadata, tokenizer: Tokenizer) -> None:
    other = from_gguf_metadata(gguf_metadata)
    assert other.unused_ids == {tokenizer.vocab_size, tokenizer.vocab_size + 1}


def test_answers_end_at_known_control_tokens_too(
    gguf_metadata: Metadata, tokenizer: Tokenizer
) -> None:
    gguf_metadata[PREFIX + "eot_token_id"] = np.uint32(3)
    ends = from_gguf_metadata(gguf_metadata).eos_ids
    assert ends == (tokenizer.id_of("<|im_end|>"), 3, tokenizer.id_of("<|endoftext|>"))


@pytest.mark.parametrize(
    ("pre", "expected"),
    [
        ("smollm", ["a", "1", "2", "3", " ", "4", "!", "\n", "\n", "b"]),
        ("gpt-2", ["a", "123", " 4", "!", "\n", "\n", "b"]),
        ("llama-bpe", ["a", "123", " ", "4", "!\n\n", "b"]),
        ("qwen2", ["a", "1", "2", "3", " ", "4", "!\n\n", "b"]),
        ("deepseek-r1-qwen", ["a", "1", "2", "3", " ", "4", "!\n\n", "b"]),
    ],
)
def test_each_splitter_splits_its_own_way(
    gguf_metadata: Metadata, pre: str, expected: list[str]
) -> None:
    """A vocabulary that holds every piece as one token shows where the text was split."""
    pieces = [
        p.replace(" ", "Ġ").replace("\n", "Ċ") for p in (*expected, "a123", "Ġ4!", "!Ċ", "ĊĊ")
    ]
    tokens = [*pre_tokenizers.ByteLevel.alphabet()]
    merges: list[str] = []
    for piece in pieces:
        for end in range(2, len(piece) + 1):
            if piece[:end] not in tokens:
                tokens.append(piece[:end])
                merges.append(f"{piece[: end - 1]} {piece[end - 1]}")
    gguf_metadata[PREFIX + "pre"] = pre
    gguf_metadata[PREFIX + "tokens"] = tokens
    gguf_metadata[PREFIX + "merges"] = merges
    del gguf_metadata[PREFIX + "token_type"]
    del gguf_metadata[PREFIX + "eos_token_id"], gguf_metadata[PREFIX + "bos_token_id"]
    tokenizer = from_gguf_metadata(gguf_metadata)
    ids = tokenizer.encode("a123 4!\n\nb")
    assert [tokenizer.decode([i]) for i in ids] == expected


def test_smollm_splits_as_the_tokenizers_library_does(
    gguf_metadata: Metadata, trained: tokenizers.Tokenizer, corpus: tuple[str, ...]
) -> None:
    """Its own tokenizer.json splits digits first, and then with GPT-2's pattern."""
    gguf_metadata[PREFIX + "pre"] = "smollm"
    tokenizer = from_gguf_metadata(gguf_metadata)
    rust = tokenizers.Tokenizer(trained.model)
    rust.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    for text in (*corpus, "# Style\n 1. a\n\n 22 b"):
        assert tokenizer.encode(text) == rust.encode(text).ids


def test_llama_takes_whole_pieces_and_wants_bos(gguf_metadata: Metadata) -> None:
    gguf_metadata[PREFIX + "pre"] = "llama-bpe"
    del gguf_metadata[PREFIX + "add_bos_token"]
    tokens = [*gguf_metadata[PREFIX + "tokens"], "ĠParisians"]  # type: ignore[misc] # a list
    gguf_metadata[PREFIX + "tokens"] = tokens
    gguf_metadata[PREFIX + "token_type"] = np.array(
        [*gguf_metadata[PREFIX + "token_type"], 1],  # type: ignore[misc] # a list
        np.int32,
    )
    tokenizer = from_gguf_metadata(gguf_metadata)
    assert tokenizer.encode(" Parisians") == [len(tokens) - 1]
    assert tokenizer.adds_bos


def test_a_file_that_does_not_say_how_to_split_is_warned_of(gguf_metadata: Metadata) -> None:
    del gguf_metadata[PREFIX + "pre"]
    (warning,) = from_gguf_metadata(gguf_metadata).warnings
    assert "does not say how the model splits text" in warning


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("model", "llama", "the tokenizer is of the kind 'llama', and only byte-level BPE"),
        ("model", 3, "the tokenizer is of the kind 3"),
        ("pre", "odd", "splitter `tokenizer.ggml.pre` is 'odd', which is not known here"),
    ],
)
def test_unknown_kinds_are_refused_by_name(
    gguf_metadata: Metadata, name: str, value: object, message: str
) -> None:
    gguf_metadata[PREFIX + name] = value
    with pytest.raises(Unsupported, match=message):
        from_gguf_metadata(gguf_metadata)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("model", None, "no `tokenizer.ggml.model`, so the file has no tokenizer"),
        ("pre", 7, "`tokenizer.ggml.pre` is '7' of type int, and should be a name"),
        ("tokens", None, "`tokenizer.ggml.tokens` is missing"),
        ("tokens", "abc", "of type str, and should be an array"),
        ("tokens", 5, "of type int, and should be an array"),
        ("tokens", ["a", 5], r"`tokenizer.ggml.tokens\[1\]` is '5' of type int"),
        ("tokens", [], "token types"),
        ("merges", None, "`tokenizer.ggml.merges` is missing"),
        ("merges", [b"a b"], r"merges\[0\]` is .* and should be a text"),
        ("merges", ["ab"], "merge 0 is 'ab', and a merge is two tokens"),
        ("merges", ["a 日"], "merge 0 joins 'a' and '日', and '日' is no token"),
        ("token_type", [1], r"tokens and 1 token types"),
        ("token_type", [True], r"token_type\[0\]` is 'True' of type bool"),
        ("token_type", ["x"], r"token_type\[0\]` is 'x' of type str, and should be an integer"),
        ("add_bos_token", 1, "add_bos_token` is '1' of type int, and should be true or false"),
        ("eos_token_id", 10**6, "eos_token_id` is 1000000, and there are"),
        ("bos_token_id", -1, "bos_token_id` is -1, and there are"),
        ("eot_token_id", "x", "eot_token_id` is 'x' of type str"),
    ],
)
def test_damaged_metadata_is_refused(
    gguf_metadata: Metadata, name: str, value: object, message: str
) -> None:
    gguf_metadata[PREFIX + name] = value
    with pytest.raises(BadCheckpoint, match=message):
        from_gguf_metadata(gguf_metadata)


def test_a_token_that_comes_twice_is_refused(gguf_metadata: Metadata) -> None:
    gguf_metadata[PREFIX + "tokens"] = ["a", "a"]
    gguf_metadata[PREFIX + "token_type"] = [1, 1]
    with pytest.raises(BadCheckpoint, match="token 'a' is there twice, with the ids 0 and 1"):
        from_gguf_metadata(gguf_metadata)


def test_a_real_file_gives_known_ids(smollm2: Path) -> None:
    reader = gguf.GGUFReader(smollm2)
    metadata = {key: field.contents() for key, field in reader.fields.items()}
    tokenizer = from_gguf_metadata(metadata)
    assert tokenizer.encode("The capital of France is Paris.<|im_end|>") == [
        *[504, 3575, 282, 4649, 314, 7042, 30, 2]
    ]
    assert (tokenizer.bos_id, tokenizer.eos_ids, tokenizer.adds_bos) == (1, (2, 0), False)
    assert tokenizer.vocab_size == 49152
