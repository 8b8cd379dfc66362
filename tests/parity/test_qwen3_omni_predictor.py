"""The code predictor equals the reference's: every layer, every codebook's logits, greedy codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers.generation.logits_process import TopKLogitsWarper, TopPLogitsWarper

import omni_pair
from closeness import compare
from myna.layers.norm import RmsNorm
from myna.layers.rope import RopeTable
from myna.models.qwen3_omni.code_predictor import (
    NUCLEUS,
    CodePredictor,
    FrameCache,
    choose,
)

NUM_STREAMS = 5
NUM_GREEDY = 20
NUM_POINTS = 4096
LAYER_STAGES = ("", ".input_layernorm", ".self_attn", ".self_attn.q_norm", ".mlp")
NAMES = (*(f"layers.{i}{stage}" for i in range(2) for stage in LAYER_STAGES), "norm")


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> omni_pair.OmniPair:
    changes = {"num_code_groups": 6}
    return omni_pair.make_pair(
        tmp_path_factory.mktemp("predictor"),
        talker_config=changes,
        talker_config__code_predictor_config=changes,
        code2wav_config={"num_quantizers": 6},
    )


@pytest.fixture
def ours(pair) -> CodePredictor:
    """Load the network anew, for a mutant to change."""
    return omni_pair.load(pair.folder)[2].talker.code_predictor


def draw(num_streams: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden, first = torch.randn(2, num_streams, 32, generator=generator)
    return hidden, first


def reference_frame(pair, hidden: Tensor, first: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Run the reference's own loop, greedily: codes (B, Q-1) and the logits of each."""
    out = pair.reference.talker.code_predictor.generate(
        inputs_embeds=torch.stack((hidden, first), 1),
        max_new_tokens=5,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    return out.sequences, list(out.logits)


def our_frame(network: CodePredictor, hidden: Tensor, first: Tensor) -> tuple[Tensor, list[Tensor]]:
    logits: list[Tensor] = []
    step = network.step

    def keep(*args: object, **kwargs: object) -> Tensor:
        logits.append(step(*args, **kwargs))
        return logits[-1]

    network.step = keep
    with torch.inference_mode():
        codes = network(hidden, first)
    del network.step
    return codes, logits


def check(pair, network: CodePredictor, *, seed: int = 0) -> None:
    hidden, first = draw(NUM_STREAMS, seed)
    expected_codes, expected = reference_frame(pair, hidden, first)
    codes, found = our_frame(network, hidden, first)
    compare(
        {f"logits {i}": logits for i, logits in enumerate(found)},
        {f"logits {i}": logits for i, logits in enumerate(expected)},
    )
    assert torch.equal(codes, expected_codes), "parity fails at codes"


def test_logits_and_greedy_codes_of_all_codebooks_equal_the_reference(pair, ours) -> None:
    for seed in range(NUM_GREEDY):
        check(pair, ours, seed=seed)


def test_every_stage_equals_the_reference(pair, ours) -> None:
    """Compare what modules put out in the last step, when the cache is full."""
    hidden, first = draw(NUM_STREAMS, 0)
    reference = pair.reference.talker.code_predictor
    expected = omni_pair.outputs(
        reference.model, NAMES, lambda: reference_frame(pair, hidden, first)
    )
    found = omni_pair.outputs(ours, NAMES, lambda: our_frame(ours, hidden, first))
    compare(found, expected)


def test_true_widths_equal_the_reference() -> None:
    reference, ours = omni_pair.predictor_pair(num_layers=1)
    hidden, first = torch.randn(2, 2, 1024, generator=torch.manual_seed(0))
    out = reference.generate(
        inputs_embeds=torch.stack((hidden, first), 1),
        max_new_tokens=15,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    codes, logits = our_frame(ours, hidden, first)
    compare(dict(enumerate(logits)), dict(enumerate(out.logits)))
    assert torch.equal(codes, out.sequences)


def test_embeddings_of_a_frame_add_up_as_the_reference_adds_them(pair) -> None:
    talker, reference = pair.speech.talker, pair.reference.talker
    codes = torch.randint(64, (3, 6), generator=torch.manual_seed(0))
    tables = [reference.model.codec_embedding, *reference.code_predictor.model.codec_embedding]
    expected = sum(table(codes[:, i]) for i, table in enumerate(tables))
    compare({"frame": talker.embed_frames(codes)}, {"frame": expected})


def test_draws_follow_the_references_shares() -> None:
    """Sweep the points, and count how many fall to each code."""
    scores = torch.randn(1, 300, generator=torch.manual_seed(0)) * 2
    kept = TopPLogitsWarper(NUCLEUS.top_p)(None, TopKLogitsWarper(NUCLEUS.top_k)(None, scores))
    expected = kept.softmax(-1)[0]
    points = torch.arange(NUM_POINTS) / NUM_POINTS
    found = choose(scores.expand(NUM_POINTS, -1), points).bincount(minlength=300) / NUM_POINTS
    assert (expected > 0).sum() > 10
    assert float((found - expected).abs().max()) <= 1.5 / NUM_POINTS


def halve_theta(network: CodePredictor) -> None:
    config = network.config
    rope = replace(config.rope, theta=config.rope.theta / 2)
    network.rope_table = RopeTable(rope, config.head_width)


def grow_eps(network: CodePredictor) -> None:
    for module in network.modules():
        if isinstance(module, RmsNorm):
            module.eps = 1e-3


def swap_layer_norms(network: CodePredictor) -> None:
    layer = network.layers[1]
    first, second = layer.input_layernorm, layer.post_attention_layernorm
    layer.input_layernorm, layer.post_attention_layernorm = second, first


def swap_head_norms(network: CodePredictor) -> None:
    attention = network.layers[0].self_attn
    attention.q_norm, attention.k_norm = attention.k_norm, attention.q_norm


def roll_heads(network: CodePredictor) -> None:
    network.lm_head.copy_(network.lm_head.roll(1, 0))


def roll_embeddings(network: CodePredictor) -> None:
    network.codec_embedding.copy_(network.codec_embedding.roll(1, 0))


def shift_late_positions(network: CodePredictor) -> None:
    table = network.rope_table

    class Table:
        def at(self, positions: Tensor, dtype: torch.dtype) -> object:
            return table.at(positions + (positions > 1), dtype)

    network.rope_table = Table()


def forget_the_first_position(network: CodePredictor) -> None:
    """Let steps after the first not see the talker's hidden state."""
    fresh = network.fresh_caches

    class Forgetful(FrameCache):
        def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            if self.length == 2:
                self.keys, self.values, self.length = self.keys[:, :, 1:], self.values[:, :, 1:], 1
            return super().attend(q, k, v)

    network.fresh_caches = lambda count: [
        Forgetful(cache.keys, cache.values) for cache in fresh(count)
    ]


def interleave_groups(network: CodePredictor) -> None:
    attention = network.layers[0].self_attn
    rows = attention.num_heads * attention.head_width
    queries = attention.qkv_proj.weight[:rows].unflatten(0, (attention.num_heads, -1))
    attention.qkv_proj.weight[:rows] = queries[[0, 2, 1, 3]].flatten(0, 1)


MUTANTS: dict[str, Callable[[CodePredictor], None]] = {
    "rope theta halved": halve_theta,
    "positions +1 from the third on": shift_late_positions,
    "eps larger": grow_eps,
    "layer norms swapped": swap_layer_norms,
    "head norms swapped": swap_head_norms,
    "heads of the codebook before": roll_heads,
    "embeddings of the codebook before": roll_embeddings,
    "window one short": forget_the_first_position,
    "query heads permuted": interleave_groups,
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_fails_parity(mutant: str, pair, ours) -> None:
    with torch.no_grad():
        MUTANTS[mutant](ours)
    with pytest.raises(AssertionError, match="parity fails at"):
        check(pair, ours)
