"""A frame's codes in one call, against the module that chooses them step by step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from myna.kernels import depth, stack
from myna.kernels.native import Native, native
from myna.kernels.packed import PackedStack, PackedWeight
from myna.layers.linear import Linear
from myna.layers.rope import RopeConfig
from myna.models.qwen3_omni.code_predictor import CodePredictor, choose
from myna.models.qwen3_omni.speech_config import CodePredictorConfig
from myna.weights.quantize.encode import encode_rows

CONFIG = CodePredictorConfig(
    vocab_size=80,
    width=64,
    hidden_width=96,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_width=32,
    norm_eps=1e-6,
    rope=RopeConfig(theta=1e4),
    context_length=64,
    num_codebooks=6,
)
NUM_CODES = CONFIG.num_codebooks - 1
# Sums of a few float32 embeddings in another order.
SUM_ATOL = 1e-5

pytestmark = pytest.mark.skipif(native() is None, reason="the kernels are not compiled")


def make(kind: str | None = None, *, dtype: torch.dtype = torch.float32) -> CodePredictor:
    """Make a predictor of random weights, plain or packed, that is not yet fused."""
    network = CodePredictor(CONFIG)
    generator = torch.Generator().manual_seed(3)
    for name, parameter in network.named_parameters():
        if "norm" in name:
            nn.init.uniform_(parameter, 0.5, 1.5, generator=generator)
        else:
            nn.init.normal_(parameter, std=0.3, generator=generator)
    if kind is not None:
        for part in network.modules():
            if isinstance(part, Linear):
                assert isinstance(part.weight, Tensor)
                part.set_packed("weight", pack(part.weight, kind))
        for name in ("codec_embedding", "lm_head"):
            books = [pack(book, kind) for book in getattr(network, name)]
            network.set_packed(name, PackedStack(tuple(books)))
    return network.to(dtype)


def pack(weight: Tensor, kind: str) -> PackedWeight:
    return PackedWeight(kind, encode_rows(kind, weight), None, tuple(weight.shape))


def draw(num_streams: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(num_streams)
    hidden, first = torch.randn(2, num_streams, CONFIG.width, generator=generator).to(dtype)
    return hidden, first, torch.rand(num_streams, NUM_CODES, generator=generator)


@pytest.fixture
def at_level(kernels: Native, monkeypatch) -> Iterator[Native]:
    """Run frames at one instruction set."""
    monkeypatch.setattr(depth, "native", lambda: kernels)
    return kernels


@pytest.mark.parametrize(("num_streams", "is_drawn"), [(1, False), (4, True), (11, True)])
def test_the_codes_are_those_of_the_twin(at_level, num_streams: int, is_drawn: bool) -> None:
    network = make()
    network.fuse()
    assert network.depth is not None
    hidden, first, points = draw(num_streams)
    given = points if is_drawn else None
    found = network.predict(hidden, first, given)
    codes = network(hidden, first, given)
    assert torch.equal(found.codes, codes)
    torch.testing.assert_close(found.vectors, network.embed(codes), rtol=0, atol=SUM_ATOL)
    assert len(codes.unique()) > 4


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_0_R16", "Q4_F8", "Q4_F8_R16", "Q6_0_R16", "Q8_0"])
def test_packed_weights_choose_what_the_twin_chooses(at_level, kind: str) -> None:
    network = make(kind)
    network.fuse()
    assert network.depth is not None
    hidden, first, points = draw(5)
    found = network.predict(hidden, first, points)
    assert torch.equal(found.codes, network(hidden, first, points))
    torch.testing.assert_close(found.vectors, network.embed(found.codes), rtol=0, atol=SUM_ATOL)


def test_bfloat16_weights_are_read_in_place(at_level) -> None:
    network, exact = make(dtype=torch.bfloat16), make(dtype=torch.bfloat16).float()
    network.fuse()
    hidden, first, points = draw(3, torch.bfloat16)
    found = network.predict(hidden, first, points)
    assert found.vectors.dtype is torch.bfloat16
    # The call keeps float32 between products, so its twin is the module in float32.
    assert torch.equal(found.codes, exact(hidden.float(), first.float(), points))


@pytest.mark.parametrize("kind", [None, "Q8_0_R16"])
def test_a_stream_is_the_same_whoever_is_beside_it(num_threads, kind: str | None) -> None:
    network = make(kind)
    network.fuse()
    hidden, first, points = draw(11)
    together = network.predict(hidden, first, points)
    for i in range(11):
        row = slice(i, i + 1)
        alone = network.predict(hidden[row], first[row], points[row])
        assert torch.equal(alone.codes, together.codes[row])
        assert torch.equal(alone.vectors, together.vectors[row])


def test_draws_fall_where_the_twin_has_them(at_level) -> None:
    """One layer of zeros makes scores that are known: the head's products with the first vector."""
    network = make()
    for layer in network.layers:
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
    network.fuse()
    points = torch.linspace(0, 1 - 2**-24, 200)[:, None].repeat(1, NUM_CODES)
    first = draw(1)[1].expand(len(points), -1)
    found = network.predict(first, first, points).codes[:, 0]
    assert isinstance(network.lm_head, Tensor)
    scores = network.norm(first) @ network.lm_head[0].T
    assert torch.equal(found, choose(scores, points[:, 0]))
    assert len(found.unique()) > 3


def test_numbers_that_are_none_still_give_codes(at_level) -> None:
    network = make()
    network.fuse()
    hidden, first, points = draw(2)
    hidden[0] = torch.nan
    for given in (points, None):
        found = network.predict(hidden, first, given)
        assert int(found.codes.min()) >= 0
        assert int(found.codes.max()) < CONFIG.vocab_size
        again = network.predict(hidden[1:], first[1:], None if given is None else given[1:])
        assert torch.equal(again.codes, found.codes[1:])


def test_without_kernels_the_twin_chooses(monkeypatch) -> None:
    network = make()
    network.fuse()
    hidden, first, points = draw(2)
    fused = network.predict(hidden, first, points)
    monkeypatch.setattr(depth, "native", lambda: None)
    portable = network.predict(hidden, first, points)
    assert torch.equal(fused.codes, portable.codes)
    monkeypatch.setattr(stack, "native", lambda: None)
    other = make()
    other.fuse()
    assert other.depth is None


def test_a_table_of_a_format_that_is_not_read_in_place_leaves_the_twin() -> None:
    network = make()
    half = network.lm_head.to(torch.float16)
    network.lm_head = nn.Parameter(half, requires_grad=False)
    network.fuse()
    assert network.depth is None
