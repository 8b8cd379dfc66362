"""A tiny random network, an engine around it, and what it must answer.

The network attends with rotary positions, so a wrong slot, mask, order or position changes its
tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from myna.core.requests import RequestId
from myna.engine.config import EngineConfig
from myna.engine.engine import Engine
from myna.engine.sequence import EngineRequest, Sampling, StepOutput
from myna.layers.cache import LayerCache, PackedBatch

NUM_LAYERS, NUM_HEADS, NUM_KV_HEADS, HEAD_WIDTH, VOCAB_SIZE = 2, 4, 2, 8, 64
MODEL_WIDTH = NUM_HEADS * HEAD_WIDTH


class FakeDecoder:
    """Two layers of attention and a matrix each, with weights so large that every token matters."""

    num_layers = NUM_LAYERS
    num_kv_heads = NUM_KV_HEADS
    head_width = HEAD_WIDTH
    vocab_size = VOCAB_SIZE
    device = torch.device("cpu")

    def __init__(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        generator = torch.Generator().manual_seed(seed)

        def matrix(rows: int, columns: int, gain: float = 1.0) -> Tensor:
            weights = torch.randn(rows, columns, generator=generator) * gain / math.sqrt(rows)
            return weights.to(dtype)

        kv_width = NUM_KV_HEADS * HEAD_WIDTH
        self.embedding = torch.randn(VOCAB_SIZE, MODEL_WIDTH, generator=generator).to(dtype)
        self.q = [matrix(MODEL_WIDTH, MODEL_WIDTH, 3.0) for _ in range(NUM_LAYERS)]
        self.k = [matrix(MODEL_WIDTH, kv_width, 1.0) for _ in range(NUM_LAYERS)]
        self.v = [matrix(MODEL_WIDTH, kv_width, 2.0) for _ in range(NUM_LAYERS)]
        self.o = [matrix(MODEL_WIDTH, MODEL_WIDTH) for _ in range(NUM_LAYERS)]
        self.mlp = [matrix(MODEL_WIDTH, MODEL_WIDTH, 1.5) for _ in range(NUM_LAYERS)]
        self.head = matrix(MODEL_WIDTH, VOCAB_SIZE, 3.0)
        self.num_forwards = 0
        self.batch_sizes: list[int] = []

    def forward(self, batch: PackedBatch, caches: Sequence[LayerCache]) -> Tensor:
        self.num_forwards += 1
        self.batch_sizes.append(batch.token_ids.shape[0])
        # Absolute positions too: rotations alone would not notice if all were shifted.
        x = self.embedding[batch.token_ids] + wave(batch.positions).to(self.dtype)  # (N, D)
        for layer, cache in enumerate(caches):
            h = normalise(x)
            q = rotate((h @ self.q[layer]).unflatten(-1, (-1, HEAD_WIDTH)), batch.positions)
            k = rotate((h @ self.k[layer]).unflatten(-1, (-1, HEAD_WIDTH)), batch.positions)
            v = (h @ self.v[layer]).unflatten(-1, (-1, HEAD_WIDTH))
            x = x + cache.attend(q, k, v).flatten(-2) @ self.o[layer]
            x = x + torch.tanh(normalise(x) @ self.mlp[layer])
        return normalise(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return (hidden @ self.head).float()


class ObviousCache:
    """Attend within one sequence given whole, by the formula, with no cache at all."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        num_tokens, num_heads, width = q.shape
        k = k.repeat_interleave(num_heads // k.shape[1], dim=1)
        v = v.repeat_interleave(num_heads // v.shape[1], dim=1)
        scores = torch.einsum("thk,shk->hts", q, k) / math.sqrt(width)
        is_future = torch.ones(num_tokens, num_tokens, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(is_future, -math.inf).softmax(-1)
        return torch.einsum("hts,shk->thk", weights, v)


def normalise(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def wave(positions: Tensor) -> Tensor:
    return torch.sin(positions[:, None] * torch.linspace(0.5, 3.0, MODEL_WIDTH))


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    angles = positions[:, None, None] / 100.0 ** (torch.arange(half) / half)  # (N, 1, K/2)
    first, second = x[..., :half], x[..., half:]
    sin, cos = angles.sin().to(x.dtype), angles.cos().to(x.dtype)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), -1)


def whole_logits(decoder: FakeDecoder, token_ids: Sequence[int]) -> Tensor:
    """Compute the logits after every token of a sequence, (T, V)."""
    batch = PackedBatch(torch.tensor(token_ids), torch.arange(len(token_ids)))
    return decoder.logits(decoder.forward(batch, [ObviousCache()] * NUM_LAYERS))


def obvious_greedy(decoder: FakeDecoder, prompt: Sequence[int], num_tokens: int) -> list[int]:
    """Continue a prompt greedily, computing everything anew for each token."""
    tokens = list(prompt)
    for _ in range(num_tokens):
        tokens.append(int(whole_logits(decoder, tokens)[-1].argmax()))
    return tokens[len(prompt) :]


def make_engine(
    decoder: FakeDecoder | None = None,
    on_layer: Callable[[], None] = lambda: None,
    **changes: Any,  # Any: config fields
) -> Engine:
    """Build an engine with small blocks and poisoned memory."""
    fields = {
        "max_context": 256,
        "num_kv_tokens": 1024,
        "tokens_per_block": 4,
        "max_step_tokens": 64,
        "prefill_chunk_tokens": 16,
        "poison_freed_blocks": True,
    }
    config = EngineConfig(**{**fields, **changes})
    return Engine(decoder or FakeDecoder(), config, on_layer=on_layer)


def make_request(name: str, token_ids: Sequence[int], **fields: Any) -> EngineRequest:
    """Make a request; `sampling` fields and request fields may be mixed."""
    own = {"num_choices", "deadline_s", "cache_labels", "make_mask", "make_override", "on_read"}
    request_fields = {key: fields.pop(key) for key in own & fields.keys()}
    fields.setdefault("temperature", 0.0)
    sampling = Sampling(**fields)
    return EngineRequest(
        id=RequestId(name), token_ids=tuple(token_ids), sampling=sampling, **request_fields
    )


def run_all(
    engine: Engine, before_step: Callable[[Engine], None] | None = None
) -> list[StepOutput]:
    """Step until nothing is left, checking the pool after every step."""
    outputs: list[StepOutput] = []
    while engine.has_work():
        if before_step is not None:
            before_step(engine)
        outputs += engine.step()
        engine.pool.check_integrity()
    assert engine.pool.num_used == 0
    return outputs


def tokens_of(outputs: Sequence[StepOutput], name: str, index: int = 0) -> list[int]:
    """Collect one choice's token ids."""
    return [
        output.token.token_id
        for output in outputs
        if (output.request_id, output.index) == (name, index) and output.token is not None
    ]


def random_prompts(seed: int, count: int, longest: int) -> list[list[int]]:
    """Draw prompts of 1 to `longest` tokens."""
    generator = torch.Generator().manual_seed(seed)
    prompts = []
    for _ in range(count):
        length = int(torch.randint(1, longest + 1, (), generator=generator))
        prompts.append(torch.randint(VOCAB_SIZE, (length,), generator=generator).tolist())
    return prompts


def check_others(engine: Engine, outputs: Sequence[StepOutput], names: str) -> None:
    """Check that bystanders, eight tokens after 1 2 3, got their own, and that later ones do."""
    wanted = obvious_greedy(FakeDecoder(), [1, 2, 3], 8)
    for name in names:
        assert tokens_of(outputs, name) == wanted
    engine.add(make_request("later", [1, 2, 3], max_tokens=8))
    assert tokens_of(run_all(engine), "later") == wanted


class Kit:
    """Hand the above to tests, which import no other test module."""

    FakeDecoder = FakeDecoder
    num_layers = NUM_LAYERS
    vocab_size = VOCAB_SIZE
    check_others = staticmethod(check_others)
    make_engine = staticmethod(make_engine)
    make_request = staticmethod(make_request)
    obvious_greedy = staticmethod(obvious_greedy)
    random_prompts = staticmethod(random_prompts)
    run_all = staticmethod(run_all)
    tokens_of = staticmethod(tokens_of)
    whole_logits = staticmethod(whole_logits)


@pytest.fixture
def kit() -> Kit:
    """Give the tools above."""
    return Kit()
