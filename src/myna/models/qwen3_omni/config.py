"""Configuration of a whole Qwen3-Omni model, and of the thinker within.

Not here: what decoders, encoders and speech have of their own (decoder_config, encoder_config,
speech_config).
Source: transformers 5.23 `Qwen3OmniMoeConfig`, `Qwen3OmniMoeThinkerConfig`.
Differs: values for which those classes' defaults are not the released ones are required.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from myna.core.errors import Unsupported
from myna.models.fields import Fields
from myna.models.qwen3_omni.decoder_config import DecoderConfig
from myna.models.qwen3_omni.encoder_config import AudioConfig, VisionConfig
from myna.models.qwen3_omni.speech_config import (
    Code2WavConfig,
    RoleIds,
    SpeechConfig,
    TalkerConfig,
)


@dataclass(frozen=True, kw_only=True)
class MediaIds:
    """Number the tokens that stand for media in a prompt, and those that enclose them."""

    audio: int
    audio_start: int
    audio_end: int
    image: int
    video: int
    vision_start: int
    vision_end: int


@dataclass(frozen=True, kw_only=True)
class ThinkerConfig:
    """Describe what reads, hears and sees.

    Attributes:
        positions_per_s: positions that a second of sound or video takes.
    """

    text: DecoderConfig
    audio: AudioConfig
    vision: VisionConfig
    media: MediaIds
    positions_per_s: int


@dataclass(frozen=True, kw_only=True)
class Config:
    """Describe one Qwen3-Omni model.

    Attributes:
        speech: what speaks, or None for a model that only writes.
        dtype: what the released weights are stored in, if the file says so.
        ignored: keys of the file that have no meaning here, each behind its sections' names.
    """

    thinker: ThinkerConfig
    speech: SpeechConfig | None = None
    dtype: str | None = None
    ignored: tuple[str, ...] = ()

    @classmethod
    def from_hf(cls, values: Mapping[str, object]) -> Config:
        """Read a config.json."""
        root = Fields(values, source="config.json")
        if root.section("quantization_config"):
            raise Unsupported(
                f"{root.source} says that the weights are quantized, which cannot be read; load "
                "the original."
            )
        for key in ("model_type", "architectures", "torch_dtype"):
            root.get(key)
        sections = _Sections(root)
        thinker = _thinker(sections)
        return cls(
            thinker=thinker,
            speech=_speech(sections, thinker),
            dtype=_dtype(root),
            ignored=sections.unread(),
        )


class _Sections:
    """Open nested sections by path, and remember them, so that what nobody read can be listed."""

    def __init__(self, root: Fields) -> None:
        self.opened = {"": root}

    def __getitem__(self, path: str) -> Fields:
        if path not in self.opened:
            parent, _, key = path.rpartition(".")
            section = self[parent].section(key)
            if section is None:
                raise self[parent].refuse(key, "an object")
            self.opened[path] = section
        return self.opened[path]

    def unread(self) -> tuple[str, ...]:
        return tuple(
            f"{path}.{key}".lstrip(".")
            for path, fields in self.opened.items()
            for key in fields.unread()
        )


def _dtype(root: Fields) -> str | None:
    key = "dtype" if root.get("dtype") is not None else "torch_dtype"  # renamed by transformers 5
    if root.get(key) is None:
        return None
    return root.choice(key, ("float32", "bfloat16", "float16"), default="")


def _thinker(sections: _Sections) -> ThinkerConfig:
    fields = sections["thinker_config"]
    audio_fields = sections["thinker_config.audio_config"]
    vision_fields = sections["thinker_config.vision_config"]
    text = DecoderConfig.read(sections["thinker_config.text_config"], has_shared_expert=False)
    audio, vision = AudioConfig.read(audio_fields), VisionConfig.read(vision_fields)
    if audio.out_width != text.width:
        raise audio_fields.refuse("output_dim", f"the text model's width, {text.width},")
    if vision.out_width != text.width:
        raise vision_fields.refuse("out_hidden_size", f"the text model's width, {text.width},")
    if len(vision.deepstack_layers) > text.num_layers:
        raise vision_fields.refuse(
            "deepstack_visual_indexes", f"at most one block for each of {text.num_layers} layers"
        )

    def token(key: str) -> int:
        return fields.integer(key, low=0, high=text.vocab_size - 1)

    media = MediaIds(
        audio=token("audio_token_id"),
        audio_start=token("audio_start_token_id"),
        audio_end=token("audio_end_token_id"),
        image=token("image_token_id"),
        video=token("video_token_id"),
        vision_start=token("vision_start_token_id"),
        vision_end=token("vision_end_token_id"),
    )
    positions_per_s = fields.integer("position_id_per_seconds", high=100_000)
    return ThinkerConfig(
        text=text, audio=audio, vision=vision, media=media, positions_per_s=positions_per_s
    )


def _speech(sections: _Sections, thinker: ThinkerConfig) -> SpeechConfig | None:
    root = sections[""]
    has_talker = root.section("talker_config") is not None
    if not root.boolean("enable_audio_output", default=has_talker):
        return None
    fields = sections["talker_config"]
    talker = TalkerConfig.read(
        fields,
        sections["talker_config.text_config"],
        sections["talker_config.code_predictor_config"],
    )
    _check_talker(fields, talker, thinker)
    code2wav_fields = sections["code2wav_config"]
    code2wav = Code2WavConfig.read(code2wav_fields)
    predictor = talker.code_predictor
    if code2wav.num_codebooks != predictor.num_codebooks:
        raise code2wav_fields.refuse(
            "num_quantizers", f"the predictor's number, {predictor.num_codebooks},"
        )
    if code2wav.codebook_size != predictor.vocab_size:
        raise code2wav_fields.refuse(
            "codebook_size", f"the predictor's vocabulary, {predictor.vocab_size},"
        )

    def token(name: str) -> int:
        return root.integer(f"{name}_token_id", low=0, high=thinker.text.vocab_size - 1)

    roles = RoleIds(
        im_start=token("im_start"),
        im_end=token("im_end"),
        system=token("system"),
        user=token("user"),
        assistant=token("assistant"),
        tts_pad=token("tts_pad"),
        tts_bos=token("tts_bos"),
        tts_eos=token("tts_eos"),
    )
    return SpeechConfig(talker=talker, code2wav=code2wav, roles=roles)


def _check_talker(fields: Fields, talker: TalkerConfig, thinker: ThinkerConfig) -> None:
    """Refuse a talker that was made for another thinker; what it repeats must be the same."""
    if talker.thinker_width != thinker.text.width:
        raise fields.refuse("thinker_hidden_size", f"the thinker's width, {thinker.text.width},")
    fields.integer("accept_hidden_layer", high=thinker.text.num_layers)
    repeated = {
        "audio_token_id": thinker.media.audio,
        "audio_start_token_id": thinker.media.audio_start,
        "audio_end_token_id": thinker.media.audio_end,
        "image_token_id": thinker.media.image,
        "video_token_id": thinker.media.video,
        "vision_start_token_id": thinker.media.vision_start,
        "vision_end_token_id": thinker.media.vision_end,
        "position_id_per_seconds": thinker.positions_per_s,
        "spatial_merge_size": thinker.vision.merge,
    }
    for key, value in repeated.items():
        if fields.integer(key, low=0, default=value) != value:
            raise fields.refuse(key, f"the thinker's, {value},")
