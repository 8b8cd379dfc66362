"""The thinker's decoder equals the reference's at every stage, with what replaces tokens, what is
added, and what the talker takes; every mutant fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import omni_pair
from closeness import compare
from myna.layers.cache import PackedBatch, Rows, Tap
from myna.layers.dense_cache import DenseCache
from myna.layers.norm import RmsNorm
from myna.models.qwen3_omni.decoder import OmniDecoder
from myna.models.qwen3_omni.rope import MultiAxisRopeTable

NUM_TOKENS = 40
DEPTH = 4
LAYER_STAGES = (
    ("", ".input_layernorm", ".post_attention_layernorm"),
    (".self_attn", ".self_attn.q_norm", ".self_attn.k_norm"),
    (".mlp", ".mlp.experts"),
)
SUFFIXES = tuple(suffix for group in LAYER_STAGES for suffix in group)
VISUAL_ROWS = torch.tensor([5, 6, 7, 8, 21, 22])
AUDIO_ROWS = torch.tensor([12, 13, 14])


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> omni_pair.OmniPair:
    return omni_pair.make_pair(tmp_path_factory.mktemp("thinker"))


@pytest.fixture
def ours(pair) -> OmniDecoder:
    """Load the network anew, for a mutant to change."""
    return omni_pair.load(pair.folder)[1].decoder


def prompt(width: int, vocab_size: int) -> PackedBatch:
    """Draw a prompt in which some tokens are media, on positions with fractions."""
    generator = torch.Generator().manual_seed(0)

    def rows(places: Tensor) -> Rows:
        return Rows(places, torch.randn(len(places), width, generator=generator))

    states = torch.full((len(VISUAL_ROWS), width), torch.nan)
    return PackedBatch(
        torch.randint(vocab_size, (NUM_TOKENS,), generator=generator),
        torch.rand(3, NUM_TOKENS, generator=generator).mul(4).cumsum(-1),
        replaced=(rows(AUDIO_ROWS), rows(VISUAL_ROWS)),
        added=tuple((rows(VISUAL_ROWS),) for _ in range(3)),
        taps=(Tap(DEPTH, Rows(VISUAL_ROWS, states)),),
    )


def names(num_layers: int) -> list[str]:
    return ["norm", *(f"layers.{i}{suffix}" for i in range(num_layers) for suffix in SUFFIXES)]


def reference_stages(model, head, batch: PackedBatch) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}

    def run() -> None:
        embeds = model.embed_tokens(batch.token_ids)
        for rows in batch.replaced:
            embeds = embeds.index_copy(0, rows.rows, rows.values)
        is_visual = torch.zeros(len(batch.token_ids), dtype=torch.bool)
        is_visual[VISUAL_ROWS] = True
        out = model(
            inputs_embeds=embeds[None],
            position_ids=batch.positions[:, None],
            visual_pos_masks=is_visual[None],
            deepstack_visual_embeds=[layer[0].values for layer in batch.added],
            output_hidden_states=True,
        )
        found["logits"] = head(out.last_hidden_state)[0]
        if len(out.hidden_states) > DEPTH + 1:
            found["taken"] = out.hidden_states[DEPTH][0, VISUAL_ROWS]

    return omni_pair.outputs(model, names(len(model.layers)), run) | found


def our_stages(decoder: OmniDecoder, batch: PackedBatch) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}

    def run() -> None:
        caches = [DenseCache() for _ in range(decoder.num_layers)]
        found["logits"] = decoder.logits(decoder(batch, caches))
        if decoder.num_layers > DEPTH:
            found["taken"] = batch.taps[0].out.values

    return omni_pair.outputs(decoder, names(decoder.num_layers), run) | found


def check(pair, decoder: OmniDecoder, change=lambda batch: batch) -> None:
    batch = prompt(32, decoder.vocab_size)
    thinker = pair.reference.thinker
    expected = reference_stages(thinker.model.language_model, thinker.lm_head, batch)
    compare(our_stages(decoder, change(prompt(32, decoder.vocab_size))), expected)


def test_every_stage_equals_the_reference(pair, ours) -> None:
    check(pair, ours)


def test_true_widths_equal_the_reference() -> None:
    """Build both at the released widths: two layers, with fewer words and experts."""
    changes = {"num_hidden_layers": 2, "vocab_size": 512, "num_experts": 16}
    reference, head, ours = omni_pair.decoder_pair("thinker", **changes)
    batch = prompt(2048, 512)
    batch = replace(batch, added=batch.added[:2], taps=())
    compare(our_stages(ours, batch), reference_stages(reference, head, batch))


def set_rope(decoder: OmniDecoder, pair, **changes: object) -> None:
    config = pair.config.thinker.text
    decoder.rope_table = MultiAxisRopeTable(
        replace(config.rope, **changes), config.head_width, section=config.mrope_section
    )


def halve_theta(decoder: OmniDecoder, pair) -> None:
    set_rope(decoder, pair, theta=pair.config.thinker.text.rope.theta / 2)


def turn_in_blocks(decoder: OmniDecoder, _pair) -> None:
    decoder.rope_table.axes = decoder.rope_table.axes.sort().values


def grow_eps(decoder: OmniDecoder, _pair) -> None:
    for module in decoder.modules():
        if isinstance(module, RmsNorm):
            module.eps *= 100


def swap_layer_norms(decoder: OmniDecoder, _pair) -> None:
    layer = decoder.layers[2]
    first, second = layer.input_layernorm, layer.post_attention_layernorm
    layer.input_layernorm, layer.post_attention_layernorm = second, first


def swap_head_norms(decoder: OmniDecoder, _pair) -> None:
    attention = decoder.layers[2].self_attn
    attention.q_norm, attention.k_norm = attention.k_norm, attention.q_norm


def permute_one_expert(decoder: OmniDecoder, _pair) -> None:
    down = decoder.layers[1].mlp.experts.down_proj
    down[[0, 1]] = down[[1, 0]].clone()


def permute_the_router(decoder: OmniDecoder, _pair) -> None:
    gate = decoder.layers[1].mlp.gate.weight
    gate[[0, 1]] = gate[[1, 0]].clone()


def choose_one_expert_less(decoder: OmniDecoder, _pair) -> None:
    decoder.layers[3].mlp.num_chosen -= 1


def forget_to_renormalise(decoder: OmniDecoder, _pair) -> None:
    decoder.layers[3].mlp.renormalise = False


def use_gelu(decoder: OmniDecoder, _pair) -> None:
    experts = decoder.layers[0].mlp.experts

    def run(x: Tensor, expert: int) -> Tensor:
        gate, up = functional.linear(x, experts.gate_up_proj[expert]).chunk(2, dim=-1)
        return functional.linear(functional.gelu(gate) * up, experts.down_proj[expert])

    experts.run = run


MUTANTS: dict[str, Callable[[OmniDecoder, omni_pair.OmniPair], None]] = {
    "rope theta halved": halve_theta,
    "axes in blocks": turn_in_blocks,
    "eps x100": grow_eps,
    "layer norms swapped": swap_layer_norms,
    "head norms swapped": swap_head_norms,
    "one expert permuted": permute_one_expert,
    "router rows permuted": permute_the_router,
    "one expert less": choose_one_expert_less,
    "shares not renormalised": forget_to_renormalise,
    "gelu for silu": use_gelu,
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_fails_parity(mutant: str, pair, ours) -> None:
    with torch.no_grad():
        MUTANTS[mutant](ours, pair)
    with pytest.raises(AssertionError, match="parity fails at"):
        check(pair, ours)


def add_one_row_late(batch: PackedBatch) -> PackedBatch:
    added = tuple((Rows(layer[0].rows + 1, layer[0].values),) for layer in batch.added)
    return replace(batch, added=added)


def tap_a_layer_early(batch: PackedBatch) -> PackedBatch:
    return replace(batch, taps=(replace(batch.taps[0], depth=DEPTH - 1),))


CHANGES = {
    "positions +1 from the middle on": lambda batch: replace(
        batch, positions=batch.positions + (torch.arange(NUM_TOKENS) > NUM_TOKENS // 2)
    ),
    "positions rounded": lambda batch: replace(batch, positions=batch.positions.round()),
    "embeddings kept": lambda batch: replace(batch, replaced=batch.replaced[:1]),
    "deepstack a layer late": lambda batch: replace(batch, added=((), *batch.added)),
    "deepstack a row late": add_one_row_late,
    "states a layer early": tap_a_layer_early,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_batch_changed_fails_parity(change: str, pair, ours) -> None:
    with pytest.raises(AssertionError, match="parity fails at"):
        check(pair, ours, CHANGES[change])
