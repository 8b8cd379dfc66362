"""The vision encoder of Qwen3-Omni equals the reference's at every stage; every mutant fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.qwen3_omni_moe import modeling_qwen3_omni_moe as reference_code
from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import (
    Qwen3OmniMoeVisionEncoderConfig,
)

from closeness import RELATIVE_BAR, compare, watch
from myna.layers.rope import Rope
from myna.layers.windows import runs
from myna.models.fields import Fields
from myna.models.qwen3_omni import vision_encoder
from myna.models.qwen3_omni.encoder_config import VisionConfig
from myna.models.qwen3_omni.vision_encoder import Grid, VisionEncoder

TINY = {
    "depth": 4,
    "hidden_size": 48,
    "num_heads": 4,
    "intermediate_size": 80,
    "patch_size": 4,
    "num_position_embeddings": 36,
    "out_hidden_size": 40,
    "deepstack_visual_indexes": [0, 2],
}
TRUE_WIDTHS = {"depth": 2, "out_hidden_size": 2048, "deepstack_visual_indexes": [0]}
STAGES = ("blocks.0", "blocks.0.attn", "blocks.0.mlp", "merger.ln_q", "merger_list.0.ln_q")
GRIDS: tuple[Grid, ...] = ((1, 4, 6), (3, 2, 8), (1, 14, 2), (1, 4, 6), (2, 6, 6))


def redraw(network: nn.Module, seed: int) -> None:
    """Draw all weights anew: matrices keep their input's size, norms and biases are felt."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if name == "pos_embed.weight":
            parameter.data.normal_(0, 0.1, generator=generator)
        elif name.endswith("bias"):
            parameter.data.normal_(0, 0.3, generator=generator)
        elif parameter.ndim == 1:
            parameter.data.uniform_(0.5, 1.5, generator=generator)
        else:
            parameter.data.normal_(0, parameter[0].numel() ** -0.5, generator=generator)


def pair(values: dict[str, object]) -> tuple[nn.Module, VisionEncoder]:
    """Make the reference, and ours with its weights: the names are the same."""
    config = Qwen3OmniMoeVisionEncoderConfig(**values)
    reference = reference_code.Qwen3OmniMoeVisionEncoder(config).eval()
    redraw(reference, 0)
    ours = VisionEncoder(VisionConfig.read(Fields(config.to_dict(), source="config.json")))
    ours.load_state_dict(reference.state_dict())
    return reference, ours.eval()


def patches(ours: VisionEncoder, grids: tuple[Grid, ...], seed: int = 0) -> Tensor:
    """Draw patches whose values range as normalised pixels do."""
    num_rows = sum(steps * rows * cols for steps, rows, cols in grids)
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(num_rows, ours.config.patch_width, generator=generator) * 2 - 1


def stages(network: nn.Module, run: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Run a network and keep what every stage puts out, and the ends."""
    with watch(network, STAGES, first="blocks.0") as kept:
        kept |= run()
    return kept


def reference_stages(
    reference: nn.Module, rows: Tensor, grids: tuple[Grid, ...]
) -> dict[str, Tensor]:
    def run() -> dict[str, Tensor]:
        out = reference(rows, grid_thw=torch.tensor(grids))
        deep = {f"deepstack.{i}": found for i, found in enumerate(out.deepstack_features)}
        return {"out": out.pooler_output} | deep

    return stages(reference, run)


def our_stages(ours: VisionEncoder, rows: Tensor, grids: tuple[Grid, ...]) -> dict[str, Tensor]:
    def run() -> dict[str, Tensor]:
        seen = ours(rows, grids)
        deep = {f"deepstack.{i}": found for i, found in enumerate(seen.deepstack)}
        return {"out": seen.tokens} | deep

    return stages(ours, run)


@pytest.fixture(scope="module")
def tiny() -> tuple[nn.Module, VisionEncoder]:
    return pair(TINY)


def test_every_stage_equals_the_reference(tiny) -> None:
    reference, ours = tiny
    rows = patches(ours, GRIDS)
    expected = reference_stages(reference, rows, GRIDS)
    compare(our_stages(ours, rows, GRIDS), expected)
    assert len(expected["out"]) == sum(ours.config.num_tokens(grid) for grid in GRIDS)
    assert {"deepstack.0", "deepstack.1"} <= expected.keys()


def test_true_widths_equal_the_reference() -> None:
    reference, ours = pair(TRUE_WIDTHS)
    grids: tuple[Grid, ...] = ((1, 8, 6), (2, 4, 4))
    rows = patches(ours, grids)
    compare(our_stages(ours, rows, grids), reference_stages(reference, rows, grids))


@pytest.mark.parametrize("grid", [(1, 2, 2), (1, 2, 40), (1, 62, 4), (5, 2, 2)])
def test_odd_shapes_equal_the_reference(tiny, grid: Grid) -> None:
    reference, ours = tiny
    rows = patches(ours, (grid,))
    compare(our_stages(ours, rows, (grid,)), reference_stages(reference, rows, (grid,)))


def test_a_picture_is_encoded_as_if_it_were_alone(tiny) -> None:
    _, ours = tiny
    rows = patches(ours, GRIDS)
    sizes = [steps * height * width for steps, height, width in GRIDS]
    with torch.inference_mode():
        together = ours(rows, GRIDS).tokens
        alone = [
            ours(part, [grid]).tokens for part, grid in zip(rows.split(sizes), GRIDS, strict=True)
        ]
    assert float((together - torch.cat(alone)).abs().max()) < RELATIVE_BAR


def drop_bias(ours: VisionEncoder, monkeypatch) -> None:
    ours.blocks[1].attn.qkv.bias.data[-8:] = 0


def drop_patch_bias(ours: VisionEncoder, monkeypatch) -> None:
    ours.patch_embed.proj.bias.data.zero_()


def swap_norms(ours: VisionEncoder, monkeypatch) -> None:
    block = ours.blocks[1]
    block.norm1, block.norm2 = block.norm2, block.norm1


def grow_eps(ours: VisionEncoder, monkeypatch) -> None:
    for module in ours.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps *= 100


def straighten_gelu(ours: VisionEncoder, monkeypatch) -> None:
    exact = functional.gelu
    monkeypatch.setattr(vision_encoder.functional, "gelu", lambda x, approximate: exact(x))


def bend_mergers_gelu(ours: VisionEncoder, monkeypatch) -> None:
    ours.merger.mlp[1].approximate = "tanh"


def halve_theta(ours: VisionEncoder, monkeypatch) -> None:
    rope = replace(vision_encoder.ROPE, theta=vision_encoder.ROPE.theta / 2)
    width = ours.config.width // ours.config.num_heads // 2
    ours.frequencies = vision_encoder.inverse_frequencies(rope, width)


def turn_columns_first(ours: VisionEncoder, monkeypatch) -> None:
    exact = ours.rope
    monkeypatch.setattr(ours, "rope", lambda places: exact(places.flip(1)))


def turn_neighbours(ours: VisionEncoder, monkeypatch) -> None:
    exact = ours.rope

    class Neighbours(Rope):
        def rotate(self, x: Tensor) -> Tensor:
            halves = x.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)
            turned = super().rotate(halves)
            return turned.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)

    def rope(places: Tensor) -> Rope:
        found = exact(places)
        return Neighbours(found.cos, found.sin)

    monkeypatch.setattr(ours, "rope", rope)


def number_rows_in_reading_order(ours: VisionEncoder, monkeypatch) -> None:
    def places(rows: int, cols: int) -> Tensor:
        axes = torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij")
        return torch.stack(axes, dim=-1).flatten(0, 1)

    monkeypatch.setattr(ours, "places", places)


def shift_learned_positions(ours: VisionEncoder, monkeypatch) -> None:
    table = ours.pos_embed.weight
    table.data = table.data.roll(1, 0)


def attend_across_steps(ours: VisionEncoder, monkeypatch) -> None:
    monkeypatch.setattr(
        vision_encoder, "runs", lambda _lengths: runs(t * h * w for t, h, w in GRIDS)
    )


def take_features_a_block_late(ours: VisionEncoder, monkeypatch) -> None:
    late = tuple(layer + 1 for layer in ours.config.deepstack_layers)
    ours.config = replace(ours.config, deepstack_layers=late)


def swap_mergers(ours: VisionEncoder, monkeypatch) -> None:
    ours.merger_list = nn.ModuleList(reversed(ours.merger_list))


MUTANTS = (
    drop_bias,
    drop_patch_bias,
    swap_norms,
    grow_eps,
    straighten_gelu,
    bend_mergers_gelu,
    halve_theta,
    turn_columns_first,
    turn_neighbours,
    number_rows_in_reading_order,
    shift_learned_positions,
    attend_across_steps,
    take_features_a_block_late,
    swap_mergers,
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_every_mutant_fails(mutant, monkeypatch) -> None:
    reference, ours = pair(TINY)
    rows = patches(ours, GRIDS)
    expected = reference_stages(reference, rows, GRIDS)
    compare(our_stages(ours, rows, GRIDS), expected)
    mutant(ours, monkeypatch)
    with pytest.raises(AssertionError, match="parity fails"):
        compare(our_stages(ours, rows, GRIDS), expected)
