"""What an engine counts, for health pages, metrics and the refusal of work."""

from __future__ import annotations

from dataclasses import dataclass, field

# Weight of the newest step in the running rate: a few dozen steps are remembered.
RATE_SMOOTHING = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineStats:
    """Describe an engine at one moment; tokens and requests are counted since its start."""

    num_running: int
    num_waiting: int
    waiting_tokens: int
    used_blocks: int
    cached_blocks: int
    free_blocks: int
    num_steps: int
    num_preemptions: int
    finished_choices: int
    failed_requests: int
    cancelled_requests: int
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    guessed_tokens: int
    rightly_guessed_tokens: int
    tokens_per_s: float


@dataclass(slots=True)
class Counters:
    """Add up what happens; changed by the engine only."""

    num_steps: int = 0
    finished_choices: int = 0
    failed_requests: int = 0
    cancelled_requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    guessed_tokens: int = 0
    rightly_guessed_tokens: int = 0
    tokens_per_s: float = field(default=0.0)

    def add_step(self, num_tokens: int, duration_s: float) -> None:
        """Count a step and follow how many tokens, read or written, are computed in a second."""
        self.num_steps += 1
        rate = num_tokens / max(duration_s, 1e-9)
        weight = RATE_SMOOTHING if self.num_steps > 1 else 1.0
        self.tokens_per_s += weight * (rate - self.tokens_per_s)
