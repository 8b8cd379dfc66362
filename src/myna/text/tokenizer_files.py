"""Tokenizers of checkpoint folders.

They have `tokenizer.json`, or `vocab.json` with `merges.txt`, or a file of tiktoken's ranks; the
first that is there is used. Not here: GGUF files.
Source: transformers 5.x `tokenization_utils_base.py`, `models/qwen2/tokenization_qwen2.py`.
Differs: only byte-level BPE is read; a folder without `tokenizer.json` needs no conversion.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import tokenizers
from tokenizers import normalizers

from myna.core.errors import BadCheckpoint, NotFound, Unsupported
from myna.text.json_files import read_bytes, read_json, read_text
from myna.text.tokenizer import Tokenizer
from myna.text.tokenizer_json import AddedToken, read_tokenizer_json, read_vocab
from myna.text.tokenizer_parts import (
    GPT2_PATTERN,
    LLAMA3_PATTERN,
    MAX_TOKEN_ID,
    QWEN2_PATTERN,
    TokenizerParts,
    assemble,
    split_by,
    split_merge,
)
from myna.text.tokenizer_tiktoken import derive_merges, read_ranks

_QWEN2_CLASSES = ("Qwen2Tokenizer", "Qwen2TokenizerFast")
_RANKS_FILES = ("tokenizer.model", "tiktoken.model", "qwen.tiktoken")
_GPT2_CLASSES = ("GPT2Tokenizer", "GPT2TokenizerFast")


class _TokenizerConfig(msgspec.Struct, frozen=True):
    tokenizer_class: str | None = None
    bos_token: AddedToken | str | None = None
    eos_token: AddedToken | str | None = None
    pad_token: AddedToken | str | None = None
    additional_special_tokens: tuple[AddedToken | str, ...] | None = None
    add_bos_token: bool | None = None
    added_tokens_decoder: dict[int, AddedToken] = {}

    def named_tokens(self) -> set[str]:
        """Collect the special tokens that have a role."""
        named = (self.bos_token, self.eos_token, self.pad_token)
        return {
            text
            for token in (*named, *(self.additional_special_tokens or ()))
            if (text := _text_of(token)) is not None
        }


class _EndIds(msgspec.Struct, frozen=True):
    """What generation_config.json and config.json say about the end of an answer."""

    eos_token_id: int | list[int] | None = None


def from_folder(folder: Path) -> Tokenizer:
    """Build the tokenizer of a checkpoint folder.

    Args:
        folder: a Hugging Face model folder.
    """
    config = read_json(folder / "tokenizer_config.json", _TokenizerConfig) or _TokenizerConfig()
    source, first = folder / "tokenizer.json", None
    if source.is_file():
        parts, first = read_tokenizer_json(source)
    elif (source := folder / "vocab.json").is_file():
        parts = _read_vocab_and_merges(folder, config)
    else:
        source = _ranks_file(folder)
        parts = _read_tiktoken(source, config)
    rust = assemble(parts, source=str(source))
    bos_id = _role_id(rust, config.bos_token or first, folder=folder)
    adds_bos = first is not None if config.add_bos_token is None else config.add_bos_token
    return Tokenizer(
        rust, bos_id=bos_id, eos_ids=_end_ids(rust, config, folder=folder), adds_bos=adds_bos
    )


def _read_vocab_and_merges(folder: Path, config: _TokenizerConfig) -> TokenizerParts:
    vocab_path, merges_path = folder / "vocab.json", folder / "merges.txt"
    if not merges_path.is_file():
        raise NotFound(f"{vocab_path} is there and {merges_path.name} is not; fetch it too.")
    if config.tokenizer_class not in (*_QWEN2_CLASSES, *_GPT2_CLASSES):
        raise Unsupported(
            f"{folder}: `tokenizer_class` is {config.tokenizer_class!r}, and `vocab.json` with "
            f"`merges.txt` is read for {_QWEN2_CLASSES[0]} and {_GPT2_CLASSES[0]} only; "
            "hint: look for a `tokenizer.json` of this model."
        )
    is_qwen = config.tokenizer_class in _QWEN2_CLASSES
    lines = read_text(merges_path).split("\n")
    if lines and lines[0].startswith("#version"):
        lines = lines[1:]
    return TokenizerParts(
        vocab=read_vocab(read_bytes(vocab_path), vocab_path),
        merges=[
            split_merge(line.rstrip("\r"), rank=rank, source=str(merges_path))
            for rank, line in enumerate(lines)
            if line.strip()
        ],
        added=_added_tokens(folder, config),
        splits=split_by(QWEN2_PATTERN if is_qwen else GPT2_PATTERN),
        normalizer=normalizers.NFC() if is_qwen else None,
    )


def _ranks_file(folder: Path) -> Path:
    for name in _RANKS_FILES:
        if (folder / name).is_file():
            return folder / name
    raise NotFound(
        f"{folder} has neither `tokenizer.json` nor `vocab.json` with `merges.txt`; "
        "fetch the model's tokenizer files."
    )


def _read_tiktoken(path: Path, config: _TokenizerConfig) -> TokenizerParts:
    vocab = read_ranks(path)
    is_qwen = (config.tokenizer_class or "") in (*_QWEN2_CLASSES, "QWenTokenizer")
    return TokenizerParts(
        vocab=vocab,
        merges=derive_merges(vocab),
        added=_added_tokens(path.parent, config),
        splits=split_by(QWEN2_PATTERN if is_qwen else LLAMA3_PATTERN),
        normalizer=normalizers.NFC() if is_qwen else None,
        ignores_merges=True,
    )


def _added_tokens(
    folder: Path, config: _TokenizerConfig
) -> list[tuple[int, tokenizers.AddedToken]]:
    """Read the added tokens, with their flags where the folder has them."""
    if config.added_tokens_decoder:
        return [(i, token.to_rust()) for i, token in config.added_tokens_decoder.items()]
    ids = read_json(folder / "added_tokens.json", dict[str, int]) or {}
    named = config.named_tokens()
    return [
        (
            token_id,
            tokenizers.AddedToken(
                text, special=text in named or text.startswith("<|"), normalized=False
            ),
        )
        for text, token_id in ids.items()
    ]


def _role_id(
    rust: tokenizers.Tokenizer, token: AddedToken | str | None, *, folder: Path
) -> int | None:
    text = _text_of(token)
    if text is None:
        return None
    token_id: int | None = rust.token_to_id(text)
    if token_id is None:
        raise BadCheckpoint(
            f"{folder}: `tokenizer_config.json` names the token {text!r}, which the vocabulary "
            "lacks; the tokenizer files do not belong together, fetch them again."
        )
    return token_id


def _end_ids(
    rust: tokenizers.Tokenizer, config: _TokenizerConfig, *, folder: Path
) -> Sequence[int]:
    """Collect the end tokens of all files that name some: they differ, and all are meant."""
    ends: list[int] = []
    end_id = _role_id(rust, config.eos_token, folder=folder)
    if end_id is not None:
        ends.append(end_id)
    for name in ("generation_config.json", "config.json"):
        named = (read_json(folder / name, _EndIds) or _EndIds()).eos_token_id
        for token_id in [named] if isinstance(named, int) else named or []:
            if not 0 <= token_id < MAX_TOKEN_ID or rust.id_to_token(token_id) is None:
                raise BadCheckpoint(
                    f"{folder / name}: `eos_token_id` holds {token_id}, and the vocabulary has no "
                    "such token; the files do not belong together, fetch them again."
                )
            ends.append(token_id)
    return ends


def _text_of(token: AddedToken | str | None) -> str | None:
    return token.content if isinstance(token, AddedToken) else token
