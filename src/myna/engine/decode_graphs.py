"""Steps in which every answer gets one token, as recordings for a GPU: in a few shapes, padded.

Not here: how a recording is made (layers.graphs), other steps (runner).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from myna.engine.batch import AttentionPlan
from myna.engine.kv_cache import KVCache
from myna.engine.protocols import Decoder
from myna.layers.cache import PackedBatch
from myna.layers.graphs import Graphed, Record, record_on_gpu


class DecodeGraphs:
    """Play steps of single tokens.

    Rows and blocks are filled up to powers of two, so that there are few recordings. What fills up
    rows reads nothing, and writes to the cache's spare slot.

    Args:
        decoder: looks at no value in such a step.
        cache: has a spare slot.
        record: makes recordings.
    """

    def __init__(self, decoder: Decoder, cache: KVCache, record: Record = record_on_gpu) -> None:
        self._decoder = decoder
        self._cache = cache
        self._graphed = Graphed(self._step, record)

    def run(self, batch: PackedBatch, plan: AttentionPlan) -> tuple[Tensor, Tensor] | None:
        """Give hidden states (N, D) and logits (N, V); `None` for steps of another kind."""
        if plan.spans or batch.replaced or batch.added or batch.taps:
            return None
        num_rows, table_width = plan.block_tables.shape
        num_more, wider = _up(num_rows) - num_rows, _up(table_width) - table_width
        inputs = (
            functional.pad(batch.token_ids, (0, num_more)),
            functional.pad(batch.positions, (0, num_more)),
            functional.pad(plan.slots, (0, num_more), value=self._cache.spare_slot),
            functional.pad(plan.block_tables, (0, wider, 0, num_more)),
            functional.pad(plan.lengths, (0, num_more)),
        )
        device = self._decoder.device
        hidden, logits = self._graphed(*(tensor.to(device) for tensor in inputs))
        return hidden[:num_rows], logits[:num_rows]

    def _step(
        self, token_ids: Tensor, positions: Tensor, slots: Tensor, tables: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        plan = AttentionPlan(slots=slots, block_tables=tables, lengths=lengths, spans=())
        batch = PackedBatch(token_ids, positions)
        hidden = self._decoder.forward(batch, self._cache.layers(plan))
        return hidden, self._decoder.logits(hidden)


def can_record(decoder: Decoder) -> bool:
    """Tell whether a decoder's steps can be recorded: on a GPU, where nothing looks at values."""
    return decoder.device.type == "cuda" and decoder.dtype is torch.bfloat16


def _up(count: int) -> int:
    """Give the next power of two."""
    return 1 << (count - 1).bit_length()
