"""The parts of a byte-level BPE vocabulary, checked, and the tokenizer made of them.

Every form a checkpoint may have its tokenizer in is read into these parts, or checked by these
functions. Errors name the file and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import tokenizers
from tokenizers import decoders, models, pre_tokenizers
from tokenizers.normalizers import Normalizer
from tokenizers.pre_tokenizers import PreTokenizer

from myna.core.errors import BadCheckpoint

# Source: the patterns of the released tokenizer.json files and llama.cpp `llama-vocab.cpp`.
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_MODERN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|NUMBER"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_PATTERN = _MODERN_PATTERN.replace("NUMBER", r"\p{N}{1,3}")
QWEN2_PATTERN = _MODERN_PATTERN.replace("NUMBER", r"\p{N}")
DIGIT_PATTERN = r"\p{N}"

# No tokenizer has anywhere near so many; a larger id would make us allocate what a file says.
MAX_TOKEN_ID = 2**22


@dataclass(frozen=True, kw_only=True)
class TokenizerParts:
    """Hold what makes a tokenizer.

    `splits` cut the text one after another, each the pieces left by the one before, and write it in
    the byte-level alphabet.
    """

    vocab: dict[str, int]
    merges: list[tuple[str, str]]
    added: Sequence[tuple[int, tokenizers.AddedToken]]
    splits: Sequence[PreTokenizer]
    normalizer: Normalizer | None = None
    ignores_merges: bool = False


def split_by(*patterns: str) -> tuple[PreTokenizer, ...]:
    """Split by regular expressions, then write in the byte-level alphabet."""
    splits = [pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated") for pattern in patterns]
    return (*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))


def assemble(parts: TokenizerParts, *, source: str) -> tokenizers.Tokenizer:
    """Make the tokenizer; `source` names the file in errors.

    The tokenizers library never reads a file itself: some that are wrong make it end the process.
    """
    # In the vocabulary an added token keeps its own id, whatever gaps the ids have.
    added = ((token_id, token.content) for token_id, token in parts.added)
    vocab = with_added(parts.vocab, added, source)
    check_merges(parts.merges, vocab, source=source)
    rust = tokenizers.Tokenizer(
        models.BPE(vocab=vocab, merges=parts.merges, ignore_merges=parts.ignores_merges)
    )
    if parts.normalizer is not None:
        rust.normalizer = parts.normalizer
    rust.pre_tokenizer = pre_tokenizers.Sequence(list(parts.splits))
    rust.decoder = decoders.ByteLevel()
    rust.add_tokens([token for _, token in parts.added])
    return rust


def unique_vocab(pairs: Iterable[tuple[str, int]], *, source: str) -> dict[str, int]:
    """Make a vocabulary of (token, id) pairs, refusing a token that comes twice."""
    vocab: dict[str, int] = {}
    for token, token_id in pairs:
        if token in vocab:
            raise BadCheckpoint(
                f"{source}: token {token!r} is there twice, with the ids {vocab[token]} and "
                f"{token_id}; the file is damaged, fetch it again."
            )
        vocab[token] = token_id
    return vocab


def with_added(
    vocab: dict[str, int], added: Iterable[tuple[int, str]], source: str
) -> dict[str, int]:
    """Join a vocabulary and its added tokens, refusing ids out of range or of two tokens."""
    joined = dict(vocab)
    for token_id, text in added:
        if joined.setdefault(text, token_id) != token_id:
            raise BadCheckpoint(
                f"{source}: token {text!r} has the ids {joined[text]} and {token_id}; "
                "the tokenizer files do not belong together, fetch them again."
            )
    owners: dict[int, str] = {}
    for text, token_id in joined.items():
        if not 0 <= token_id < MAX_TOKEN_ID:
            raise BadCheckpoint(
                f"{source}: token {text!r} has the id {token_id}, and ids lie between 0 and "
                f"{MAX_TOKEN_ID - 1}; the file is damaged, fetch it again."
            )
        if owners.setdefault(token_id, text) != text:
            raise BadCheckpoint(
                f"{source}: the tokens {owners[token_id]!r} and {text!r} share the id {token_id}; "
                "the tokenizer files do not belong together, fetch them again."
            )
    return joined


def check_merges(merges: Sequence[tuple[str, str]], vocab: dict[str, int], *, source: str) -> None:
    """Refuse merges of what are no tokens, or into what is none."""
    for rank, (left, right) in enumerate(merges):
        for token in (left, right, left + right):
            if token not in vocab:
                raise BadCheckpoint(
                    f"{source}: merge {rank} joins {left!r} and {right!r}, and {token!r} is no "
                    "token; the tokenizer files do not belong together, fetch them again."
                )


def split_merge(line: str, *, rank: int, source: str) -> tuple[str, str]:
    """Read "left right"; a left half may begin with a blank, as some files write it."""
    cut = line.find(" ", 1)
    if cut == -1 or cut == len(line) - 1:
        raise BadCheckpoint(
            f"{source}: merge {rank} is {line!r}, and a merge is two tokens with a blank between; "
            "the file is damaged, fetch it again."
        )
    return line[:cut], line[cut + 1 :]
