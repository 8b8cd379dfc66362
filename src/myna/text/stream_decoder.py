"""Turn a stream of token ids into text as soon as it is complete.

A token of a byte-level vocabulary may end in the middle of a character. Not here: stop strings and
what the text means.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from myna.text.tokenizer import Tokenizer


class StreamDecoder:
    """Decode ids one by one; the pieces join to what `Tokenizer.decode` gives for all at once.

    Args:
        tokenizer: the vocabulary.
        shown: control tokens to write out all the same.

    Attributes:
        num_chars: how many characters have been returned.
    """

    def __init__(self, tokenizer: Tokenizer, *, shown: Iterable[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._hidden = tokenizer.special_ids.difference(shown)
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.num_chars = 0

    def feed(self, token_id: int) -> str:
        """Take a token; return the text that is complete with it."""
        if token_id in self._hidden:
            return ""
        return self._count(self._utf8.decode(self._tokenizer.token_bytes(token_id)))

    def finish(self) -> str:
        """End the stream; an unfinished character becomes U+FFFD."""
        return self._count(self._utf8.decode(b"", final=True))

    def _count(self, text: str) -> str:
        self.num_chars += len(text)
        return text
