"""Tokenizers in tiktoken's form."""

import base64
from pathlib import Path

import pytest
import tokenizers

from myna.core.errors import BadCheckpoint, Unsupported
from myna.text import byte_level
from myna.text.tokenizer import Tokenizer
from myna.text.tokenizer_files import from_folder
from myna.text.tokenizer_tiktoken import derive_merges, read_ranks


@pytest.fixture
def ranks_folder(trained: tokenizers.Tokenizer, vocab_folder: Path) -> Path:
    """Write the trained tokenizer as ranks, beside the same tokenizer_config.json."""
    vocab = trained.get_vocab(with_added_tokens=False)
    lines = [
        base64.b64encode(byte_level.to_bytes(token)) + f" {rank}".encode()
        for token, rank in sorted(vocab.items(), key=lambda item: item[1])
    ]
    (vocab_folder / "qwen.tiktoken").write_bytes(b"\n".join(lines) + b"\n")
    (vocab_folder / "vocab.json").unlink()
    (vocab_folder / "merges.txt").unlink()
    return vocab_folder


def test_ranks_and_tokenizer_json_give_equal_ids(
    tokenizer: Tokenizer, ranks_folder: Path, corpus: tuple[str, ...]
) -> None:
    other = from_folder(ranks_folder)
    for text in (*corpus, "<|im_start|>a <tool_call> b<think><|im_end|>"):
        assert other.encode(text) == tokenizer.encode(text)
        assert other.encode(text, special=False) == tokenizer.encode(text, special=False)
    assert other.eos_ids == tokenizer.eos_ids


def test_another_class_splits_as_llama_3(ranks_folder: Path) -> None:
    config = ranks_folder / "tokenizer_config.json"
    config.write_text(config.read_text().replace("Qwen2Tokenizer", "TikTokenTokenizer"))
    assert from_folder(ranks_folder).decode(from_folder(ranks_folder).encode("e\u0301")) != "é"


def test_merges_come_in_the_order_of_their_ranks() -> None:
    vocab = {"a": 0, "b": 1, "ab": 2, "aab": 3, "aa": 4}
    assert derive_merges(vocab) == [("a", "b"), ("a", "ab"), ("aa", "b"), ("a", "a")]


@pytest.mark.parametrize(
    "line", [b"YQ==", b"YQ== x", b"!!! 0", b" 0", b"YQ== -1", b"YWFh" * 400 + b" 1", b"\xff\xfe 1"]
)
def test_damaged_lines_are_refused(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"YQ== 0\n" + line)
    with pytest.raises(BadCheckpoint, match=r"tokenizer.model: line 2 is .* should be a token in"):
        read_ranks(tmp_path / "tokenizer.model")


def test_a_sentencepiece_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>")
    with pytest.raises(Unsupported, match="is a SentencePiece model, and only byte-level BPE"):
        from_folder(tmp_path)
