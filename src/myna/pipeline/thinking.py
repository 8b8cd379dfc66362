"""Close a reasoning block that has gone on for too long, or in circles.

Not here: telling reasoning from answer in the text (text.reasoning).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from myna.text.chat_template import THINK_CLOSE

# A loop is a passage of at most this many tokens, repeated until it fills the window.
MAX_PERIOD_TOKENS = 64
MIN_LOOP_TOKENS = 192
MIN_REPEATS = 6
CHECK_EVERY_TOKENS = 16


@dataclass(frozen=True, kw_only=True)
class ThinkingTokens:
    """Name what opens and closes a reasoning block.

    Attributes:
        open_id: the single token that opens the block, if the vocabulary has one.
        close_id: the single token that ends it, if the vocabulary has one.
        close_ids: what to write to end it.
        spell: turns tokens into text, to find an end that no single token stands for.
    """

    open_id: int | None
    close_id: int | None
    close_ids: tuple[int, ...]
    spell: Callable[[Sequence[int]], str]

    def closes(self, token_ids: Sequence[int]) -> bool:
        """Tell whether the last of these tokens ends the block."""
        if self.close_id is not None:
            return bool(token_ids) and token_ids[-1] == self.close_id
        return THINK_CLOSE in self.spell(token_ids[-len(THINK_CLOSE) :])


class ThinkingGuard:
    """Force the end of the block once its budget is spent or it repeats itself.

    Satisfies `engine.protocols.TokenOverride`.

    Args:
        tokens: the marks around a block.
        budget: how many tokens it may have, its opening mark included; `None` sets no limit.
        is_open: whether the prompt has opened the block; else the answer's first token may.
    """

    def __init__(self, tokens: ThinkingTokens, *, budget: int | None, is_open: bool) -> None:
        self._tokens = tokens
        self._budget = budget
        self._is_open = is_open
        self._forced: list[int] = []

    def next_forced(self, token_ids: Sequence[int]) -> int | None:
        """Give the next token of the closing, or `None` to let the model go on."""
        if self._forced:
            return self._forced.pop(0)
        if len(token_ids) == 1 and token_ids[0] == self._tokens.open_id:
            self._is_open = True
        if not self._is_open:
            return None
        if self._tokens.closes(token_ids):
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
