"""The decoder that thinker and talker share: experts, and rows that are no tokens."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import functional

from myna.layers.cache import PackedBatch, Rows
from myna.layers.dense_cache import DenseCache
from myna.layers.moe import SparseMoe
from myna.models.qwen3_omni.decoder import SharedExpertMoe, experts


def test_only_the_talkers_layers_have_an_expert_that_reads_all(tiny_config) -> None:
    thinker, talker = tiny_config.thinker.text, tiny_config.speech.talker.text
    assert type(experts(thinker)) is SparseMoe
    assert type(experts(talker)) is SharedExpertMoe


def test_the_shared_expert_is_weighted_by_its_gate(tiny_speech) -> None:
    mlp = tiny_speech.talker.decoder.layers[0].mlp
    x = torch.randn(5, 32, generator=torch.manual_seed(0))
    gate, up = functional.linear(x, mlp.shared_expert.gate_up_proj.weight).chunk(2, -1)
    shared = functional.linear(functional.silu(gate) * up, mlp.shared_expert.down_proj.weight)
    share = torch.sigmoid(x @ mlp.shared_expert_gate.weight.T)
    expected = SparseMoe.forward(mlp, x) + share * shared
    assert torch.allclose(mlp(x), expected, atol=1e-6)


def test_replaced_tokens_do_not_matter(tiny_thinker) -> None:
    decoder = tiny_thinker.decoder
    rows = Rows(torch.tensor([1, 2]), torch.randn(2, 32, generator=torch.manual_seed(0)))
    first = PackedBatch(torch.tensor([4, 5, 6, 7]), torch.arange(4), replaced=(rows,))
    other = replace(first, token_ids=torch.tensor([4, 8, 9, 7]))
    caches = [[DenseCache() for _ in range(decoder.num_layers)] for _ in range(2)]
    assert torch.equal(decoder(first, caches[0]), decoder(other, caches[1]))


def test_looking_up_leaves_the_table_as_it_was(tiny_thinker) -> None:
    decoder = tiny_thinker.decoder
    before = decoder.embed_tokens.weight.clone()
    rows = Rows(torch.tensor([0]), torch.full((1, 32), 9.0))
    found = decoder.embed(PackedBatch(torch.tensor([4, 4]), torch.arange(2), replaced=(rows,)))
    assert torch.equal(found, torch.stack((torch.full((32,), 9.0), before[4])))
    assert torch.equal(decoder.embed_tokens.weight, before)
