"""Configuration of what speaks: talker, code predictor and code2wav.

Source: transformers 5.23 `Qwen3OmniMoeTalkerConfig`, `Qwen3OmniMoeTalkerCodePredictorConfig`,
`Qwen3OmniMoeCode2WavConfig`.
Differs: values for which those classes' defaults are not the released ones are required.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from myna.layers.rope import RopeConfig
from myna.models.config import MAX_LAYERS, MAX_WIDTH, TextConfig, check_full_attention, read_hf
from myna.models.fields import Fields
from myna.models.qwen3_omni.decoder_config import DecoderConfig, check_theta
from myna.models.rope_fields import MAX_CONTEXT, rope_from_hf

MAX_CODEBOOKS = 64
MAX_RATE = 64


@dataclass(frozen=True, kw_only=True)
class CodecIds:
    """Number the talker's codes that are no sound."""

    pad: int
    bos: int
    eos: int
    nothink: int
    think_bos: int
    think_eos: int


@dataclass(frozen=True, kw_only=True)
class RoleIds:
    """Number the text tokens by which the talker reads a conversation."""

    im_start: int
    im_end: int
    system: int
    user: int
    assistant: int
    tts_pad: int
    tts_bos: int
    tts_eos: int


@dataclass(frozen=True, kw_only=True)
class CodePredictorConfig(TextConfig):
    """Describe the small decoder that fills in a frame's codes after the first.

    Attributes:
        num_codebooks: Q, the first included.
        attention_bias: whether q, k, v and o have biases, all four together.
    """

    num_codebooks: int
    attention_bias: bool = False

    @classmethod
    def read(cls, fields: Fields) -> CodePredictorConfig:
        """Read a `code_predictor_config` section."""
        check_theta(fields)
        common = read_hf(fields, max_position_embeddings=None)
        check_full_attention(fields, num_layers=common["num_layers"])
        return cls(
            **common,
            num_codebooks=fields.integer("num_code_groups", low=2, high=MAX_CODEBOOKS),
            attention_bias=fields.boolean("attention_bias", default=False),
        )


@dataclass(frozen=True, kw_only=True)
class TalkerConfig:
    """Describe the talker.

    Attributes:
        text: its decoder; `text.hidden_width` is that of the two projections.
        code_predictor: its small companion.
        thinker_width: D of the thinker, whose states it reads.
        hidden_layer: thinker layers that have run when its hidden states are taken.
        codec: codes that are no sound.
        speakers: code of each voice, by lower-case name.
    """

    text: DecoderConfig
    code_predictor: CodePredictorConfig
    thinker_width: int
    hidden_layer: int
    codec: CodecIds
    speakers: Mapping[str, int]

    @classmethod
    def read(cls, fields: Fields, text: Fields, predictor: Fields) -> TalkerConfig:
        """Read a `talker_config` section and the two within."""
        decoder = DecoderConfig.read(text, has_shared_expert=True)
        code_predictor = CodePredictorConfig.read(predictor)
        if fields.integer("num_code_groups") != code_predictor.num_codebooks:
            raise fields.refuse(
                "num_code_groups", f"the predictor's number, {code_predictor.num_codebooks},"
            )
        if code_predictor.width != decoder.width:
            raise predictor.refuse("hidden_size", f"the talker's width, {decoder.width},")
        last = decoder.vocab_size - 1

        def code(key: str) -> int:
            return fields.integer(key, low=0, high=last)

        return cls(
            text=decoder,
            code_predictor=code_predictor,
            thinker_width=fields.integer("thinker_hidden_size", high=MAX_WIDTH),
            hidden_layer=fields.integer("accept_hidden_layer", high=MAX_LAYERS),
            codec=CodecIds(
                pad=code("codec_pad_id"),
                bos=code("codec_bos_id"),
                eos=code("codec_eos_token_id"),
                nothink=code("codec_nothink_id"),
                think_bos=code("codec_think_bos_id"),
                think_eos=code("codec_think_eos_id"),
            ),
            speakers=_speakers(fields, last),
        )


def _speakers(fields: Fields, last: int) -> Mapping[str, int]:
    section = fields.section("speaker_id")
    if section is None:
        raise fields.refuse("speaker_id", "an object that names at least one voice")
    return {str(name).lower(): section.integer(name, low=0, high=last) for name in section.values}


@dataclass(frozen=True, kw_only=True)
class Code2WavConfig:
    """Describe the network that turns codes into samples.

    Attributes:
        codebook_size: codes of each codebook.
        num_codebooks: Q.
        window: positions that a position attends to, itself included.
        upsample_ratios: factors of the first stages, which keep the width.
        upsample_rates: factors of the later stages, which halve it.
        decoder_width: channels before the first halving.
    """

    codebook_size: int
    num_codebooks: int
    width: int
    hidden_width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_width: int
    attention_bias: bool
    window: int
    norm_eps: float
    rope: RopeConfig
    upsample_ratios: tuple[int, ...]
    upsample_rates: tuple[int, ...]
    decoder_width: int

    @classmethod
    def read(cls, fields: Fields) -> Code2WavConfig:
        """Read a `code2wav_config` section."""
        fields.choice("hidden_act", ("silu",), default="silu")
        check_theta(fields)
        width = fields.integer("hidden_size", high=MAX_WIDTH)
        num_heads = fields.integer("num_attention_heads", high=width)
        if width % (2 * num_heads):
            raise fields.refuse("num_attention_heads", f"a divisor of half of {width}")
        num_kv_heads = fields.integer("num_key_value_heads", high=num_heads, default=num_heads)
        if num_heads % num_kv_heads:
            raise fields.refuse("num_key_value_heads", f"a divisor of {num_heads} heads")
        context = fields.integer("max_position_embeddings", high=MAX_CONTEXT)
        rates = _rates(fields, "upsample_rates")
        decoder_width = fields.integer("decoder_dim", high=MAX_WIDTH)
        if decoder_width % 2 ** len(rates):
            raise fields.refuse("decoder_dim", f"a number that can be halved {len(rates)} times")
        return cls(
            codebook_size=fields.integer("codebook_size", high=MAX_WIDTH),
            num_codebooks=fields.integer("num_quantizers", high=MAX_CODEBOOKS),
            width=width,
            hidden_width=fields.integer("intermediate_size", high=MAX_WIDTH),
            num_layers=fields.integer("num_hidden_layers", high=MAX_LAYERS),
            num_heads=num_heads,
            num_kv_heads=num_kv_heads,
            head_width=width // num_heads,
            attention_bias=fields.boolean("attention_bias", default=False),
            window=fields.integer("sliding_window", high=context),
            norm_eps=fields.number("rms_norm_eps", low=0, high=1),
            rope=rope_from_hf(fields, context),
            upsample_ratios=_rates(fields, "upsampling_ratios"),
            upsample_rates=rates,
            decoder_width=decoder_width,
        )

    @property
    def frame_samples(self) -> int:
        """Count the samples that a frame of codes becomes."""
        return math.prod(self.upsample_ratios) * math.prod(self.upsample_rates)


def _rates(fields: Fields, key: str) -> tuple[int, ...]:
    rates = fields.integers(key, low=1, high=MAX_RATE)
    if not 1 <= len(rates) <= 8:
        raise fields.refuse(key, "a list of one to eight integers")
    return rates


@dataclass(frozen=True, kw_only=True)
class SpeechConfig:
    """Describe all that speaking takes beside the thinker.

    Attributes:
        roles: text tokens by which the talker reads the conversation.
    """

    talker: TalkerConfig
    code2wav: Code2WavConfig
    roles: RoleIds
