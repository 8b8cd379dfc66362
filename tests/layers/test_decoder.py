"""TextDecoder: what the engine asks of it, and whose matrix scores the vocabulary."""

import pytest
import torch
from torch import Tensor, nn

from myna.layers.cache import LayerCache, PackedBatch
from myna.layers.decoder import DecoderLayer, TextDecoder
from myna.layers.dense_cache import DenseCache
from myna.layers.mlp import GatedMlp
from myna.layers.rope import Rope, RopeConfig


class MeanAttention(nn.Module):
    """Stand in for a family's attention."""

    def forward(self, x: Tensor, rope: Rope, cache: LayerCache) -> Tensor:
        heads = rope.rotate(x.unflatten(-1, (2, 4)))
        return cache.attend(heads, heads, heads).flatten(-2)


def decoder(*, tied: bool) -> TextDecoder:
    layers = [DecoderLayer(MeanAttention(), GatedMlp(8, 12), width=8, eps=1e-6) for _ in range(3)]
    network = TextDecoder(
        layers,
        vocab_size=20,
        width=8,
        num_kv_heads=2,
        head_width=4,
        eps=1e-6,
        rope=RopeConfig(theta=1e4),
        tied=tied,
    )
    for i, parameter in enumerate(network.parameters()):
        torch.nn.init.normal_(parameter, generator=torch.manual_seed(i))
    return network


def batch(num_tokens: int) -> PackedBatch:
    return PackedBatch(torch.arange(num_tokens), torch.arange(num_tokens))


def caches() -> list[DenseCache]:
    return [DenseCache() for _ in range(3)]


def test_it_tells_the_engine_its_shape() -> None:
    network = decoder(tied=True).bfloat16()
    assert (network.num_layers, network.num_kv_heads, network.head_width) == (3, 2, 4)
    assert (network.vocab_size, network.dtype) == (20, torch.bfloat16)


def test_a_tied_decoder_scores_with_its_embedding() -> None:
    network, hidden = decoder(tied=True), torch.randn(2, 8)
    assert torch.equal(network.logits(hidden), hidden @ network.embed_tokens.weight.T)
    assert network.lm_head is None


def test_an_untied_decoder_scores_with_its_head() -> None:
    network, hidden = decoder(tied=False), torch.randn(2, 8)
    assert torch.equal(network.logits(hidden), hidden @ network.lm_head.weight.T)


def test_logits_are_float32_whatever_the_network_computes_in() -> None:
    network = decoder(tied=True).bfloat16()
    hidden = network(batch(5), caches())
    assert (hidden.dtype, network.logits(hidden).dtype) == (torch.bfloat16, torch.float32)


def test_one_token_at_a_time_equals_all_at_once() -> None:
    network, kept = decoder(tied=True), caches()
    whole = network(batch(6), caches())
    steps = [network(PackedBatch(torch.tensor([i]), torch.tensor([i])), kept) for i in range(6)]
    torch.testing.assert_close(torch.cat(steps), whole)


def test_a_missing_cache_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        decoder(tied=True)(batch(2), caches()[:2])
