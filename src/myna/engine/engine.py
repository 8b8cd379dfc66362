"""The engine: requests in, tokens out, one step at a time, on one thread.

Not here: text. Whoever owns the engine turns tokens into text, looks for stop strings, and calls
`finish` or `cancel`.
"""

from __future__ import annotations

import logging
import secrets
import time

import torch

from myna.core.errors import DeadlineExceeded, InternalError, MynaError
from myna.core.requests import RequestId
from myna.engine.admission import check_fields, check_queue, max_total_tokens
from myna.engine.block_pool import BlockPool
from myna.engine.config import EngineConfig
from myna.engine.kv_cache import KVCache
from myna.engine.protocols import Decoder
from myna.engine.runner import Outcome, Runner
from myna.engine.sampler import choose
from myna.engine.scheduler import Scheduler
from myna.engine.sequence import (
    Account,
    EngineRequest,
    FinishReason,
    Sequence,
    Status,
    StepOutput,
    TokenScore,
)
from myna.engine.stats import Counters, EngineStats

logger = logging.getLogger(__name__)

SEED_BITS = 63


class Engine:
    """Run a decoder for many requests at once. Every method must be called from the same thread."""

    def __init__(self, decoder: Decoder, config: EngineConfig) -> None:
        self.config = config
        self.num_valid_tokens = min(
            config.num_valid_tokens or decoder.vocab_size, decoder.vocab_size
        )
        self._cache = KVCache(
            decoder, num_blocks=config.num_blocks, tokens_per_block=config.tokens_per_block
        )
        on_freed = self._cache.poison if config.poison_freed_blocks else None
        self.pool = BlockPool(config.num_blocks, on_freed)
        self.scheduler = Scheduler(config, self.pool)
        self._runner = Runner(
            decoder,
            self._cache,
            num_valid_tokens=self.num_valid_tokens,
            is_deterministic=config.is_deterministic,
        )
        self._open: dict[RequestId, list[Sequence]] = {}
        self._num_arrived = 0
        self._counters = Counters()

    def add(self, request: EngineRequest) -> None:
        """Queue a request.

        Raises:
            InvalidRequest: if a field is out of bounds.
            ContextOverflow: if prompt and answer can never fit.
            Overloaded: if the queue is full.
        """
        assert request.id not in self._open, f"request id {request.id!r} is already in use"
        check_fields(
            request, max_choices=self.config.max_choices, num_valid_tokens=self.num_valid_tokens
        )
        max_total = max_total_tokens(request, self.config)
        rate = self._counters.tokens_per_s
        check_queue(request, self.config, waiting=self._waiting(), tokens_per_s=rate)
        seed = request.sampling.seed
        if seed is None:
            seed = secrets.randbits(SEED_BITS)
        sequences = [
            Sequence(request, index, seed=seed, arrival=self._num_arrived)
            for index in range(request.num_choices)
        ]
        for sequence in sequences:
            sequence.max_total = max_total
        self._num_arrived += 1
        self._open[request.id] = sequences
        self.scheduler.add(sequences[0])  # its siblings follow when the prompt has been read once

    @torch.inference_mode()
    def step(self) -> list[StepOutput]:
        """Advance every scheduled sequence by one token, or by one chunk of its prompt."""
        started_s = time.monotonic()
        outputs = self._expire(started_s)
        chunks = self.scheduler.next_chunks()
        for outcome in self._runner.run(chunks):
            output = self._commit(outcome)
            if output is not None:
                outputs.append(output)
        if chunks:
            num_tokens = sum(chunk.num_tokens for chunk in chunks)
            self._counters.add_step(num_tokens, time.monotonic() - started_s)
        return outputs

    def has_work(self) -> bool:
        """Tell whether `step` has anything to do."""
        return bool(self._open)

    def finish(self, request_id: RequestId, index: int) -> Account | None:
        """End one choice from outside, at a stop string; `None` if it has already ended."""
        for sequence in self._open.get(request_id, ()):
            if sequence.index == index and sequence.status is not Status.DONE:
                return self._end(sequence)
        return None

    def cancel(self, request_id: RequestId) -> bool:
        """Drop a request and release its blocks now; false if it has already ended."""
        is_open = self._close(request_id)
        self._counters.cancelled_requests += is_open
        return is_open

    def stats(self) -> EngineStats:
        """Describe the engine now."""
        counters = self._counters
        waiting = self._waiting()
        return EngineStats(
            num_running=len(self.scheduler.running),
            num_waiting=len(waiting),
            waiting_tokens=sum(sequence.num_pending for sequence in waiting),
            used_blocks=self.pool.num_used,
            cached_blocks=self.pool.num_cached,
            free_blocks=self.pool.num_free,
            num_steps=counters.num_steps,
            num_preemptions=self.scheduler.num_preemptions,
            finished_choices=counters.finished_choices,
            failed_requests=counters.failed_requests,
            cancelled_requests=counters.cancelled_requests,
            prompt_tokens=counters.prompt_tokens,
            cached_tokens=counters.cached_tokens,
            output_tokens=counters.output_tokens,
            tokens_per_s=counters.tokens_per_s,
        )

    # A step's parts.

    def _expire(self, now_s: float) -> list[StepOutput]:
        """Fail the requests whose deadline has passed."""
        late = [
            sequences[0]
            for sequences in self._open.values()
            if (deadline_s := sequences[0].request.deadline_s) is not None and now_s >= deadline_s
        ]
        return [
            self._fail(
                sequence,
                DeadlineExceeded(
                    f"the deadline passed after {sequence.num_output} tokens of the answer; "
                    "allow more time, ask for fewer tokens, or try when the server is less busy"
                ),
            )
            for sequence in late
        ]

    def _commit(self, outcome: Outcome) -> StepOutput | None:
        """Take over a chunk's outcome; whatever goes wrong ends its own request only."""
        sequence = outcome.chunk.sequence
        if sequence.status is not Status.RUNNING:
            return None  # a sibling failed in this very step
        if outcome.error is not None:
            self.scheduler.distrust(sequence)
            return self._fail(sequence, outcome.error)
        try:
            return self._take_over(outcome)
        except MynaError as error:
            return self._fail(sequence, error)
        except Exception:  # the boundary between requests
            request_id = sequence.request.id
            logger.exception("request=%s event=sampling_failed", request_id)
            message = "choosing the next token failed; the server's log has the cause"
            return self._fail(sequence, InternalError(message))

    def _take_over(self, outcome: Outcome) -> StepOutput | None:
        sequence = outcome.chunk.sequence
        self.scheduler.advance(outcome.chunk)
        sequence.prompt_scores += outcome.prompt_scores
        if outcome.logits is None:
            return None
        is_first = sequence.num_output == 0
        token = None
        if sequence.max_total > sequence.num_prompt:
            token = choose(outcome.logits, sequence)
            sequence.append(token.token_id)
            self._counters.output_tokens += 1
        if is_first:
            self._count_prompt(sequence)
            if sequence.index == 0:
                self._start_siblings(sequence)
        return self._report(sequence, token, is_first=is_first)

    def _report(
        self, sequence: Sequence, token: TokenScore | None, *, is_first: bool
    ) -> StepOutput:
        reason: FinishReason | None = sequence.finish_reason()
        scores = None
        if is_first and sequence.wants_prompt_scores:
            scores = (TokenScore(sequence.token_ids[0]), *sequence.prompt_scores)
        return StepOutput(
            request_id=sequence.request.id,
            index=sequence.index,
            token=token,
            finish_reason=reason,
            account=self._end(sequence) if reason is not None else None,
            prompt_scores=scores,
        )

    def _count_prompt(self, sequence: Sequence) -> None:
        self._counters.prompt_tokens += sequence.num_prompt
        self._counters.cached_tokens += sequence.num_cached

    def _start_siblings(self, leader: Sequence) -> None:
        """Queue a request's other choices: they find the prompt's blocks where the first one left
        them.
        """
        for sibling in self._open[leader.request.id][1:]:
            self.scheduler.add(sibling)

    # How sequences and requests end.

    def _end(self, sequence: Sequence) -> Account:
        """End one choice well, and its request with the last of them."""
        account = sequence.account()
        self.scheduler.remove(sequence)
        self._counters.finished_choices += 1
        siblings = self._open[sequence.request.id]
        if all(sibling.status is Status.DONE for sibling in siblings):
            del self._open[sequence.request.id]
        return account

    def _fail(self, sequence: Sequence, error: MynaError) -> StepOutput:
        self._close(sequence.request.id)
        self._counters.failed_requests += 1
        return StepOutput(request_id=sequence.request.id, index=sequence.index, error=error)

    def _close(self, request_id: RequestId) -> bool:
        sequences = self._open.pop(request_id, [])
        for sequence in sequences:
            self.scheduler.remove(sequence)
        return bool(sequences)

    def _waiting(self) -> list[Sequence]:
        """List the choices that do not run yet, those behind their first sibling included."""
        is_waiting = (Status.NEW, Status.WAITING)
        return [
            sequence
            for sequences in self._open.values()
            for sequence in sequences
            if sequence.status in is_waiting
        ]
