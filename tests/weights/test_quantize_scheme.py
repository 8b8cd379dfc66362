"""Which tensors are quantized, and which are treated with more care."""

from __future__ import annotations

import pytest
import torch

from myna.kernels.blocks import FORMATS
from myna.kernels.tiles import TILED_KINDS
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.tensors import tensors
from myna.models.qwen_image_edit.config import TransformerConfig
from myna.models.qwen_image_edit.weights import EditTransformer
from myna.models.tiny_image_edit import TRANSFORMER, released_tensors
from myna.models.tiny_omni import tiny_omni_config
from myna.weights.checkpoint import TensorInfo
from myna.weights.quantize.scheme import (
    EXEMPT,
    KINDS,
    Bits,
    Exempt,
    PredictorBits,
    choose,
    with_predictor,
)


def info(*shape: int, dtype: str = "BF16") -> TensorInfo:
    return TensorInfo(dtype, shape, "model.safetensors")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.layers.3.self_attn.q_proj.weight", "Q4_F8"),
        ("thinker.model.layers.3.mlp.experts.127.down_proj.weight", "Q4_F8"),
        ("talker.model.layers.3.mlp.shared_expert.up_proj.weight", "Q4_F8"),
        ("model.layers.3.mlp.gate_proj.weight", "Q4_F8"),
        ("model.layers.3.mlp.gate.weight", None),
        ("talker.model.layers.3.mlp.shared_expert_gate.weight", None),
        ("code2wav.pre_transformer.layers.0.mlp.up_proj.weight", None),
        ("thinker.visual.pos_embed.weight", None),
        ("model.embed_tokens.weight", "Q8_0"),
        ("thinker.lm_head.weight", "Q8_0"),
        ("talker.codec_head.weight", "Q8_0"),
        ("talker.model.codec_embedding.weight", "Q8_0"),
        ("talker.code_predictor.model.layers.0.mlp.up_proj.weight", "Q8_0"),
        ("visual.blocks.0.mlp.up_proj.weight", "Q8_0"),
        ("transformer_blocks.3.img_mod.1.weight", None),
        ("transformer_blocks.3.attn.to_q.weight", "Q4_F8"),
        ("time_text_embed.timestep_embedder.linear_1.weight", None),
        ("norm_out.linear.weight", None),
        ("img_in.weight", None),
        ("txt_in.weight", None),
        ("proj_out.weight", None),
        ("thinker.visual.blocks.0.mlp.linear_fc1.weight", "Q8_0"),
        ("thinker.audio_tower.layers.0.fc1.weight", "Q8_0"),
    ],
)
def test_each_matrix_gets_its_format(name: str, kind: str | None) -> None:
    choice = choose(name, info(64, 64), 4)
    assert choice.kind == (kind and TILED_KINDS[kind])
    assert choice.reason
    assert choose(name, info(64, 64), 8).kind == (kind and "Q8_0_R16")
    assert choose(name, info(40, 64), 4).kind == kind  # rows that make no whole tiles


def test_what_has_no_whole_blocks_is_kept() -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    assert choose(name, info(64, 48), 4).reason == "its rows are not made of whole blocks of 32"
    for kept in (info(64), info(4, 4, 32), info(64, 64, dtype="I64"), info(0, 64)):
        assert choose(name, kept, 4).kind is None


@pytest.mark.parametrize(("bits", "kind"), [(4, "Q4_F8"), (6, "Q6_0"), (8, "Q8_0"), (16, None)])
def test_the_predictor_has_a_precision_of_its_own(bits: PredictorBits, kind: str | None) -> None:
    exempt = with_predictor(bits)
    layers, head = "talker.code_predictor.model.layers.0", "talker.code_predictor.lm_head.3.weight"
    for name in (f"{layers}.mlp.up_proj.weight", head):
        choice = choose(name, info(64, 64), 4, exempt=exempt)
        assert choice.kind == (kind and TILED_KINDS[kind])
        assert choice.reason == f"{bits} bits were asked for, of the predictor"
    assert choose("model.embed_tokens.weight", info(64, 64), 4, exempt=exempt).kind == "Q8_0_R16"


@pytest.mark.parametrize("bits", KINDS)
def test_every_format_can_be_made_and_read(bits: Bits) -> None:
    kinds = {KINDS[bits], *(exempt.kind for exempt in EXEMPT)} - {None}
    assert kinds <= FORMATS.keys()
    assert kinds <= TILED_KINDS.keys() | {"Q5_0"}


def test_a_convolution_is_kept_unless_a_rule_is_meant_for_it() -> None:
    name, shape = "code2wav.decoder.0.conv.weight", info(64, 48, 2)
    for has_convolutions, kind in ((False, None), (True, "Q8_0")):
        rule = Exempt("code2wav.*", "Q8_0", "sound", has_convolutions)
        assert choose(name, shape, 4, exempt=(rule,)).kind == kind
    assert choose(name, info(64, 3, 7), 4, exempt=(rule,)).kind is None  # of 21 columns
    assert choose("model.layers.0.mlp.up_proj.weight", info(64, 64), 5, exempt=()).kind == "Q5_0"


def test_every_exemption_is_of_something() -> None:
    config = Config.from_hf(tiny_omni_config())
    with torch.device("meta"):
        transformer = EditTransformer(TransformerConfig.from_hf(TRANSFORMER))
    names = {*tensors(config), *released_tensors("transformer", transformer)}
    names |= {"token_embd.weight", "output.weight", "blk.0.ffn_gate_inp.weight"}  # GGUF's
    reasons = {choose(name, info(64, 64), 4).reason for name in names}
    assert {exempt.reason for exempt in EXEMPT} <= reasons
