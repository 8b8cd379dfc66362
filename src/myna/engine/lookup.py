"""Guess next tokens by looking for the last few earlier in the same sequence.

What repeats (quoted text, code that is edited, tables) is guessed well and costs nothing to guess;
the network checks all guesses in one step. Not here: the check (engine), and who may guess
(scheduler).
Source: prompt look-up decoding, transformers 5.23 `PromptLookupCandidateGenerator`.
Differs: the latest match counts and not the first, and it is found in constant time.
"""

from __future__ import annotations

from collections.abc import Sequence

# So many tokens must agree; fewer match by chance, more seldom match at all.
MATCH_TOKENS = 3


class PromptLookup:
    """Remember, for every few tokens of one sequence, where they occurred last."""

    def __init__(self, max_guesses: int) -> None:
        self._max_guesses = max_guesses
        self._num_guesses = max_guesses
        self._next_of: dict[tuple[int, ...], int] = {}
        self._num_seen = MATCH_TOKENS

    def guess(self, token_ids: Sequence[int], *, limit: int) -> tuple[int, ...]:
        """Guess up to `limit` tokens; the sequence may only have grown since the last call."""
        for place in range(self._num_seen, len(token_ids)):
            self._next_of[tuple(token_ids[place - MATCH_TOKENS : place])] = place
        self._num_seen = max(self._num_seen, len(token_ids))
        found = self._next_of.get(tuple(token_ids[-MATCH_TOKENS:]))
        if found is None or limit < 1:
            return ()
        num_guesses = min(limit, self._num_guesses)
        guesses = list(token_ids[found : found + num_guesses])
        period = len(token_ids) - found
        while len(guesses) < num_guesses:  # the match reaches the end: what repeats goes on
            guesses.append(guesses[-period])
        return tuple(guesses)

    def learn(self, num_right: int) -> None:
        """Guess a little further than went well the last time."""
        self._num_guesses = min(num_right + 1, self._max_guesses) if num_right else 1
