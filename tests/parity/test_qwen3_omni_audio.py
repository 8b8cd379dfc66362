"""The audio encoder of Qwen3-Omni equals the reference's at every stage; every mutant fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.qwen3_omni_moe import modeling_qwen3_omni_moe as reference_code
from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import (
    Qwen3OmniMoeAudioEncoderConfig,
)

from closeness import RELATIVE_BAR, compare, watch
from myna.models.fields import Fields
from myna.models.qwen3_omni import audio_encoder
from myna.models.qwen3_omni.audio_encoder import AudioEncoder
from myna.models.qwen3_omni.encoder_config import AudioConfig

TINY = {
    "d_model": 32,
    "encoder_layers": 2,
    "num_hidden_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "downsample_hidden_size": 6,
    "output_dim": 40,
    "n_window": 50,
    "n_window_infer": 200,
}
TRUE_WIDTHS = {
    "encoder_layers": 1,
    "num_hidden_layers": 1,
    "output_dim": 2048,
    "n_window": 50,
    "n_window_infer": 800,
}
STAGES = ("layers.0", "layers.0.self_attn", "ln_post", "proj1", "proj2")
CLIPS = (250, 100, 707, 8, 199, 1601)  # mel frames
LONE_CLIPS = (1, 7, 9, 37, 99, 100, 101, 800, 801)


def redraw(network: nn.Module, seed: int) -> None:
    """Draw all weights anew: matrices keep their input's size, norms and biases are felt."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_(0, 0.3, generator=generator)
        elif parameter.ndim == 1:
            parameter.data.uniform_(0.5, 1.5, generator=generator)
        else:
            parameter.data.normal_(0, parameter[0].numel() ** -0.5, generator=generator)


def pair(values: dict[str, int]) -> tuple[nn.Module, AudioEncoder]:
    """Make the reference, and ours with its weights: the names are the same."""
    config = Qwen3OmniMoeAudioEncoderConfig(**values)
    reference = reference_code.Qwen3OmniMoeAudioEncoder(config).eval()
    redraw(reference, 0)
    ours = AudioEncoder(AudioConfig.read(Fields(config.to_dict(), source="config.json")))
    ours.load_state_dict(reference.state_dict())
    return reference, ours.eval()


def mels(lengths: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    """Draw clips whose values range as log-mel frames do."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(128, length, generator=generator) * 2.5 - 1 for length in lengths]


def stages(network: nn.Module, run: Callable[[], Tensor]) -> dict[str, Tensor]:
    """Run a network and keep what every stage puts out, and the end."""
    with watch(network, STAGES, first="layers.0") as kept:
        kept["out"] = run()
    return kept


def reference_stages(reference: nn.Module, clips: list[Tensor]) -> dict[str, Tensor]:
    lengths = torch.tensor([clip.shape[1] for clip in clips])
    return stages(
        reference, lambda: reference(torch.cat(clips, 1), feature_lens=lengths).last_hidden_state
    )


@pytest.fixture(scope="module")
def tiny() -> tuple[nn.Module, AudioEncoder]:
    return pair(TINY)


def test_every_stage_equals_the_reference(tiny) -> None:
    reference, ours = tiny
    clips = mels(CLIPS)
    compare(
        stages(ours, lambda: ours(clips, pad_together=True)),
        reference_stages(reference, clips),
    )


def test_true_widths_equal_the_reference() -> None:
    reference, ours = pair(TRUE_WIDTHS)
    clips = mels((301, 850))
    compare(stages(ours, lambda: ours(clips)), reference_stages(reference, clips))


@pytest.mark.parametrize("num_frames", LONE_CLIPS)
def test_a_lone_clip_equals_the_reference(tiny, num_frames: int) -> None:
    reference, ours = tiny
    clips = mels((num_frames,))
    expected = reference_stages(reference, clips)
    compare(stages(ours, lambda: ours(clips)), expected)
    assert len(expected["out"]) == ours.config.num_tokens(num_frames)


def test_a_clip_is_encoded_as_if_it_were_alone(tiny) -> None:
    _, ours = tiny
    clips = mels(CLIPS)
    with torch.inference_mode():
        together, alone = ours(clips), torch.cat([ours([clip]) for clip in clips])
    assert float((together - alone).abs().max()) < RELATIVE_BAR


def drop_query_bias(ours: AudioEncoder, monkeypatch) -> None:
    ours.layers[0].self_attn.q_proj.bias.data.zero_()


def drop_value_bias(ours: AudioEncoder, monkeypatch) -> None:
    ours.layers[1].self_attn.v_proj.bias.data.zero_()


def drop_convolution_bias(ours: AudioEncoder, monkeypatch) -> None:
    ours.conv2d2.bias.data.zero_()


def swap_norms(ours: AudioEncoder, monkeypatch) -> None:
    layer = ours.layers[0]
    layer.self_attn_layer_norm, layer.final_layer_norm = (
        layer.final_layer_norm,
        layer.self_attn_layer_norm,
    )


def grow_eps(ours: AudioEncoder, monkeypatch) -> None:
    for module in ours.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps *= 100


def bend_gelu(ours: AudioEncoder, monkeypatch) -> None:
    exact = functional.gelu
    monkeypatch.setattr(audio_encoder.functional, "gelu", lambda x: exact(x, approximate="tanh"))


def shift_positions(ours: AudioEncoder, monkeypatch) -> None:
    exact = audio_encoder.sinusoids
    monkeypatch.setattr(
        audio_encoder, "sinusoids", lambda length, width: exact(length + 1, width)[1:]
    )


def halve_timescale(ours: AudioEncoder, monkeypatch) -> None:
    monkeypatch.setattr(audio_encoder, "MAX_TIMESCALE", audio_encoder.MAX_TIMESCALE / 2)


def widen_windows(ours: AudioEncoder, monkeypatch) -> None:
    ours.config = replace(ours.config, window_chunks=ours.config.window_chunks + 1)


def narrow_windows(ours: AudioEncoder, monkeypatch) -> None:
    ours.config = replace(ours.config, window_chunks=ours.config.window_chunks - 1)


def scale_by_width(ours: AudioEncoder, monkeypatch) -> None:
    ours.layers[0].self_attn.q_proj.weight.data *= 0.5
    ours.layers[0].self_attn.q_proj.bias.data *= 0.5


def flatten_frequencies_first(ours: AudioEncoder, monkeypatch) -> None:
    channels = ours.config.conv_channels
    weight = ours.conv_out.weight
    weight.data = weight.data.unflatten(1, (channels, -1)).transpose(1, 2).flatten(1)


MUTANTS = (
    drop_query_bias,
    drop_value_bias,
    drop_convolution_bias,
    swap_norms,
    grow_eps,
    bend_gelu,
    shift_positions,
    halve_timescale,
    widen_windows,
    narrow_windows,
    scale_by_width,
    flatten_frequencies_first,
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_every_mutant_fails(mutant, monkeypatch) -> None:
    reference, ours = pair(TINY)
    clips = mels((250, 707))
    expected = reference_stages(reference, clips)
    compare(stages(ours, lambda: ours(clips)), expected)
    mutant(ours, monkeypatch)
    with pytest.raises(AssertionError, match="parity fails"):
        compare(stages(ours, lambda: ours(clips)), expected)


def test_padding_a_short_clip_is_felt(tiny) -> None:
    reference, ours = tiny
    clips = mels((37, 250))
    expected = reference_stages(reference, clips)
    with pytest.raises(AssertionError, match="parity fails"):
        compare(stages(ours, lambda: ours(clips)), expected)
