"""The networks of Qwen-Image-Edit equal the reference's at every stage; every mutant fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from closeness import compare
from image_edit_pair import EditPair, load_ours, load_pair, outputs
from myna.layers.norm import RmsNorm
from myna.layers.rope import Rope, RopeConfig
from myna.models.qwen_image_edit import modulation, text_encoder, transformer, vae, vision_encoder
from myna.models.qwen_image_edit.rope import PairRope, PictureRopeTable, SectionedRopeTable
from myna.models.qwen_image_edit.text_encoder import TextEncoder
from myna.models.qwen_image_edit.vae import Vae
from myna.models.qwen_image_edit.weights import EditTransformer
from myna.models.tiny_image_edit import write_tiny_image_edit
from myna.models.tiny_omni import token_ids

GRIDS = ((4, 6), (12, 20))  # patches; the second has more than one window, and ragged edges
LATENT_GRIDS = ((4, 7), (3, 5), (6, 2))  # tokens of noise and of two pictures; odd sides, too
NOISE = (1.0, 0.4556)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    return write_tiny_image_edit(tmp_path_factory.mktemp("edit"))


@pytest.fixture(scope="module")
def pair(folder) -> EditPair:
    return load_pair(folder)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# --- the text encoder -----------------------------------------------------------------------------

VISION_STAGES = ("blocks.0", "blocks.0.attn", "blocks.0.mlp", "blocks.1", "merger.ln_q")


def prompt() -> tuple[list[int], list[list[int]]]:
    """Write a beginning with two pictures, and two different ends."""
    ids = token_ids()
    start, pad, end = (ids[f"<|{name}|>"] for name in ("vision_start", "image_pad", "vision_end"))
    pictures = [[start] + [pad] * (rows * cols // 4) + [end] for rows, cols in GRIDS]
    return [5, 6, 7, *pictures[0], 9, *pictures[1]], [[10, 11, 12], [13, 14, 15, 16, 17]]


def patches() -> Tensor:
    return uniform(sum(rows * cols for rows, cols in GRIDS), 1176)


def reference_text(pair: EditPair) -> dict[str, Tensor]:
    shared, own = prompt()
    grids = torch.tensor([(1, rows, cols) for rows, cols in GRIDS])
    found = {}
    for idx, rest in enumerate(own):
        ids = torch.tensor([shared + rest])
        with torch.inference_mode():
            states = pair.text_reference(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                pixel_values=patches(),
                image_grid_thw=grids,
                mm_token_type_ids=(ids == token_ids()["<|image_pad|>"]).int(),
                output_hidden_states=True,
            ).hidden_states[-1]
        found[f"prompt {idx}"] = states[0]
    visual = pair.text_reference.model.visual
    found |= outputs(visual, VISION_STAGES, lambda: visual(patches(), grid_thw=grids).pooler_output)
    return found


def our_text(ours: TextEncoder) -> dict[str, Tensor]:
    shared, own = prompt()
    with torch.inference_mode():
        encoded = ours(shared, own, patches(), GRIDS)
    found = {f"prompt {idx}": encoded.whole(idx) for idx in range(len(own))}
    visual = ours.visual
    return found | outputs(visual, VISION_STAGES, lambda: visual(patches(), GRIDS))


def test_the_text_encoder_equals_the_reference(pair: EditPair) -> None:
    compare(our_text(pair.text), reference_text(pair))


# --- the transformer ------------------------------------------------------------------------------


def transformer_inputs(pair: EditPair) -> tuple[Tensor, Tensor, Tensor]:
    """Draw noise, pictures and a text."""
    sizes = [rows * cols for rows, cols in LATENT_GRIDS]
    return normal(sizes[0], 64), normal(sum(sizes[1:]), 64, seed=1), normal(9, 32, seed=2)


def reference_velocity(pair: EditPair) -> dict[str, Tensor]:
    latents, pictures, text = transformer_inputs(pair)
    network = pair.transformer_reference
    found: dict[str, Tensor] = {}
    for noise in NOISE:

        def run(noise: float = noise) -> Tensor:
            return network(
                torch.cat((latents, pictures))[None],
                text[None],
                None,
                torch.tensor([noise]),
                [[(1, *grid) for grid in LATENT_GRIDS]],
            ).sample[0][: len(latents)]

        stages = outputs(network, ("txt_in", "img_in", "transformer_blocks.0.attn"), run)
        found |= {f"{noise} {name}": value for name, value in stages.items()}
    return found


def our_velocity(ours: EditTransformer, pair: EditPair) -> dict[str, Tensor]:
    latents, pictures, text = transformer_inputs(pair)
    found: dict[str, Tensor] = {}
    with torch.inference_mode():
        steps = ours.modulator(NOISE)
    for noise, step in zip(NOISE, steps, strict=True):

        def run(step: modulation.Step = step) -> Tensor:
            made = ours.prepare(latents, pictures, text, LATENT_GRIDS)
            return ours([made], step, num_latents=len(latents))[0]

        stages = outputs(ours, ("txt_in", "img_in", "transformer_blocks.0.attn"), run)
        found |= {f"{noise} {name}": value for name, value in stages.items()}
    return found


def test_the_transformer_equals_the_reference(pair: EditPair) -> None:
    compare(our_velocity(pair.transformer, pair), reference_velocity(pair))


# --- the autoencoder ------------------------------------------------------------------------------

ENCODER_STAGES = ("encoder.down_blocks.0", "encoder.down_blocks.2", "encoder.mid_block")
DECODER_STAGES = ("decoder.mid_block", "decoder.up_blocks.0", "decoder.up_blocks.3")


def reference_pictures(pair: EditPair) -> dict[str, Tensor]:
    network = pair.vae_reference
    mean, std = (
        torch.tensor(values).view(1, -1, 1, 1, 1)
        for values in (network.config.latents_mean, network.config.latents_std)
    )

    def encode() -> Tensor:
        return (network.encode(uniform(1, 3, 1, 40, 56)).latent_dist.mode() - mean) / std

    def decode() -> Tensor:
        return network.decode(normal(1, 16, 1, 5, 7) * std + mean).sample

    encoded = outputs(network, ENCODER_STAGES, encode)
    decoded = outputs(network, DECODER_STAGES, decode)
    return {f"encode {n}": v for n, v in encoded.items()} | {
        f"decode {n}": v for n, v in decoded.items()
    }


def our_pictures(ours: Vae) -> dict[str, Tensor]:
    encoded = outputs(ours, ENCODER_STAGES, lambda: ours.encode(uniform(1, 3, 40, 56)))
    decoded = outputs(ours, DECODER_STAGES, lambda: ours.decode(normal(1, 16, 5, 7)))
    return {f"encode {n}": v for n, v in encoded.items()} | {
        f"decode {n}": v for n, v in decoded.items()
    }


def test_the_autoencoder_equals_the_reference_both_ways(pair: EditPair) -> None:
    compare(our_pictures(pair.vae), reference_pictures(pair))


# --- mutants --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ours:
    """Hold freshly loaded networks, to be spoilt."""

    text: TextEncoder
    transformer: EditTransformer
    vae: Vae


def grow_eps(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, RmsNorm):
            module.eps *= 100


def swap(owner: nn.Module, left: str, right: str) -> None:
    first, second = getattr(owner, left), getattr(owner, right)
    setattr(owner, left, second)
    setattr(owner, right, first)


def text_eps(ours: Ours, monkeypatch) -> None:
    grow_eps(ours.text)


def text_theta(ours: Ours, monkeypatch) -> None:
    config = ours.text.config
    rope = RopeConfig(theta=config.decoder.rope.theta / 2)
    ours.text.rope_table = SectionedRopeTable(
        rope, config.decoder.head_width, section=config.section
    )


def text_sections_interleaved(ours: Ours, monkeypatch) -> None:
    ours.text.rope_table.axes = torch.tensor([0, 1, 2, 0, 1, 2, 1, 2])


def text_flat_positions(ours: Ours, monkeypatch) -> None:
    monkeypatch.setattr(
        text_encoder, "positions", lambda ids, *_: torch.arange(len(ids)).expand(3, -1)
    )


def text_norms_swapped(ours: Ours, monkeypatch) -> None:
    swap(ours.text.layers[1], "input_layernorm", "post_attention_layernorm")


def text_bias_dropped(ours: Ours, monkeypatch) -> None:
    ours.text.layers[1].self_attn.qkv_proj.bias.data[-8:] = 0


def text_prefix_forgotten(ours: Ours, monkeypatch) -> None:
    monkeypatch.setattr(text_encoder.copy, "copy", lambda cache: text_encoder.DenseCache())


def vision_windows_off(ours: Ours, monkeypatch) -> None:
    visual = ours.text.visual
    visual.config = replace(visual.config, full_layers=frozenset(range(3)))


def vision_windows_smaller(ours: Ours, monkeypatch) -> None:
    visual = ours.text.visual
    visual.config = replace(visual.config, window_tokens=3)


def vision_columns_first(ours: Ours, monkeypatch) -> None:
    visual = ours.text.visual
    exact = visual._rope
    monkeypatch.setattr(visual, "_rope", lambda places: exact(places.flip(1)))


def vision_order_kept(ours: Ours, monkeypatch) -> None:
    exact = vision_encoder.window_order

    def kept(grids, config):
        order, lengths = exact(grids, config)
        return torch.arange(len(order)), lengths

    monkeypatch.setattr(vision_encoder, "window_order", kept)


def vision_gelu_bent(ours: Ours, monkeypatch) -> None:
    ours.text.visual.merger.mlp[1].approximate = "tanh"


def vision_bias_dropped(ours: Ours, monkeypatch) -> None:
    ours.text.visual.blocks[1].mlp.gate_up_proj.bias.data[-8:] = 0


def text_halves_turned(ours: Ours, monkeypatch) -> None:
    """Turn neighbours in place of halves."""
    exact = ours.text.rope_table.at

    class Neighbours(Rope):
        def rotate(self, x: Tensor) -> Tensor:
            halves = x.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)
            return super().rotate(halves).unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)

    def at(places: Tensor, dtype: torch.dtype) -> Rope:
        found = exact(places, dtype)
        return Neighbours(found.cos, found.sin)

    monkeypatch.setattr(ours.text.rope_table, "at", at)


def frequencies(ours: Ours, factor: float, axis: int) -> None:
    table = ours.transformer.rope_table
    table.frequencies = tuple(
        value * factor if idx == axis else value for idx, value in enumerate(table.frequencies)
    )


def pictures_not_numbered(ours: Ours, monkeypatch) -> None:
    frequencies(ours, 0.0, 0)


def rows_turned_more(ours: Ours, monkeypatch) -> None:
    frequencies(ours, 1.1, 1)


def rows_from_the_corner(ours: Ours, monkeypatch) -> None:
    class Corner(PictureRopeTable):
        def _places(self, frame, grid):
            places = super()._places(frame, grid)
            return places + torch.tensor([0, grid[0] - grid[0] // 2, 0])

    table = Corner(ours.transformer.config.axis_widths)
    ours.transformer.rope_table = table


def text_from_zero(ours: Ours, monkeypatch) -> None:
    table = ours.transformer.rope_table
    exact = table.text
    monkeypatch.setattr(table, "text", lambda count, grids: exact(count, [(0, 0)]))


def pairs_of_halves(ours: Ours, monkeypatch) -> None:
    def rotate(self: PairRope, x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.unflatten(-1, (2, -1)).transpose(-1, -2).contiguous())
        return torch.view_as_real(pairs * self.turns).transpose(-1, -2).flatten(-2)

    monkeypatch.setattr(PairRope, "rotate", rotate)


def streams_swapped(ours: Ours, monkeypatch) -> None:
    swap(ours.transformer.transformer_blocks[1], "img_mlp", "txt_mlp")


def head_norms_swapped(ours: Ours, monkeypatch) -> None:
    swap(ours.transformer.transformer_blocks[1].attn, "norm_q", "norm_k")


def text_norm_missing(ours: Ours, monkeypatch) -> None:
    ours.transformer.txt_norm = nn.Identity()
    ours.transformer.txt_norm.weight = torch.ones(1)


def transformer_eps(ours: Ours, monkeypatch) -> None:
    monkeypatch.setattr(modulation, "NORM_EPS", 1e-2)


def gelu_exact(ours: Ours, monkeypatch) -> None:
    exact = functional.gelu
    monkeypatch.setattr(transformer.functional, "gelu", lambda x, approximate: exact(x))


def scale_and_shift_swapped(ours: Ours, monkeypatch) -> None:
    exact = transformer.modulated
    monkeypatch.setattr(transformer, "modulated", lambda x, scale, shift: exact(x, shift, scale))


def gates_swapped(ours: Ours, monkeypatch) -> None:
    exact = modulation._shifts

    def swapped(values: Tensor):
        found = exact(values)
        return modulation.BlockShifts(
            replace(found.attention, gate=found.mlp.gate),
            replace(found.mlp, gate=found.attention.gate),
        )

    monkeypatch.setattr(modulation, "_shifts", swapped)


def sine_first(ours: Ours, monkeypatch) -> None:
    linear = ours.transformer.modulator.timestep_embedder.linear_1
    linear.weight.data = linear.weight.data.roll(128, 1)


def modulation_bias_dropped(ours: Ours, monkeypatch) -> None:
    ours.transformer.modulator.blocks[1].txt_mod.bias.data[:32] = 0


def kernel_flipped(ours: Ours, monkeypatch) -> None:
    kernel = ours.vae.decoder.conv_in.weight.data
    kernel.copy_(kernel.flip(0))


def downsampled_from_the_other_corner(ours: Ours, monkeypatch) -> None:
    ours.vae.encoder.down_blocks[2].resample[0] = nn.ZeroPad2d((1, 0, 1, 0))


def upsampled_smoothly(ours: Ours, monkeypatch) -> None:
    ours.vae.decoder.up_blocks[0].upsamplers[0].resample[0] = nn.Upsample(
        scale_factor=2.0, mode="bilinear"
    )


def vae_attention_skipped(ours: Ours, monkeypatch) -> None:
    for half in (ours.vae.encoder, ours.vae.decoder):
        half.mid_block.attentions[0] = nn.Identity()


def vae_norm_of_places(ours: Ours, monkeypatch) -> None:
    exact = functional.normalize
    monkeypatch.setattr(vae.functional, "normalize", lambda x, dim: exact(x, dim=2))


def vae_sample_for_mean(ours: Ours, monkeypatch) -> None:
    quant = ours.vae.quant_conv
    quant.weight.data, quant.bias.data = quant.weight.data.roll(1, 0), quant.bias.data.roll(1, 0)


def latents_not_normalised(ours: Ours, monkeypatch) -> None:
    ours.vae.std = torch.ones_like(ours.vae.std)


TEXT_MUTANTS = (
    text_eps,
    text_theta,
    text_sections_interleaved,
    text_flat_positions,
    text_norms_swapped,
    text_bias_dropped,
    text_prefix_forgotten,
    text_halves_turned,
    vision_windows_off,
    vision_windows_smaller,
    vision_columns_first,
    vision_order_kept,
    vision_gelu_bent,
    vision_bias_dropped,
)
TRANSFORMER_MUTANTS = (
    pictures_not_numbered,
    rows_turned_more,
    rows_from_the_corner,
    text_from_zero,
    pairs_of_halves,
    streams_swapped,
    head_norms_swapped,
    text_norm_missing,
    transformer_eps,
    gelu_exact,
    scale_and_shift_swapped,
    gates_swapped,
    sine_first,
    modulation_bias_dropped,
)
VAE_MUTANTS = (
    kernel_flipped,
    downsampled_from_the_other_corner,
    upsampled_smoothly,
    vae_attention_skipped,
    vae_norm_of_places,
    vae_sample_for_mean,
    latents_not_normalised,
)
Mutant = Callable[[Ours, pytest.MonkeyPatch], None]


@pytest.fixture(scope="module")
def expected(pair: EditPair) -> dict[str, dict[str, Tensor]]:
    return {
        "text": reference_text(pair),
        "transformer": reference_velocity(pair),
        "vae": reference_pictures(pair),
    }


def check_mutant(mutant: Mutant, part: str, pair: EditPair, expected, monkeypatch) -> None:
    ours = Ours(*load_ours(pair.folder))
    mutant(ours, monkeypatch)
    runs = {
        "text": lambda: our_text(ours.text),
        "transformer": lambda: our_velocity(ours.transformer, pair),
        "vae": lambda: our_pictures(ours.vae),
    }
    with pytest.raises(AssertionError, match="parity fails"):
        compare(runs[part](), expected[part])


@pytest.mark.parametrize("mutant", TEXT_MUTANTS, ids=lambda mutant: mutant.__name__)
def test_every_mutant_of_the_text_encoder_fails(mutant, pair, expected, monkeypatch) -> None:
    check_mutant(mutant, "text", pair, expected, monkeypatch)


@pytest.mark.parametrize("mutant", TRANSFORMER_MUTANTS, ids=lambda mutant: mutant.__name__)
def test_every_mutant_of_the_transformer_fails(mutant, pair, expected, monkeypatch) -> None:
    check_mutant(mutant, "transformer", pair, expected, monkeypatch)


@pytest.mark.parametrize("mutant", VAE_MUTANTS, ids=lambda mutant: mutant.__name__)
def test_every_mutant_of_the_autoencoder_fails(mutant, pair, expected, monkeypatch) -> None:
    check_mutant(mutant, "vae", pair, expected, monkeypatch)
