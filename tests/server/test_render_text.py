"""Columns of log-probabilities, where tokens are parts of characters."""

from __future__ import annotations

from myna.core.events import TokenLogprob
from myna.server.render_text import Columns, legacy_token


def token(token_bytes: bytes, *, name: str = "?") -> TokenLogprob:
    return TokenLogprob(token_id=1, token=name, token_bytes=token_bytes, logprob=-1.0)


def test_offsets_count_characters_across_split_ones() -> None:
    parrot = "🦜".encode()
    columns = Columns()
    first = columns.add([token(b"a"), token(parrot[:2]), token(parrot[2:])])
    second = columns.add([token(b"b"), token(b"c")])
    assert (first.text_offset, second.text_offset) == ([0, 1, 1], [2, 3])


def test_parts_of_characters_are_named_by_their_bytes() -> None:
    assert legacy_token(token(b"\xf0\x9f")) == "bytes:\\xf0\\x9f"
    assert legacy_token(token("ä".encode())) == "ä"
    assert legacy_token(token(b"", name="<end>")) == "<end>"
