"""Tokenizer: text to token ids and back, for byte-level BPE vocabularies.

Not here: where a vocabulary comes from (`tokenizer_files`, `tokenizer_gguf`, `tokenizer_tiktoken`)
and the order in which a stream of ids becomes visible text (`stream_decoder`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import tokenizers

from myna.core.errors import InvalidRequest
from myna.text import byte_level, escaping

# An added token of these shapes steers the model, also where its file does not call it special.
_MARKER_SHAPES = (("<", ">"), ("[", "]"))

# DeepSeek's files call the marks of its turns not special; they are no text all the same.
_DEEPSEEK_MARK = "<｜"  # noqa: RUF001 - written with this bar

# Blanks, ASCII, and what UTF-8 needs for the assigned planes. Released vocabularies lack some of
# the others: control characters, and bytes that begin unassigned planes or nothing at all.
_COMMON_BYTES = (0x09, 0x0A, *range(0x20, 0x7F), *range(0x80, 0xC0), *range(0xC2, 0xF1))


class Tokenizer:
    """Encode and decode text with one vocabulary. Safe to share between threads.

    Attributes:
        bos_id: the token a text begins with, if the vocabulary has one.
        eos_ids: the tokens that end an answer.
        adds_bos: whether raw text is meant to begin with `bos_id`; `encode` never adds it.
        vocab_size: one more than the highest id.
        num_tokens: how many ids have a token.
        unused_ids: ids below `vocab_size` that must never be sampled.
        added_ids: tokens matched in the text before it is split into pieces.
        special_ids: control tokens, which `decode` hides.
        warnings: what was odd about the files, for the caller to log.
    """

    def __init__(
        self,
        rust: tokenizers.Tokenizer,
        *,
        bos_id: int | None = None,
        eos_ids: Sequence[int] = (),
        adds_bos: bool = False,
        unused_ids: Iterable[int] = (),
        warnings: Sequence[str] = (),
    ) -> None:
        self._rust = rust
        ids = rust.get_vocab(with_added_tokens=True)
        self.vocab_size = max(ids.values(), default=-1) + 1
        self.num_tokens = len(ids)
        self._tokens: list[str | None] = [None] * self.vocab_size
        for token, token_id in ids.items():
            self._tokens[token_id] = token
        added = rust.get_added_tokens_decoder()
        self._added_bytes = {i: token.content.encode() for i, token in added.items()}
        self._id_of_added = {token.content: i for i, token in added.items()}
        self.added_ids = frozenset(added)
        self.special_ids = frozenset(
            i
            for i, token in added.items()
            if token.special or token.content.startswith(_DEEPSEEK_MARK)
        )
        self.bos_id = bos_id
        self.eos_ids = tuple(dict.fromkeys(eos_ids))
        self.adds_bos = adds_bos and bos_id is not None
        holes = (i for i, token in enumerate(self._tokens) if token is None)
        self.unused_ids = frozenset(unused_ids).union(holes)
        self.warnings = (*warnings, *_missing_bytes(rust))

        guarded = {i for i, token in added.items() if _is_control(token)}
        self._openers = frozenset(added[i].content[0] for i in guarded)
        self._all_added = _matcher(added.values())
        self._unguarded = _matcher([token for i, token in added.items() if i not in guarded])
        self._plain = _without_added_tokens(rust)

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Turn text into token ids, without adding any.

        Args:
            text: any Unicode text.
            special: recognise control tokens written in the text, as rendered templates have them;
                `False` for text of users, in which "<|im_end|>" stays text.
        """
        _check_unicode(text)
        if special:
            return _encode_beside(self._rust, text)
        return self._encode_between(text, self._unguarded, is_marked=False)

    def escape_control_tokens(self, text: str, *, keep: tuple[str, ...] = ()) -> str:
        """Mark a user's text before a template renders it; see `escaping`.

        Args:
            text: what the user wrote.
            keep: control tokens to leave alone, such as the reasoning tags of an earlier answer.
        """
        return escaping.escape(text, openers=self._openers, keep=keep)

    def encode_rendered(self, text: str) -> list[int]:
        """Turn a rendered template into ids, in which marked control tokens stay text."""
        if escaping.MARKER not in text:
            return self.encode(text)
        _check_unicode(text)
        return self._encode_between(text, self._all_added, is_marked=True)

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """Turn ids into text; bytes that are no UTF-8 become U+FFFD."""
        hidden = self.special_ids if skip_special else frozenset()
        return b"".join([self.token_bytes(i) for i in ids if i not in hidden]).decode(
            errors="replace"
        )

    def token_bytes(self, token_id: int) -> bytes:
        """Give the bytes a token stands for: none for an id without a token."""
        added = self._added_bytes.get(token_id)
        if added is not None:
            return added
        token = self._tokens[token_id] if 0 <= token_id < self.vocab_size else None
        return b"" if token is None else byte_level.to_bytes(token)

    def id_of(self, token: str) -> int | None:
        """Look up a token as the vocabulary writes it: "<|im_end|>", "Ġthe"."""
        found: int | None = self._rust.token_to_id(token)
        return found

    def token_of(self, token_id: int) -> str | None:
        """Give a token as the vocabulary writes it."""
        return self._tokens[token_id] if 0 <= token_id < self.vocab_size else None

    def _encode_between(
        self, text: str, added: re.Pattern[str] | None, *, is_marked: bool
    ) -> list[int]:
        """Encode what lies between matches of `added` as plain text, markers taken out."""
        ids: list[int] = []
        start = 0
        for found in added.finditer(text) if added else ():
            ids += self._encode_plain(text[start : found.start()], is_marked=is_marked)
            # The group leaves out the blanks that some tokens swallow.
            ids.append(self._id_of_added[found[found.lastindex or 0]])
            start = found.end()
        return ids + self._encode_plain(text[start:], is_marked=is_marked)

    def _encode_plain(self, text: str, *, is_marked: bool) -> list[int]:
        """Encode text in which nothing is a control token."""
        if is_marked:
            text = escaping.unescape(text)
        if not text:
            return []
        ids: list[int] = []
        for token_id in _encode_beside(self._plain, text):
            if token_id in self._added_bytes:
                # A vocabulary that takes whole pieces as tokens can reach a control token.
                ids += self._spell(self._added_bytes[token_id])
            else:
                ids.append(token_id)
        return ids

    def _spell(self, raw: bytes) -> list[int]:
        """Write bytes with the tokens of single bytes."""
        ids = (self._rust.token_to_id(byte_level.ALPHABET[byte]) for byte in raw)
        return [token_id for token_id in ids if token_id is not None]


def _encode_beside(rust: tokenizers.Tokenizer, text: str) -> list[int]:
    """Encode a text while other threads go on.

    tokenizers 0.23 keeps Python's lock in `encode`: a long prompt would hold up the engine and the
    server for seconds. May go when `encode` lets the lock go; the test on this will tell.
    """
    (encoded,) = rust.encode_batch_fast([text], add_special_tokens=False)
    return list(encoded.ids)


def _is_control(token: tokenizers.AddedToken) -> bool:
    text = token.content
    if len(text) < 2:
        return False
    return token.special or (text[0], text[-1]) in _MARKER_SHAPES


def _matcher(added: Iterable[tokenizers.AddedToken]) -> re.Pattern[str] | None:
    """Compile a pattern that finds added tokens as the tokenizers library does: leftmost, longest.

    Neighbouring blanks belong to a token that strips them.
    """
    tokens = sorted(added, key=lambda token: -len(token.content))
    if not tokens:
        return None
    return re.compile("|".join(_token_pattern(token) for token in tokens))


def _token_pattern(token: tokenizers.AddedToken) -> str:
    pattern = f"({re.escape(token.content)})"
    if token.single_word:
        pattern = rf"(?<!\w){pattern}(?!\w)"
    return (r"\s*" if token.lstrip else "") + pattern + (r"\s*" if token.rstrip else "")


def _without_added_tokens(rust: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """Share the vocabulary and every step but the added tokens."""
    plain = tokenizers.Tokenizer(rust.model)
    if rust.normalizer is not None:
        plain.normalizer = rust.normalizer
    if rust.pre_tokenizer is not None:
        plain.pre_tokenizer = rust.pre_tokenizer
    return plain


def _missing_bytes(rust: tokenizers.Tokenizer) -> list[str]:
    """Warn of bytes without a token: text that has them is encoded without them."""
    alphabet = byte_level.ALPHABET
    num_missing = sum(rust.token_to_id(alphabet[byte]) is None for byte in _COMMON_BYTES)
    if not num_missing:
        return []
    return [
        f"the vocabulary has no token for {num_missing} of the {len(_COMMON_BYTES)} bytes that "
        "texts are made of; they are left out. hint: fetch the tokenizer again."
    ]


def _check_unicode(text: str) -> None:
    """Refuse half of a surrogate pair, which JSON can write and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            f"The text holds U+{ord(text[error.start]):04X} at position {error.start}, half of a "
            "surrogate pair; send valid Unicode."
        ) from None
