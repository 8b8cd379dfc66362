"""What an engine is told once, when it is built."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Bound what one engine may hold and do in a step.

    Attributes:
        max_context: the most tokens of a prompt and its answer together.
        num_kv_tokens: how many tokens' keys and values are kept, for all requests together.
        tokens_per_block: how many of them share a block, the unit of lending and of prefix reuse.
        max_running: how many choices may be in a batch.
        max_step_tokens: the most prompt tokens read in a step while nobody waits for a next token.
        prefill_chunk_tokens: the same while somebody does; bounds how long a prompt may hold up an
            answer.
        max_waiting_requests: how many choices may queue before a request is refused.
        max_waiting_tokens: how many tokens they may have together.
        max_choices: the most choices of one request.
        prefix_caching: let requests share the blocks of equal beginnings; choices of one request
            always do.
        num_valid_tokens: how many ids the tokenizer knows; the logits' rows beyond are never
            chosen.
        model_label: names the weights and their revision; goes into every block's name.
        max_guesses: how many next tokens of an answer are guessed from what repeats in it, to be
            checked in one step; 0 guesses none.
        is_deterministic: compute every token in a shape that depends on its own request alone, so
            that its bits do too; much slower when many requests run.
        kv_int8: keep keys and values in 8 bits; heads must be whole blocks of 32 numbers.
        poison_freed_blocks: fill what is freed with NaN, so that a stale read cannot go unnoticed.
    """

    max_context: int
    num_kv_tokens: int
    tokens_per_block: int = 16
    max_running: int = 32
    max_step_tokens: int = 1024
    prefill_chunk_tokens: int = 256
    max_waiting_requests: int = 256
    max_waiting_tokens: int = 1_000_000
    max_choices: int = 16
    prefix_caching: bool = True
    num_valid_tokens: int | None = None
    model_label: str = ""
    max_guesses: int = 0
    is_deterministic: bool = False
    kv_int8: bool = False
    poison_freed_blocks: bool = False

    def __post_init__(self) -> None:
        """Refuse a configuration that could hold nothing."""
        counts = (
            ("max_context", self.max_context),
            ("tokens_per_block", self.tokens_per_block),
            ("max_running", self.max_running),
            ("max_step_tokens", self.max_step_tokens),
            ("prefill_chunk_tokens", self.prefill_chunk_tokens),
            ("max_waiting_requests", self.max_waiting_requests),
            ("max_waiting_tokens", self.max_waiting_tokens),
            ("max_choices", self.max_choices),
            ("num_valid_tokens", 1 if self.num_valid_tokens is None else self.num_valid_tokens),
        )
        for name, value in counts:
            if value < 1:
                raise ValueError(f"`{name}` is {value} but must be at least 1")
        if self.num_kv_tokens < self.tokens_per_block:
            raise ValueError(
                f"`num_kv_tokens` is {self.num_kv_tokens} but a block alone has "
                f"{self.tokens_per_block}; raise it"
            )
        if self.max_guesses < 0:
            raise ValueError(f"`max_guesses` is {self.max_guesses} but must be 0 or more")
        if self.is_deterministic and self.max_guesses > 0:
            raise ValueError(
                f"`max_guesses` is {self.max_guesses} but must be 0 in deterministic mode: "
                "a checked guess is computed in another shape than a single token"
            )
        if self.is_deterministic and self.prefill_chunk_tokens % self.tokens_per_block != 0:
            raise ValueError(
                f"`prefill_chunk_tokens` is {self.prefill_chunk_tokens} but must be a multiple of "
                f"`tokens_per_block` ({self.tokens_per_block}) in deterministic mode"
            )

    @property
    def num_blocks(self) -> int:
        """Count the blocks."""
        return self.num_kv_tokens // self.tokens_per_block

    @property
    def max_total_tokens(self) -> int:
        """Give the most tokens that one choice can ever have, by the context and by the cache."""
        return min(self.max_context, self.num_blocks * self.tokens_per_block)
