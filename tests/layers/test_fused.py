"""Decode steps as one call, against the layers' own modules."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from myna.kernels import stack
from myna.kernels.attention import paged_attention
from myna.kernels.cached import PACKED, heads_of, pack_heads, stored
from myna.kernels.native import native
from myna.kernels.packed import concat_rows
from myna.layers.cache import LayerCache, LayerPages
from myna.layers.decoder import DecoderLayer
from myna.layers.fused import fuse, run_fused
from myna.layers.linear import Linear
from myna.layers.mlp import GatedMlp
from myna.layers.moe import SparseMoe
from myna.layers.norm import RmsNorm
from myna.layers.rope import Rope, RopeConfig, RopeTable
from tiled import draw_packed

WIDTH, HEADS, KV_HEADS, HEAD_WIDTH, HIDDEN = 64, 4, 2, 32, 96
BLOCK_TOKENS, NUM_LAYERS = 4, 2
# Modules and kernel round at other places; both keep float32 here.
FLOAT_SHARE = 1e-5
# Activations are rounded to 8 bits before seven products in a row.
ROUNDED_SHARE = 5e-2
# Where floats differ in their last bit, a cached number may be rounded to the next of 127 steps.
STEP_SHARE = 1 / 127

pytestmark = pytest.mark.skipif(native() is None, reason="the kernels are not compiled")


class Attention(nn.Module):
    """A family's attention, with every part that one may have."""

    def __init__(self, *, has_norms: bool, bias: bool) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_width = HEADS, KV_HEADS, HEAD_WIDTH
        self.qkv_proj = Linear(WIDTH, (HEADS + 2 * KV_HEADS) * HEAD_WIDTH, bias=bias)
        self.o_proj = Linear(HEADS * HEAD_WIDTH, WIDTH, bias=bias)
        if has_norms:
            self.q_norm, self.k_norm = (RmsNorm(HEAD_WIDTH, eps=1e-6) for _ in range(2))

    def forward(self, x: Tensor, rope: Rope, cache: LayerCache) -> Tensor:
        heads = self.qkv_proj(x).unflatten(-1, (-1, HEAD_WIDTH))
        q, k, v = heads.split((HEADS, KV_HEADS, KV_HEADS), dim=1)
        if hasattr(self, "q_norm"):
            q, k = self.q_norm(q), self.k_norm(k)
        return self.o_proj(cache.attend(rope.rotate(q), rope.rotate(k), v).flatten(-2))


class SharedMoe(SparseMoe):
    """Experts and one more for every token."""

    def __init__(self) -> None:
        super().__init__(WIDTH, 32, num_experts=20, num_chosen=3, renormalise=False)
        self.shared_expert = GatedMlp(WIDTH, 64)
        self.shared_expert_gate = Linear(WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.shared_expert_gate(x).sigmoid() * self.shared_expert(x)


def experts() -> SparseMoe:
    return SparseMoe(WIDTH, 32, num_experts=6, num_chosen=2, renormalise=True)


def dense() -> GatedMlp:
    return GatedMlp(WIDTH, HIDDEN)


class Cache:
    """Keys and values of B requests in blocks that lie crosswise."""

    def __init__(self, lengths: list[int], *, seed: int, is_packed: bool = False) -> None:
        width = -(-max(lengths) // BLOCK_TOKENS)
        shape = (len(lengths) * width, BLOCK_TOKENS, KV_HEADS, HEAD_WIDTH)
        generator = torch.Generator().manual_seed(seed)
        self.keys, self.values = (torch.randn(shape, generator=generator) for _ in range(2))
        if is_packed:
            self.keys, self.values = pack_heads(self.keys), pack_heads(self.values)
        order = torch.randperm(shape[0], generator=torch.Generator().manual_seed(0))
        self.tables = order.view(len(lengths), width).int()
        self.lengths = torch.tensor(lengths, dtype=torch.int32)

    @property
    def pages(self) -> LayerPages:
        return LayerPages(self.keys, self.values, self.tables, self.lengths)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        last = (self.lengths - 1).long()
        blocks = self.tables.gather(1, (last // BLOCK_TOKENS)[:, None])[:, 0].long()
        self.keys[blocks, last % BLOCK_TOKENS] = stored(k, self.keys.dtype)
        self.values[blocks, last % BLOCK_TOKENS] = stored(v, self.values.dtype)
        return paged_attention(
            q,
            self.keys,
            self.values,
            block_tables=self.tables,
            lengths=self.lengths,
            scale=HEAD_WIDTH**-0.5,
        )


class NoPages:
    """A cache that is not in blocks."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        raise AssertionError("never called")


def make_layers(
    mlp: Callable[[], nn.Module], *, has_norms: bool = True, bias: bool = False
) -> nn.ModuleList:
    layers = nn.ModuleList(
        DecoderLayer(Attention(has_norms=has_norms, bias=bias), mlp(), width=WIDTH, eps=1e-6)
        for _ in range(NUM_LAYERS)
    )
    generator = torch.Generator().manual_seed(3)
    for name, parameter in layers.named_parameters():
        if "norm" in name:
            nn.init.uniform_(parameter, 0.5, 1.5, generator=generator)
        else:
            nn.init.normal_(parameter, std=0.15, generator=generator)
    return layers


def compare(
    layers: nn.ModuleList, lengths: list[int], *, is_packed: bool = False
) -> tuple[float, float]:
    """Run one step both ways; give the difference of the outputs and of the caches, as shares."""
    x = torch.randn(len(lengths), WIDTH, generator=torch.Generator().manual_seed(4))
    rope = RopeTable(RopeConfig(theta=1e4), HEAD_WIDTH).at(torch.tensor(lengths) - 1, torch.float32)
    ours, theirs = (
        [Cache(lengths, seed=i, is_packed=is_packed) for i in range(NUM_LAYERS)] for _ in range(2)
    )
    fused = fuse(layers)
    assert fused is not None
    found = run_fused(fused, x, rope, ours)
    assert found is not None
    wanted = x
    for layer, cache in zip(layers, theirs, strict=True):
        wanted = layer(wanted, rope, cache)
    apart = max(
        float((a - b).abs().max() / b.abs().max())
        for mine, other in zip(ours, theirs, strict=True)
        for a, b in (
            (heads_of(mine.keys, x.dtype), heads_of(other.keys, x.dtype)),
            (heads_of(mine.values, x.dtype), heads_of(other.values, x.dtype)),
        )
    )
    return float((found - wanted).norm() / wanted.norm()), apart


@pytest.mark.parametrize("mlp", [dense, experts, SharedMoe])
@pytest.mark.parametrize(("has_norms", "bias"), [(True, False), (False, True)])
@pytest.mark.parametrize("lengths", [[1], [9, 1, 300], [5] * 8])
def test_a_fused_step_equals_the_modules(
    mlp: Callable[[], nn.Module], has_norms: bool, bias: bool, lengths: list[int]
) -> None:
    off, apart = compare(make_layers(mlp, has_norms=has_norms, bias=bias), lengths)
    assert off < FLOAT_SHARE
    assert apart < FLOAT_SHARE


@pytest.mark.parametrize("mlp", [dense, experts])
@pytest.mark.parametrize("lengths", [[1], [9, 1, 300]])
def test_a_packed_cache_is_read_and_written_alike(
    mlp: Callable[[], nn.Module], lengths: list[int]
) -> None:
    off, apart = compare(make_layers(mlp), lengths, is_packed=True)
    assert off < STEP_SHARE
    assert apart <= STEP_SHARE


def test_what_a_step_writes_is_packed_to_the_byte() -> None:
    layers, lengths = make_layers(dense), [5, 2]
    plain, packed = (
        [Cache(lengths, seed=i, is_packed=is_packed) for i in range(NUM_LAYERS)]
        for is_packed in (False, True)
    )
    x = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(4))
    turns = RopeTable(RopeConfig(theta=1e4), HEAD_WIDTH).at(torch.tensor(lengths), torch.float32)
    for caches in (plain, packed):
        assert run_fused(fuse(layers), x, turns, caches) is not None
    # The first layer reads the same in both, so it writes the same.
    assert packed[0].keys.dtype is PACKED
    assert torch.equal(packed[0].keys, pack_heads(plain[0].keys))
    assert torch.equal(packed[0].values, pack_heads(plain[0].values))


def pack(layers: nn.ModuleList, kind: str) -> None:
    """Replace all large matrices of dense layers by random blocks, set from several parts."""
    for i, layer in enumerate(layers):
        attention, mlp = layer.self_attn, layer.mlp
        rows = (HEADS * HEAD_WIDTH, KV_HEADS * HEAD_WIDTH, KV_HEADS * HEAD_WIDTH)
        parts = [draw_packed(kind, n, WIDTH, seed=10 * i + j) for j, n in enumerate(rows)]
        attention.qkv_proj.set_packed("weight", concat_rows(parts))
        attention.o_proj.set_packed("weight", draw_packed(kind, WIDTH, HEADS * HEAD_WIDTH, seed=i))
        halves = [draw_packed(kind, HIDDEN, WIDTH, seed=50 + 2 * i + j) for j in range(2)]
        mlp.gate_up_proj.set_packed("weight", concat_rows(halves))
        mlp.down_proj.set_packed("weight", draw_packed(kind, WIDTH, HIDDEN, seed=90 + i))


@pytest.mark.parametrize("kind", ["Q4_0_R16", "Q8_0_R16", "Q4_0", "Q8_0", "Q5_0"])
def test_packed_weights_are_read_in_place(kind: str) -> None:
    layers = make_layers(dense)
    pack(layers, kind)
    off, apart = compare(layers, [9, 1, 30])
    assert off < ROUNDED_SHARE
    assert apart < ROUNDED_SHARE


def test_the_norm_after_the_layers_is_run_too() -> None:
    layers, lengths = make_layers(dense), [9, 1, 30]
    norm = RmsNorm(WIDTH, eps=1e-6)
    nn.init.uniform_(norm.weight, 0.5, 1.5, generator=torch.Generator().manual_seed(5))
    x = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(4))
    turns = RopeTable(RopeConfig(theta=1e4), HEAD_WIDTH).at(torch.tensor(lengths), torch.float32)
    plain, normalised = (
        run_fused(decoder, x, turns, [Cache(lengths, seed=i) for i in range(NUM_LAYERS)])
        for decoder in (fuse(layers), fuse(layers, norm))
    )
    assert plain is not None
    assert normalised is not None
    wanted = norm(plain)
    assert float((normalised - wanted).norm() / wanted.norm()) < FLOAT_SHARE


@pytest.mark.parametrize("mlp", [dense, experts, SharedMoe])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_a_request_does_not_depend_on_those_beside_it(
    mlp: Callable[[], nn.Module], num_threads: int
) -> None:
    layers, lengths = make_layers(mlp), [7, 1, 300, 20]
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    fused = fuse(layers)
    x = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(4))
    table = RopeTable(RopeConfig(theta=1e4), HEAD_WIDTH)
    caches = [Cache(lengths, seed=i) for i in range(NUM_LAYERS)]
    turns = table.at(torch.tensor(lengths) - 1, torch.float32)
    together = run_fused(fused, x, turns, caches)
    for row in range(4):
        alone = [Cache(lengths, seed=i) for i in range(NUM_LAYERS)]
        for cache in alone:
            cache.tables, cache.lengths = cache.tables[row : row + 1], cache.lengths[row : row + 1]
        turn = Rope(turns.cos[row : row + 1], turns.sin[row : row + 1])
        found = run_fused(fused, x[row : row + 1], turn, alone)
        assert torch.equal(found[0], together[row])
    torch.set_num_threads(before)


def test_what_cannot_be_fused_is_left_to_the_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = make_layers(dense)
    fused = fuse(layers)
    turns = RopeTable(RopeConfig(theta=1e4), HEAD_WIDTH).at(torch.zeros(1), torch.float32)
    caches = [Cache([1], seed=0) for _ in range(NUM_LAYERS)]
    x = torch.zeros(1, WIDTH)
    assert run_fused(None, x, turns, caches) is None
    assert run_fused(fused, x, turns, [NoPages()] * NUM_LAYERS) is None
    assert run_fused(fused, x.bfloat16(), turns, caches) is None
    assert run_fused(fused, x.expand(stack.MAX_REQUESTS + 1, -1), turns, caches) is None
    assert fuse([]) is None
    layers[1].mlp.down_proj.bias = torch.zeros(WIDTH)
    assert fuse(layers) is None
    layers[1].mlp = nn.Identity()
    assert fuse(layers) is None
    layers = make_layers(experts)
    layers[0].mlp.gate.bias = torch.zeros(6)
    assert fuse(layers) is None
    layers = make_layers(dense)
    layers[0].self_attn.qkv_proj = nn.Identity()
    assert fuse(layers) is None
    layers = make_layers(dense).half()
    assert fuse(layers) is None
    monkeypatch.setattr(stack, "native", lambda: None)
    assert run_fused(fused, x, turns, caches) is None
    assert fuse(make_layers(dense)) is None
