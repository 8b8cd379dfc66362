"""A small byte-level BPE tokenizer, trained here, and the corpus that tokenizers must agree on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from myna.text import tokenizer_files
from myna.text.tokenizer import Tokenizer
from myna.text.tokenizer_parts import QWEN2_PATTERN

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
USER_DEFINED = ("<tool_call>", "</tool_call>", "<think>", "</think>")
TEXTS = (
    "What is the capital of France? It's Paris, isn't it? We'll see: 1234567 and 3.14.",
    "Größe, naïve café e\u0301 – “Anführung” … ½ ² ①",  # noqa: RUF001 - dashes are part of the corpus
    "日本語のテキストと中文文本，以及한국어 문장입니다。",  # noqa: RUF001 - so are wide commas
    "Привет, мир! Καλημέρα κόσμε. שלום עולם. مرحبا بالعالم. नमस्ते दुनिया",
    "def f(x):\n    return {'a': [1, 2,  3]}\r\n\r\n\t\t# tabs   and   blanks   \n\n\n",
    "👩‍👩‍👧‍👦 🇫🇷 emoji 🤖\u200d\ufe0f and \u00a0 no-break",
    "",
    " ",
    "   leading and trailing   ",
    "I'M SHOUTING'S 'S 'll'LL",
    "\x00\x01 control \x7f bytes",
)


@pytest.fixture(scope="session")
def corpus() -> tuple[str, ...]:
    """Give texts in many scripts."""
    return TEXTS


@pytest.fixture(scope="session")
def trained() -> tokenizers.Tokenizer:
    """Train a tokenizer of Qwen's kind: NFC, its pattern, control and user-defined tokens."""
    rust = tokenizers.Tokenizer(models.BPE())
    rust.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(tokenizers.Regex(QWEN2_PATTERN), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    rust.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    rust.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, min_frequency=1, initial_alphabet=alphabet, show_progress=False
    )
    rust.train_from_iterator(list(TEXTS) * 3, trainer)
    rust.add_special_tokens(
        [tokenizers.AddedToken(text, special=True, normalized=False) for text in CONTROL]
    )
    rust.add_tokens(
        [tokenizers.AddedToken(text, special=False, normalized=False) for text in USER_DEFINED]
    )
    return rust


@pytest.fixture(scope="session")
def json_folder(trained: tokenizers.Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tokenizer as a released folder has it: tokenizer.json and its config."""
    folder = tmp_path_factory.mktemp("json_folder")
    trained.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "bos_token": None}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def vocab_folder(trained: tokenizers.Tokenizer, tmp_path: Path) -> Path:
    """Write the tokenizer in Qwen3-Omni's released form: no tokenizer.json."""
    form = json.loads(trained.to_str())
    lines = [" ".join(pair) for pair in form["model"]["merges"]]
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines) + "\n")
    (tmp_path / "vocab.json").write_text(json.dumps(form["model"]["vocab"]))
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "eos_token": "<|im_end|>",
        "added_tokens_decoder": {
            str(token.pop("id")): token for token in json.loads(trained.to_str())["added_tokens"]
        },
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    return tmp_path


@pytest.fixture
def gguf_metadata(trained: tokenizers.Tokenizer) -> dict[str, object]:
    """Write the tokenizer as GGUF metadata, with two unused fillers."""
    form = json.loads(trained.to_str())
    vocab = trained.get_vocab(with_added_tokens=True)
    tokens = sorted(vocab, key=lambda token: vocab[token])
    types = [3 if t in CONTROL else 4 if t in USER_DEFINED else 1 for t in tokens]
    num_tokens = len(tokens)
    return {
        "general.architecture": "qwen2",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": [*tokens, f"[PAD{num_tokens}]", f"[PAD{num_tokens + 1}]"],
        "tokenizer.ggml.token_type": [*types, 5, 5],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in form["model"]["merges"]],
        "tokenizer.ggml.eos_token_id": vocab["<|im_end|>"],
        "tokenizer.ggml.bos_token_id": vocab["<|endoftext|>"],
        "tokenizer.ggml.add_bos_token": False,
    }


@pytest.fixture(scope="session")
def tokenizer(json_folder: Path) -> Tokenizer:
    """Load the trained tokenizer."""
    return tokenizer_files.from_folder(json_folder)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Give the path of the SmolLM2 GGUF that `MYNA_TEST_SMOLLM2` names, or skip."""
    path = os.environ.get("MYNA_TEST_SMOLLM2")
    if path is None:
        pytest.skip("MYNA_TEST_SMOLLM2 does not name a SmolLM2-135M-Instruct GGUF file")
    return Path(path)
