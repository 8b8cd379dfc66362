"""Run the network on a step's chunks, and keep one chunk's failure from the others.

Not here: the choice of tokens (sampler) and what becomes of a failed request (engine).
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Sequence as Seq
from dataclasses import dataclass

import torch
from torch import Tensor

from myna.core.errors import InternalError
from myna.engine.batch import AttentionPlan, Chunk, pack
from myna.engine.decode_graphs import DecodeGraphs
from myna.engine.kv_cache import KVCache
from myna.engine.protocols import Decoder
from myna.engine.sampler import score
from myna.engine.sequence import TokenScore
from myna.layers.cache import PackedBatch

logger = logging.getLogger(__name__)

# Rows of logits that exist at once while a prompt is scored; a row can be half a megabyte.
SCORED_ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """Report what became of a chunk.

    Attributes:
        logits: rows (V,) float32, after the sequence's last token and after each guess, all finite
            at their peaks; none if more chunks must follow.
        prompt_scores: of the prompt tokens that follow the chunk's, if they were asked for.
        error: set if the chunk failed.
    """

    chunk: Chunk
    logits: tuple[Tensor, ...] = ()
    prompt_scores: tuple[TokenScore, ...] = ()
    error: InternalError | None = None


class Runner:
    """Turn chunks into outcomes."""

    def __init__(
        self,
        decoder: Decoder,
        cache: KVCache,
        *,
        num_valid_tokens: int,
        is_deterministic: bool,
        graphs: DecodeGraphs | None = None,
    ) -> None:
        self._decoder = decoder
        self._is_deterministic = is_deterministic
        self._cache = cache
        self._num_valid_tokens = num_valid_tokens
        self._graphs = graphs

    def run(self, chunks: Seq[Chunk]) -> list[Outcome]:
        """Compute all chunks at once; if that fails, one by one, to find out whose fault it is."""
        if len(chunks) == 1 or not self._is_deterministic:
            try:
                return self._run_together(chunks) if chunks else []
            except Exception as exception:  # noqa: BLE001  # the boundary between requests
                if len(chunks) == 1:
                    return [Outcome(chunks[0], error=_failure(chunks[0], exception))]
        return [outcome for chunk in chunks for outcome in self.run([chunk])]

    def _run_together(self, chunks: Seq[Chunk]) -> list[Outcome]:
        batch, plan = pack(
            chunks, tokens_per_block=self._cache.tokens_per_block, dtype=self._cache.dtype
        )
        ends: list[int] = []
        num_rows = 0
        for chunk in chunks:
            num_rows += chunk.num_tokens
            ends.append(num_rows)
        rows = [
            row
            for chunk, end in zip(chunks, ends, strict=True)
            for row in range(end - chunk.num_rows, end)
        ]
        hidden, logits = self._forward(batch, plan, rows)  # (N, D), (R, V)
        peaks = iter(zip(logits, logits.amax(-1).tolist(), strict=True))
        outcomes = []
        for chunk, end in zip(chunks, ends, strict=True):
            scores = self._score_prompt(chunk, hidden[end - chunk.num_tokens : end])
            own = list(itertools.islice(peaks, chunk.num_rows))
            is_finite = all(math.isfinite(peak) for _, peak in own)
            error = None if is_finite else _not_finite(chunk)
            outcomes.append(Outcome(chunk, tuple(row for row, _ in own), scores, error))
        return outcomes

    def _forward(
        self, batch: PackedBatch, plan: AttentionPlan, rows: list[int]
    ) -> tuple[Tensor, Tensor]:
        """Run the decoder: (N, D) hidden states, and the (R, V) logits of some rows."""
        played = None if self._graphs is None else self._graphs.run(batch, plan)
        if played is not None:
            hidden, logits = played
            return hidden, self._usable(logits[rows])
        device = self._decoder.device
        layers = self._cache.layers(plan.to(device))
        hidden = self._decoder.forward(batch.to(device), layers)
        return hidden, self._logits(hidden[rows]) if rows else torch.empty(0, 1)

    def _logits(self, hidden: Tensor) -> Tensor:
        return self._usable(self._decoder.logits(hidden))

    def _usable(self, logits: Tensor) -> Tensor:
        """Keep what can be chosen, and bring it to the processor, which chooses."""
        return logits[:, : self._num_valid_tokens].cpu()

    def _score_prompt(self, chunk: Chunk, hidden: Tensor) -> tuple[TokenScore, ...]:
        """Score the prompt tokens that follow those of a chunk, if asked for and not yet done."""
        sequence = chunk.sequence
        if not sequence.lacks_prompt_scores:
            return ()
        targets = sequence.token_ids[chunk.start + 1 : min(chunk.stop + 1, sequence.num_prompt)]
        scores = []
        for start in range(0, len(targets), SCORED_ROWS_AT_ONCE):
            part = targets[start : start + SCORED_ROWS_AT_ONCE]
            logits = self._logits(hidden[start : start + len(part)])
            for row, target in zip(logits, part, strict=True):
                scores.append(score(row, target, num_top=sequence.sampling.logprobs or 0))
        return tuple(scores)


def _failure(chunk: Chunk, exception: Exception) -> InternalError:
    """Log a failed chunk with its cause, and make the error that its caller sees."""
    request_id = chunk.sequence.request.id
    logger.error("request=%s event=forward_failed", request_id, exc_info=exception)
    return InternalError("the model failed on this request; the server's log has the cause")


def _not_finite(chunk: Chunk) -> InternalError:
    logger.error("request=%s event=logits_not_finite", chunk.sequence.request.id)
    return InternalError(
        "the model's scores for the next token are not finite numbers; the weights may be damaged, "
        "or too large for their dtype (hint: try `--dtype float32`)"
    )
