"""Tokenizers in tiktoken's form: a line for each token, its bytes in base64 and its rank.

Source: transformers 5.x `convert_slow_tokenizer.py` `TikTokenConverter`.
Differs: control tokens, which the file lacks, come from the folder's other files.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from myna.core.errors import BadCheckpoint, Unsupported
from myna.text import byte_level
from myna.text.json_files import read_bytes
from myna.text.tokenizer_parts import unique_vocab

# The longest tokens of released files are some hundred blanks; merges take the square of it.
MAX_TOKEN_BYTES = 1024


def read_ranks(path: Path) -> dict[str, int]:
    """Read the vocabulary, in the byte-level alphabet."""
    raw = read_bytes(path)
    if raw[:1] == b"\n":
        # The first field of a protobuf message; base64 has no line feed.
        raise Unsupported(
            f"{path} is a SentencePiece model, and only byte-level BPE is supported; "
            "hint: look for a `tokenizer.json` of this model."
        )
    lines = [line for line in raw.split(b"\n") if line.strip()]
    pairs = (_read_line(line, number, path) for number, line in enumerate(lines, start=1))
    return unique_vocab(pairs, source=str(path))


def derive_merges(vocab: dict[str, int]) -> list[tuple[str, str]]:
    """Find the merges that a vocabulary of ranks implies.

    A token is made of any two tokens that join to it; those of lower rank are joined first.
    """
    merges: list[tuple[str, str]] = []
    for token in sorted(vocab, key=vocab.__getitem__):
        halves = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        known = [pair for pair in halves if pair[0] in vocab and pair[1] in vocab]
        merges += sorted(known, key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))
    return merges


def _read_line(line: bytes, number: int, path: Path) -> tuple[str, int]:
    encoded, _, rank = line.strip().partition(b" ")
    try:
        token = byte_level.from_bytes(base64.b64decode(encoded, validate=True))
        if not 0 < len(token) <= MAX_TOKEN_BYTES or not rank.isdigit():
            raise ValueError
        return token, int(rank)
    except (binascii.Error, ValueError):
        raise BadCheckpoint(
            f"{path}: line {number} is {line[:60]!r}, and should be a token in base64 and its "
            "rank; the file is damaged, fetch it again."
        ) from None
