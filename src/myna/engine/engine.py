"""The engine: requests in, tokens out, one step at a time, on one thread.

Not here: text. Whoever owns the engine turns tokens into text, looks for stop strings, and calls
`finish` or `cancel`.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from myna.core.errors import DeadlineExceeded, InternalError, MynaError
from myna.core.requests import RequestId
from myna.engine.admission import check_fields, check_queue, max_total_tokens
from myna.engine.block_pool import BlockPool
from myna.engine.config import EngineConfig
from myna.engine.decode_graphs import DecodeGraphs, can_record
from myna.engine.kv_cache import KVCache
from myna.engine.protocols import Decoder
from myna.engine.runner import Outcome, Runner
from myna.engine.sampler import choose
from myna.engine.scheduler import Scheduler
from myna.engine.sequence import (
    Account,
    EngineRequest,
    Sequence,
    Status,
    StepOutput,
    TokenScore,
)
from myna.engine.stats import Counters, EngineStats
from myna.engine.tempo import ReadingTempo

logger = logging.getLogger(__name__)

SEED_BITS = 63


class Engine:
    """Run a decoder for many requests at once. Every method must be called from the same thread.

    Args:
        decoder: predicts tokens.
        config: bounds what is held and done.
        on_layer: is called at every layer of a prompt's chunk, which may take long itself; a step
            that only decides on next tokens need not call it.
    """

    def __init__(
        self,
        decoder: Decoder,
        config: EngineConfig,
        *,
        on_layer: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config
        self.num_valid_tokens = min(
            config.num_valid_tokens or decoder.vocab_size, decoder.vocab_size
        )
        self._cache = KVCache(
            decoder,
            num_blocks=config.num_blocks,
            tokens_per_block=config.tokens_per_block,
            is_packed=config.kv_int8,
            on_layer=on_layer,
        )
        on_freed = self._cache.poison if config.poison_freed_blocks else None
        self.pool = BlockPool(config.num_blocks, on_freed)
        self.scheduler = Scheduler(config, self.pool)
        self._runner = Runner(
            decoder,
            self._cache,
            num_valid_tokens=self.num_valid_tokens,
            is_deterministic=config.is_deterministic,
            graphs=DecodeGraphs(decoder, self._cache) if can_record(decoder) else None,
        )
        self._open: dict[RequestId, list[Sequence]] = {}
        self._num_arrived = 0
        self._counters = Counters()
        self._tempo = ReadingTempo()

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
    def step(self, slack_s: float | None = None) -> list[StepOutput]:
        """Advance every scheduled sequence by one token, or by one chunk of its prompt.

        Args:
            slack_s: how long others, who share the processor, can do without it; prompts are read
                in chunks that are meant to take half of it. `None` if nobody else is there.
        """
        started_s = time.monotonic()
        outputs = self._expire(started_s)
        chunks = self.scheduler.next_chunks(self._tempo.num_tokens(slack_s))
        for outcome in self._runner.run(chunks):
            outputs += self._commit(outcome)
        if chunks:
            num_tokens = sum(chunk.num_tokens for chunk in chunks)
            duration_s = time.monotonic() - started_s
            self._counters.add_step(num_tokens, duration_s)
            self._tempo.add_step([chunk.num_tokens for chunk in chunks], duration_s)
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
            guessed_tokens=counters.guessed_tokens,
            rightly_guessed_tokens=counters.rightly_guessed_tokens,
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

    def _commit(self, outcome: Outcome) -> list[StepOutput]:
        """Take over a chunk's outcome; whatever goes wrong ends its own request only."""
        sequence = outcome.chunk.sequence
        if sequence.status is not Status.RUNNING:
            return []  # a sibling failed in this very step
        if outcome.error is not None:
            self.scheduler.distrust(sequence)
            return [self._fail(sequence, outcome.error)]
        try:
            return self._take_over(outcome)
        except MynaError as error:
            return [self._fail(sequence, error)]
        except Exception:  # the boundary between requests
            request_id = sequence.request.id
            logger.exception("request=%s event=sampling_failed", request_id)
            message = "choosing the next token failed; the server's log has the cause"
            return [self._fail(sequence, InternalError(message))]

    def _take_over(self, outcome: Outcome) -> list[StepOutput]:
        chunk, sequence = outcome.chunk, outcome.chunk.sequence
        is_first = sequence.num_output == 0
        tokens = self._choose(outcome)
        self.scheduler.advance(chunk, num_right=max(0, len(tokens) - 1))
        sequence.prompt_scores += outcome.prompt_scores
        if sequence.request.on_read is not None and chunk.start < sequence.num_prompt:
            sequence.request.on_read(min(chunk.stop, sequence.num_prompt))
        if not outcome.logits:
            return []
        outputs = [
            StepOutput(request_id=sequence.request.id, index=sequence.index, token=token)
            for token in tokens or (None,)
        ]
        if is_first:
            outputs[0] = replace(outputs[0], prompt_scores=self._start_answer(sequence))
        reason = sequence.finish_reason()
        if reason is not None:
            account = self._end(sequence)
            outputs[-1] = replace(outputs[-1], finish_reason=reason, account=account)
        return outputs

    def _choose(self, outcome: Outcome) -> list[TokenScore]:
        """Append a token for each row of logits, until the answer ends or a guess was wrong."""
        chunk, sequence = outcome.chunk, outcome.chunk.sequence
        tokens: list[TokenScore] = []
        for row, guess in zip(outcome.logits, (*chunk.guesses, None), strict=False):
            if sequence.finish_reason() is not None:
                break
            token = choose(row, sequence)
            sequence.append(token.token_id)
            tokens.append(token)
            if token.token_id != guess:
                break
        self._counters.output_tokens += len(tokens)
        self._counters.guessed_tokens += len(chunk.guesses)
        self._counters.rightly_guessed_tokens += max(0, len(tokens) - 1)
        return tokens

    def _start_answer(self, sequence: Sequence) -> tuple[TokenScore, ...] | None:
        """Count the prompt, let the siblings follow, and give the prompt's scores if wanted."""
        self._counters.prompt_tokens += sequence.num_prompt
        self._counters.cached_tokens += sequence.num_cached
        if sequence.index == 0:
            # They find the prompt's blocks where the first choice left them.
            for sibling in self._open[sequence.request.id][1:]:
                self.scheduler.add(sibling)
        if not sequence.wants_prompt_scores:
            return None
        return (TokenScore(sequence.token_ids[0]), *sequence.prompt_scores)

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
