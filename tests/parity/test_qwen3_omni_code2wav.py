"""Code2wav equals the reference's at every stage; every mutant fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import omni_pair
from closeness import compare
from myna.layers.norm import RmsNorm
from myna.layers.rope import RopeTable
from myna.models.qwen3_omni import code2wav
from myna.models.qwen3_omni.code2wav import CausalConv, Code2Wav, Snake, TransposedConv

NUM_FRAMES = 24
WINDOW = 8  # shorter than the streams
STAGES = (
    "pre_transformer.layers.0.self_attn",
    "pre_transformer.layers.0",
    "pre_transformer.norm",
    *(f"upsample.{i}.{j}" for i in range(2) for j in range(2)),
    *(f"decoder.{i}" for i in range(7)),
    *(f"decoder.1.block.{i}" for i in range(5)),
    "upsample.1.1.dwconv",
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> omni_pair.OmniPair:
    folder = tmp_path_factory.mktemp("code2wav")
    return omni_pair.make_pair(folder, code2wav_config={"sliding_window": WINDOW})


@pytest.fixture
def ours(pair) -> Code2Wav:
    """Load the network anew, for a mutant to change."""
    return omni_pair.load(pair.folder)[2].code2wav


@pytest.fixture(scope="module")
def codes(pair) -> Tensor:
    size = pair.config.speech.code2wav.codebook_size
    return torch.randint(size, (2, 4, NUM_FRAMES), generator=torch.manual_seed(0))


def stages(network: nn.Module, run: Callable[[], Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}

    def keep() -> None:
        found["wave"] = run()

    return omni_pair.outputs(network, STAGES, keep) | found


def check(network: Code2Wav, reference: nn.Module, codes: Tensor) -> None:
    expected = stages(reference, lambda: reference(codes))
    compare(stages(network, lambda: network.decode(codes)), expected)


def test_every_stage_equals_the_reference(pair, ours, codes) -> None:
    check(ours, pair.reference.code2wav, codes)


def test_one_frame_equals_the_reference(pair, ours, codes) -> None:
    check(ours, pair.reference.code2wav, codes[..., :1])


def test_true_widths_equal_the_reference() -> None:
    """Build both at the released widths, with one transformer layer."""
    config = omni_pair.released_config()["code2wav_config"] | {"num_hidden_layers": 1}
    reference, ours = omni_pair.code2wav_pair(config)
    codes = torch.randint(2048, (1, 16, 2), generator=torch.manual_seed(0))
    with torch.inference_mode():
        expected, found = reference(codes), ours.decode(codes)
    compare({"wave": found}, {"wave": expected})


def halve_theta(network: Code2Wav) -> None:
    config = network.config
    rope = replace(config.rope, theta=config.rope.theta / 2)
    network.pre_transformer.rope_table = RopeTable(rope, config.head_width)


def turn_late_positions_further(network: Code2Wav) -> None:
    table = network.pre_transformer.rope_table

    class Table:
        def at(self, positions: Tensor, dtype: torch.dtype) -> object:
            return table.at(positions + (positions > NUM_FRAMES // 2), dtype)

    network.pre_transformer.rope_table = Table()


def change_window(by: int) -> Callable[[Code2Wav], None]:
    def change(network: Code2Wav) -> None:
        network.pre_transformer.window += by
        network.config = replace(network.config, window=WINDOW + by)

    return change


def grow_rms_eps(network: Code2Wav) -> None:
    for module in network.modules():
        if isinstance(module, RmsNorm):
            module.eps *= 100


def grow_layer_norm_eps(network: Code2Wav) -> None:
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-2


def swap_norms(network: Code2Wav) -> None:
    layer = network.pre_transformer.layers[0]
    first, second = layer.input_layernorm, layer.post_attention_layernorm
    layer.input_layernorm, layer.post_attention_layernorm = second, first


def swap_scales(network: Code2Wav) -> None:
    layer = network.pre_transformer.layers[0]
    first, second = layer.self_attn_layer_scale, layer.mlp_layer_scale
    layer.self_attn_layer_scale, layer.mlp_layer_scale = second, first


def fill(path: str, value: float) -> Callable[[Code2Wav], None]:
    return lambda network: network.get_parameter(path).fill_(value)


def swap_snakes(network: Code2Wav) -> None:
    for module in network.modules():
        if isinstance(module, Snake):
            module.alpha, module.beta = module.beta, module.alpha


def change_dilation(network: Code2Wav) -> None:
    conv = network.decoder[1].block[3].conv1
    conv.dilation -= 1
    conv.num_past = 6 * conv.dilation


def look_ahead(network: Code2Wav) -> None:
    """Pad on both sides in place of the left alone."""
    conv = network.upsample[0][1].dwconv

    def forward(x: Tensor, _state: object) -> Tensor:
        return functional.conv1d(x, conv.weight, conv.bias, padding=3, groups=conv.groups)

    conv.forward = forward


def flip_transposed(network: Code2Wav) -> None:
    for module in network.modules():
        if isinstance(module, TransposedConv) and module.num_past:
            module.weight.copy_(module.weight.roll(module.stride, -1))


def drop_offsets(network: Code2Wav) -> None:
    embedding = network.code_embedding
    rows = network.config.codebook_size
    embedding.weight.copy_(embedding.weight[:rows].repeat(network.config.num_codebooks, 1))


def shift_one_conv(network: Code2Wav) -> None:
    conv = network.decoder[0]
    assert isinstance(conv, CausalConv)
    conv.weight.copy_(conv.weight.roll(1, -1))


MUTANTS = {
    "rope theta halved": halve_theta,
    "positions +1 from the middle on": turn_late_positions_further,
    "window +1": change_window(1),
    "window -1": change_window(-1),
    "eps of root mean squares x100": grow_rms_eps,
    "eps of layer norms larger": grow_layer_norm_eps,
    "norms swapped": swap_norms,
    "scales swapped": swap_scales,
    "scale dropped": fill("pre_transformer.layers.1.mlp_layer_scale.scale", 1),
    "gamma dropped": fill("upsample.0.1.gamma", 1),
    "depthwise bias dropped": fill("upsample.0.1.dwconv.bias", 0),
    "norm's bias dropped": fill("upsample.1.1.norm.bias", 0),
    "transposed bias dropped": fill("decoder.2.block.1.bias", 0),
    "unit's bias dropped": fill("decoder.4.block.4.conv2.bias", 0),
    "alpha and beta swapped": swap_snakes,
    "dilation -1": change_dilation,
    "convolution looks ahead": look_ahead,
    "halves of transposed kernels swapped": flip_transposed,
    "codebooks share embeddings": drop_offsets,
    "kernel shifted": shift_one_conv,
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_fails_parity(mutant: str, pair, ours, codes) -> None:
    with torch.no_grad():
        MUTANTS[mutant](ours)
    with pytest.raises(AssertionError, match="parity fails at"):
        check(ours, pair.reference.code2wav, codes)


def test_another_gelu_fails_parity(pair, ours, codes, monkeypatch) -> None:
    exact = functional.gelu
    monkeypatch.setattr(code2wav.functional, "gelu", lambda x: exact(x, approximate="tanh"))
    reference = pair.reference.code2wav
    for module in reference.modules():
        if isinstance(module, nn.GELU):
            monkeypatch.setattr(module, "forward", exact)
    with pytest.raises(AssertionError, match="parity fails at"):
        check(ours, reference, codes)
