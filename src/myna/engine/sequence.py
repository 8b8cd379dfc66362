"""What the engine is asked, what it answers, and one choice on its way from the one to the other.

Not here: who runs when (scheduler), where keys and values live (block_pool, kv_cache), how a token
is chosen (sampler).
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from myna.core.errors import InvalidRequest, MynaError
from myna.core.events import Timings
from myna.core.requests import RequestId
from myna.engine.lookup import PromptLookup
from myna.engine.protocols import TokenMask, TokenOverride
from myna.engine.tally import TokenTally
from myna.layers.cache import PackedBatch

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Say how tokens are chosen, with every default resolved; see `sampler` for the order of the
    steps.

    Attributes:
        temperature: 0 takes the likeliest token, the lowest id among equals.
        top_k: keep this many; `None` keeps all.
        seed: equal seeds give equal tokens, whatever else runs; `None` draws one for the request.
        max_tokens: `None` allows as many as fit the context.
        min_tokens: no stop token may be chosen before this many.
        stop_token_ids: tokens that end the answer (the model's own end tokens included).
        ignore_eos: go on after a stop token.
        sequence_bias: (ids, value): what is added to the last id's logit wherever the others have
            just been read or written; a lone id's is added everywhere.
        logprobs: how many alternatives to score beside each chosen token; `None` scores nothing.
        prompt_logprobs: score the prompt's tokens too, with as many alternatives as `logprobs`.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    logit_bias: dict[int, float] = field(default_factory=dict)
    sequence_bias: tuple[tuple[tuple[int, ...], float], ...] = ()
    max_tokens: int | None = None
    min_tokens: int = 0
    stop_token_ids: frozenset[int] = frozenset()
    ignore_eos: bool = False
    logprobs: int | None = None
    prompt_logprobs: bool = False

    def __post_init__(self) -> None:
        """Refuse values outside their bounds, naming the field."""
        bounds = (
            ("temperature", 0.0 <= self.temperature <= 100.0, "from 0 to 100"),
            ("top_k", self.top_k is None or self.top_k >= 1, "at least 1, or left out"),
            ("top_p", 0.0 < self.top_p <= 1.0, "above 0 and at most 1"),
            ("min_p", 0.0 <= self.min_p <= 1.0, "from 0 to 1"),
            ("repetition_penalty", 0.0 < self.repetition_penalty <= 100.0, "above 0, at most 100"),
            ("presence_penalty", abs(self.presence_penalty) <= 100.0, "from -100 to 100"),
            ("frequency_penalty", abs(self.frequency_penalty) <= 100.0, "from -100 to 100"),
            (
                "logit_bias",
                all(abs(value) <= 100.0 for value in self.logit_bias.values()),
                "from -100 to 100 for every token",
            ),
            ("max_tokens", self.max_tokens is None or self.max_tokens >= 0, "0 or more"),
            ("min_tokens", self.min_tokens >= 0, "0 or more"),
            ("logprobs", self.logprobs is None or 0 <= self.logprobs <= 128, "from 0 to 128"),
        )
        for name, is_valid, rule in bounds:
            if not is_valid:
                raise InvalidRequest(
                    f"`{name}` is {getattr(self, name)!r} but must be {rule}", param=name
                )
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise InvalidRequest(
                f"`min_tokens` is {self.min_tokens} but `max_tokens` is {self.max_tokens}; "
                "lower `min_tokens` or raise `max_tokens`",
                param="min_tokens",
            )


@dataclass(frozen=True, kw_only=True)
class EngineRequest:
    """Ask for `num_choices` continuations of a prompt.

    Attributes:
        deadline_s: the `time.monotonic()` at which the request fails.
        cache_labels: whatever else all keys and values depend on, beside the tokens (a tenant);
            two requests share cached blocks only when these are equal.
        marks: what keys and values depend on from a token on: (token, digest), ascending. Two
            requests share the blocks before the first difference.
        max_cached: how many of the prompt's first tokens need not be computed when their keys and
            values are known; `None` for all. Hidden states are written only where they are.
        make_mask: make choice `index`'s own constraint.
        make_override: make choice `index`'s own source of forced tokens.
        prompt: the prompt with its media and positions; `None` stands for plain tokens. Hidden
            states that it asks for are complete from `max_cached` on when the first token is
            chosen.
        advance: how far the positions of the answer's tokens are ahead of counting.
        on_read: is told, between steps, how many of the prompt's tokens are in the cache; it may be
            fewer than before when they are computed again.
    """

    id: RequestId
    token_ids: tuple[int, ...]
    sampling: Sampling = Sampling()
    num_choices: int = 1
    deadline_s: float | None = None
    cache_labels: tuple[tuple[str, bytes], ...] = ()
    marks: tuple[tuple[int, bytes], ...] = ()
    max_cached: int | None = None
    make_mask: Callable[[int], TokenMask] | None = None
    make_override: Callable[[int], TokenOverride] | None = None
    prompt: PackedBatch | None = None
    advance: float = 0.0
    on_read: Callable[[int], None] | None = None


@dataclass(frozen=True, slots=True)
class TokenScore:
    """Give a token, its natural-log probability if asked for, and the likeliest alternatives, best
    first.
    """

    token_id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Count what one choice took."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    timings: Timings


@dataclass(frozen=True, kw_only=True, slots=True)
class StepOutput:
    """Report one new token of one choice, its end, or the failure of the whole request.

    Attributes:
        token: the new token; `None` when the choice ends without one (`max_tokens` 0, or an error).
        finish_reason: set on a choice's last output, together with `account`.
        error: set when the request failed: no choice of it will report again.
        prompt_scores: on choice 0's first output, one score for each prompt token, if asked for.
    """

    request_id: RequestId
    index: int
    token: TokenScore | None = None
    finish_reason: FinishReason | None = None
    account: Account | None = None
    error: MynaError | None = None
    prompt_scores: tuple[TokenScore, ...] | None = None


class Status(enum.Enum):
    """Tell where a sequence is; only `RUNNING` ones hold blocks."""

    NEW = "new"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


class Sequence:
    """Follow one choice: its tokens so far, and how many of them are in the cache.

    The scheduler changes `status`, `blocks`, `root`, `keys` and `num_computed`; the engine appends
    tokens.
    """

    def __init__(self, request: EngineRequest, index: int, *, seed: int, arrival: int) -> None:
        self.request = request
        self.index = index
        self.sampling = request.sampling
        self.seed = seed
        self.priority = (arrival, index)
        self.token_ids = list(request.token_ids)
        self.num_prompt = len(request.token_ids)
        self.max_total = self.num_prompt
        self.num_computed = 0
        self.num_cached = 0
        self.blocks: list[int] = []
        self.root: bytes | None = None
        self.keys: list[bytes] = []
        self.lookup: PromptLookup | None = None
        self.status = Status.NEW
        self.mask = request.make_mask(index) if request.make_mask else None
        self.override = request.make_override(index) if request.make_override else None
        self.tally = TokenTally(request.token_ids) if self.wants_tally else None
        self.prompt_scores: list[TokenScore] = []
        self.added_s = time.monotonic()
        self.started_s: float | None = None
        self.first_token_s: float | None = None

    @property
    def wants_tally(self) -> bool:
        """Tell whether any penalty needs to know which tokens were seen."""
        sampling = self.sampling
        return (
            sampling.repetition_penalty != 1.0
            or sampling.presence_penalty != 0.0
            or sampling.frequency_penalty != 0.0
        )

    @property
    def num_output(self) -> int:
        """Count the tokens of the answer so far."""
        return len(self.token_ids) - self.num_prompt

    @property
    def num_pending(self) -> int:
        """Count the tokens whose keys and values are not in the cache yet."""
        return len(self.token_ids) - self.num_computed

    def ends_with(self, ids: tuple[int, ...]) -> bool:
        """Tell whether these are the last tokens of prompt and answer together."""
        return tuple(self.token_ids[len(self.token_ids) - len(ids) :]) == ids

    @property
    def output_ids(self) -> list[int]:
        """Copy the answer's token ids."""
        return self.token_ids[self.num_prompt :]

    @property
    def wants_prompt_scores(self) -> bool:
        """Tell whether the prompt is to be scored; choice 0 does it for all."""
        return self.sampling.prompt_logprobs and self.index == 0

    @property
    def lacks_prompt_scores(self) -> bool:
        """Tell whether some of the scores are still to be computed; the first token has none."""
        return self.wants_prompt_scores and len(self.prompt_scores) < self.num_prompt - 1

    def append(self, token_id: int) -> None:
        """Add a token to the answer and tell all who follow it."""
        self.token_ids.append(token_id)
        if self.tally is not None:
            self.tally.add(token_id)
        if self.mask is not None:
            self.mask.accept(token_id)
        if self.first_token_s is None:
            self.first_token_s = time.monotonic()

    def start_clock(self) -> None:
        """Note when the choice first ran."""
        if self.started_s is None:
            self.started_s = time.monotonic()

    def finish_reason(self) -> FinishReason | None:
        """Tell why the answer ends after the tokens so far; `None` while it goes on."""
        is_stop = self.num_output > 0 and self.token_ids[-1] in self.sampling.stop_token_ids
        if is_stop and not self.sampling.ignore_eos:
            return "stop"
        if len(self.token_ids) >= self.max_total:
            return "length"
        return None

    def account(self) -> Account:
        """Count what the choice took until now."""
        now_s = time.monotonic()
        started_s = self.started_s if self.started_s is not None else now_s
        first_s = self.first_token_s if self.first_token_s is not None else now_s
        timings = Timings(
            queue_s=started_s - self.added_s,
            prefill_s=first_s - started_s,
            decode_s=now_s - first_s,
        )
        return Account(
            prompt_tokens=self.num_prompt,
            completion_tokens=self.num_output,
            cached_tokens=self.num_cached,
            timings=timings,
        )
