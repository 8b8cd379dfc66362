"""Qwen3-Omni's files: which tensors they hold, and how these become the two networks' parameters.

The thinker, and the speech that not every checkpoint has, are loaded apart: each table ignores what
is the other's.
"""

from __future__ import annotations

from torch import nn

from myna.models.qwen3_omni import code2wav_steps
from myna.models.qwen3_omni.code2wav import Code2Wav
from myna.models.qwen3_omni.speech_config import SpeechConfig
from myna.models.qwen3_omni.talker import Talker
from myna.weights.rules import Fuse, Ignore, Rename, Rule, Stack

QKV = ("q_proj", "k_proj", "v_proj")
GATE_UP = ("gate_proj", "up_proj")


class Speech(nn.Module):
    """Hold what speaks."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.talker = Talker(config.talker)
        self.code2wav = Code2Wav(config.code2wav)

    def fuse(self) -> None:
        """Run what can be as few compiled calls from now on; the weights must stay in place."""
        self.talker.fuse()
        code2wav_steps.fuse(self.code2wav)


def _decoder(path: str) -> tuple[Rule, ...]:
    """Fuse and stack what lies in the layers of a decoder with experts."""
    mlp = f"{path}.layers.{{i}}.mlp"
    return (
        Fuse(f"{path}.layers.{{i}}.self_attn", QKV, into="qkv_proj"),
        Stack(f"{mlp}.experts.{{e}}", GATE_UP, into="experts.gate_up_proj"),
        Stack(f"{mlp}.experts.{{e}}", ("down_proj",), into="experts.down_proj"),
        Fuse(f"{mlp}.shared_expert", GATE_UP, into="gate_up_proj"),
    )


def _dense(path: str) -> tuple[Rule, ...]:
    """Fuse what lies in the layers of a decoder without experts."""
    return (
        Fuse(f"{path}.layers.{{i}}.self_attn", QKV, into="qkv_proj"),
        Fuse(f"{path}.layers.{{i}}.mlp", GATE_UP, into="gate_up_proj"),
    )


THINKER_RULES: tuple[Rule, ...] = (
    Ignore("talker.*", "loaded only for speech"),
    Ignore("code2wav.*", "loaded only for speech"),
    Rename("thinker.model.*", "decoder.*"),
    Rename("thinker.lm_head.*", "decoder.lm_head.*"),
    Rename("thinker.*", "*"),
    *_decoder("decoder"),
)

SPEECH_RULES: tuple[Rule, ...] = (
    Ignore("thinker.*", "loaded as the thinker"),
    Rename("talker.model.codec_embedding.*", "talker.decoder.embed_tokens.*"),
    Rename("talker.codec_head.*", "talker.decoder.lm_head.*"),
    Rename("talker.model.*", "talker.decoder.*"),
    *_decoder("talker.decoder"),
    Rename("talker.code_predictor.model.*", "talker.code_predictor.*"),
    *_dense("talker.code_predictor"),
    Stack("talker.code_predictor.codec_embedding.{e}", ("weight",), into="codec_embedding"),
    Stack("talker.code_predictor.lm_head.{e}", ("weight",), into="lm_head"),
    *_dense("code2wav.pre_transformer"),
    Rename("code2wav.*.conv.weight", "code2wav.*.weight"),
    Rename("code2wav.*.conv.bias", "code2wav.*.bias"),
)
