"""Close a reasoning block that has gone on for too long, or in circles.

Not here: telling reasoning from answer in the text (text.reasoning).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A loop is a passage of at most this many tokens, repeated until it fills the window.
MAX_PERIOD_TOKENS = 64
MIN_LOOP_TOKENS = 192
MIN_REPEATS = 6
CHECK_EVERY_TOKENS = 16


@dataclass(frozen=True, kw_only=True)
class ThinkingTokens:
    """Name what closes a reasoning block.

    Attributes:
        close_id: the single token that ends the block, if the vocabulary has one.
        close_ids: what to write to end it.
    """

    close_id: int | None
    close_ids: tuple[int, ...]


class ThinkingGuard:
    """Force the end of the block once its budget is spent or it repeats itself.

    Satisfies `engine.protocols.TokenOverride`. The block is taken to be open from the first token;
    make a guard only for answers of which that is true.
    """

    def __init__(self, tokens: ThinkingTokens, *, budget: int | None) -> None:
        self._tokens = tokens
        self._budget = budget
        self._is_open = True
        self._forced: list[int] = []

    def next_forced(self, token_ids: Sequence[int]) -> int | None:
        """Give the next token of the closing, or `None` to let the model go on."""
        if self._forced:
            return self._forced.pop(0)
        if not self._is_open:
            return None
        if token_ids and token_ids[-1] == self._tokens.close_id:
            self._is_open = False
            return None
        is_spent = self._budget is not None and len(token_ids) >= self._budget
        if is_spent or (len(token_ids) % CHECK_EVERY_TOKENS == 0 and is_looping(token_ids)):
            self._is_open = False
            self._forced = list(self._tokens.close_ids)
            return self._forced.pop(0)
        return None


def is_looping(token_ids: Sequence[int]) -> bool:
    """Tell whether the end of a sequence repeats one passage over and over.

    True when the last `max(MIN_LOOP_TOKENS, MIN_REPEATS * period)` tokens have a period of at most
    `MAX_PERIOD_TOKENS`.
    """
    longest = max(MIN_LOOP_TOKENS, MIN_REPEATS * MAX_PERIOD_TOKENS)
    tail = list(token_ids[-longest:])
    for period in range(1, MAX_PERIOD_TOKENS + 1):
        span = max(MIN_LOOP_TOKENS, MIN_REPEATS * period)
        if len(tail) < span:
            continue
        window = tail[-span:]
        if window[period:] == window[:-period]:
            return True
    return False
