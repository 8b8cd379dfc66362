"""How many tokens of prompts fit into a step that must not take long.

Not here: who needs the processor in between (whoever calls the engine).
"""

from __future__ import annotations

from collections.abc import Sequence

# A step is to take this share of the time that others can wait: they need the rest to catch up.
SLACK_SHARE = 0.5
# Prompts move on, however little time there is.
MIN_TOKENS = 16


class ReadingTempo:
    """Follow how fast prompts are read, at the length of the last steps.

    Long steps read more tokens a second, because all of a step's tokens share one pass through the
    weights. The tempo of the last one says too much of a shorter one; that is then measured in its
    turn, so that lengths settle where steps take as long as they may.
    """

    def __init__(self) -> None:
        self._tokens_per_s: float | None = None

    def add_step(self, chunk_tokens: Sequence[int], duration_s: float) -> None:
        """Note a step's duration and the tokens of each of its chunks."""
        num_read = sum(num_tokens for num_tokens in chunk_tokens if num_tokens > 1)
        if num_read > 0:
            self._tokens_per_s = num_read / max(duration_s, 1e-9)

    def num_tokens(self, slack_s: float | None) -> int | None:
        """Give the most prompt tokens of a step; `None` where there is all the time.

        Args:
            slack_s: how long others can wait; `None` if there are none.
        """
        if slack_s is None:
            return None
        if self._tokens_per_s is None:
            return MIN_TOKENS
        return max(MIN_TOKENS, int(SLACK_SHARE * slack_s * self._tokens_per_s))
