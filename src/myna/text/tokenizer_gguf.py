"""Tokenizers in the metadata of GGUF files.

Not here: reading the file; this takes its metadata as a mapping.
Source: ggml-org/llama.cpp `src/llama-vocab.cpp`; the `gguf` package's `constants.py`.
Differs: Qwen's NFC normaliser, which has no field in the metadata, is applied; text that no
pattern matches cannot occur, because the GPT-2 pattern ends in HF's `|\\s+`.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import tokenizers
from tokenizers import normalizers

from myna.core.errors import BadCheckpoint, Unsupported
from myna.text.tokenizer import Tokenizer
from myna.text.tokenizer_parts import (
    DIGIT_PATTERN,
    GPT2_PATTERN,
    LLAMA3_PATTERN,
    QWEN2_PATTERN,
    TokenizerParts,
    assemble,
    split_by,
    split_merge,
    unique_vocab,
)

_SOURCE = "GGUF metadata"
_PREFIX = "tokenizer.ggml."


class TokenType(IntEnum):
    """Say what a token is for (gguf `TokenType`)."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class _Splitter:
    """How a value of `tokenizer.ggml.pre` splits text."""

    patterns: tuple[str, ...]
    is_nfc: bool = False
    ignores_merges: bool = False
    adds_bos: bool = False


_SMOLLM = _Splitter((DIGIT_PATTERN, GPT2_PATTERN))
_LLAMA3 = _Splitter((LLAMA3_PATTERN,), ignores_merges=True, adds_bos=True)
_QWEN2 = _Splitter((QWEN2_PATTERN,), is_nfc=True)
_DEFAULT = _Splitter((r"[\p{P}\$\+<=>\^~\|]+", GPT2_PATTERN, r"\p{N}+", r"[0-9][0-9][0-9]"))
_SPLITTERS = {
    "smollm": _SMOLLM,
    "starcoder": _SMOLLM,
    "refact": _SMOLLM,
    "command-r": _SMOLLM,
    "gpt-2": _Splitter((GPT2_PATTERN,)),
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "default": _DEFAULT,
}

# Chat models may end on another token than `eos_token_id`; these are known by their text.
_END_MARKERS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<end_of_turn>",
    "<｜end▁of▁sentence｜>",  # noqa: RUF001 - DeepSeek writes it with these bars
)


def from_gguf_metadata(metadata: Mapping[str, object]) -> Tokenizer:
    """Build the tokenizer that a GGUF file describes.

    Args:
        metadata: the file's key/value pairs; arrays as sequences.
    """
    splitter, warnings = _splitter(metadata)
    tokens = _texts(metadata, "tokens")
    types = _types(metadata, len(tokens))
    vocab = unique_vocab(zip(tokens, range(len(tokens)), strict=True), source=_SOURCE)
    merges = [
        split_merge(line, rank=rank, source=_SOURCE)
        for rank, line in enumerate(_texts(metadata, "merges"))
    ]
    parts = TokenizerParts(
        vocab=vocab,
        merges=merges,
        added=[(i, token) for i, kind in enumerate(types) if (token := _added(tokens[i], kind))],
        splits=split_by(*splitter.patterns),
        normalizer=normalizers.NFC() if splitter.is_nfc else None,
        ignores_merges=splitter.ignores_merges,
    )
    adds_bos = metadata.get(_PREFIX + "add_bos_token", splitter.adds_bos)
    if not isinstance(adds_bos, bool):
        raise _wrong("add_bos_token", adds_bos, "true or false")
    named = (_token_id(metadata, f"{name}_token_id", len(tokens)) for name in ("eos", "eot", "eom"))
    known = (vocab[text] for text in _END_MARKERS if text in vocab)
    ends = [i for i in named if i is not None]
    return Tokenizer(
        assemble(parts, source=_SOURCE),
        bos_id=_token_id(metadata, "bos_token_id", len(tokens)),
        eos_ids=ends + [i for i in known if types[i] == TokenType.CONTROL],
        adds_bos=adds_bos,
        unused_ids=[i for i, kind in enumerate(types) if kind == TokenType.UNUSED],
        warnings=warnings,
    )


def _splitter(metadata: Mapping[str, object]) -> tuple[_Splitter, tuple[str, ...]]:
    """Find how the file's texts are split, and what to warn of."""
    model = metadata.get(_PREFIX + "model")
    if model is None:
        raise BadCheckpoint(
            f"{_SOURCE}: no `{_PREFIX}model`, so the file has no tokenizer; "
            "fetch a file that was converted whole."
        )
    if model != "gpt2":
        raise Unsupported(
            f"{_SOURCE}: the tokenizer is of the kind {model!r}, and only byte-level BPE ('gpt2') "
            "is supported; use the model's safetensors folder, or another model."
        )
    pre = metadata.get(_PREFIX + "pre", "default")
    if not isinstance(pre, str):
        raise _wrong("pre", pre, "a name")
    if pre not in _SPLITTERS:
        raise Unsupported(
            f"{_SOURCE}: the text splitter `{_PREFIX}pre` is {pre!r}, which is not known here "
            f"(known: {', '.join(sorted(_SPLITTERS))}); use the model's safetensors folder."
        )
    if pre != "default":
        return _SPLITTERS[pre], ()
    warning = (
        f"{_SOURCE} does not say how the model splits text (`{_PREFIX}pre`); the answers will "
        "probably be worse than they should be. hint: convert the model again."
    )
    return _DEFAULT, (warning,)


def _added(text: str, kind: int) -> tokenizers.AddedToken | None:
    """Make an added token of what is matched in the text before splitting."""
    if kind not in (TokenType.CONTROL, TokenType.UNKNOWN, TokenType.USER_DEFINED):
        return None
    is_hidden = kind != TokenType.USER_DEFINED
    return tokenizers.AddedToken(text, special=is_hidden, normalized=False)


def _array(metadata: Mapping[str, object], name: str) -> list[object]:
    value = metadata.get(_PREFIX + name)
    if value is None:
        raise BadCheckpoint(f"{_SOURCE}: `{_PREFIX}{name}` is missing; fetch the file again.")
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise _wrong(name, value, "an array")
    return list(value)


def _texts(metadata: Mapping[str, object], name: str) -> list[str]:
    texts: list[str] = []
    for position, value in enumerate(_array(metadata, name)):
        if not isinstance(value, str):
            raise _wrong(f"{name}[{position}]", value, "a text")
        texts.append(value)
    return texts


def _types(metadata: Mapping[str, object], num_tokens: int) -> list[int]:
    """Read the token types; a file without them has normal tokens only."""
    if metadata.get(_PREFIX + "token_type") is None:
        return [TokenType.NORMAL] * num_tokens
    types = [
        _integer(f"token_type[{position}]", value)
        for position, value in enumerate(_array(metadata, "token_type"))
    ]
    if len(types) != num_tokens:
        raise BadCheckpoint(
            f"{_SOURCE}: {num_tokens} tokens and {len(types)} token types; fetch the file again."
        )
    return types


def _token_id(metadata: Mapping[str, object], name: str, num_tokens: int) -> int | None:
    value = metadata.get(_PREFIX + name)
    if value is None:
        return None
    token_id = _integer(name, value)
    if not 0 <= token_id < num_tokens:
        raise BadCheckpoint(
            f"{_SOURCE}: `{_PREFIX}{name}` is {token_id}, and there are {num_tokens} tokens; "
            "fetch the file again."
        )
    return token_id


def _integer(name: str, value: object) -> int:
    """Read an integer, a numpy one too."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise _wrong(name, value, "an integer")
    return operator.index(value)


def _wrong(name: str, value: object, wanted: str) -> BadCheckpoint:
    return BadCheckpoint(
        f"{_SOURCE}: `{_PREFIX}{name}` is {str(value)[:80]!r} of type {type(value).__name__}, and "
        f"should be {wanted}; fetch the file again."
    )
