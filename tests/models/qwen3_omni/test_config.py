"""Qwen3-Omni's configuration: the released values, and what is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from myna.core.errors import BadCheckpoint, Unsupported
from myna.models.qwen3_omni.config import Config

LAYOUTS = Path(__file__).parents[1] / "layouts"
RELEASED = LAYOUTS / "qwen3-omni-30b-a3b-instruct.config.json"
THINKING = LAYOUTS / "qwen3-omni-30b-a3b-thinking.config.json"
MISSING = object()

TRAPS = (
    "talker_config.accept_hidden_layer",
    "talker_config.num_code_groups",
    "talker_config.code_predictor_config.num_code_groups",
    "talker_config.codec_pad_id",
    "talker_config.codec_bos_id",
    "talker_config.codec_eos_token_id",
    "talker_config.codec_nothink_id",
    "talker_config.codec_think_bos_id",
    "talker_config.codec_think_eos_id",
    "talker_config.text_config.num_experts_per_tok",
    "talker_config.text_config.norm_topk_prob",
    "talker_config.text_config.rope_theta",
    "thinker_config.position_id_per_seconds",
    "thinker_config.audio_token_id",
    "thinker_config.audio_start_token_id",
    "thinker_config.audio_config.n_window",
    "thinker_config.audio_config.n_window_infer",
    "thinker_config.audio_config.output_dim",
    "thinker_config.vision_config.out_hidden_size",
    "thinker_config.text_config.vocab_size",
)

REFUSED: tuple[tuple[str, object, str], ...] = (
    ("dtype", "float8", "`dtype` is 'float8'"),
    ("enable_audio_output", "yes", "true or false is expected"),
    ("thinker_config", MISSING, "lacks `thinker_config`"),
    ("talker_config", MISSING, "lacks `talker_config`"),
    ("talker_config", [], "but an object is expected"),
    ("code2wav_config", MISSING, "lacks `code2wav_config`"),
    ("tts_pad_token_id", MISSING, "lacks `tts_pad_token_id`"),
    ("assistant_token_id", 152064, "an integer from 0 to 152063 is expected"),
    ("thinker_config.image_token_id", 152064, "an integer from 0 to 152063 is expected"),
    ("thinker_config.text_config.norm_topk_prob", 1, "true or false is expected"),
    ("thinker_config.text_config.num_experts_per_tok", 129, "from 1 to 128 is expected"),
    ("thinker_config.text_config.rope_scaling", MISSING, "an object with `mrope_section`"),
    ("thinker_config.text_config.rope_scaling.mrope_section", [24, 20], "with the sum 64"),
    ("thinker_config.text_config.rope_scaling.mrope_section", [24, 20, 19], "with the sum 64"),
    ("thinker_config.text_config.rope_scaling.mrope_section", [20, 20, 24], "first is the largest"),
    ("thinker_config.audio_config.activation_function", "relu", "'gelu' is expected"),
    ("thinker_config.audio_config.scale_embedding", True, "but false is expected"),
    ("thinker_config.audio_config.encoder_attention_heads", 19, "a divisor of half of 1280"),
    ("thinker_config.audio_config.num_hidden_layers", 31, "the same as `encoder_layers`, 32,"),
    ("thinker_config.audio_config.n_window_infer", 99, "an integer from 100 to"),
    ("thinker_config.audio_config.max_source_positions", 12, "an integer from 13 to"),
    ("thinker_config.audio_config.output_dim", 2047, "the text model's width, 2048,"),
    ("thinker_config.vision_config.hidden_act", "gelu", "'gelu_pytorch_tanh' is expected"),
    ("thinker_config.vision_config.apply_vit_abs_pos_embed", False, "but true is expected"),
    ("thinker_config.vision_config.rope_parameters", {"rope_theta": 5}, "from 10000 to 10000"),
    ("thinker_config.vision_config.num_heads", 17, "a divisor of a quarter of 1152"),
    ("thinker_config.vision_config.num_position_embeddings", 2303, "a square number"),
    ("thinker_config.vision_config.deepstack_visual_indexes", [16, 8, 24], "an ascending list"),
    ("thinker_config.vision_config.deepstack_visual_indexes", [27], "from 0 to 26"),
    ("thinker_config.vision_config.in_chans", 1, "the same as `in_channels`, 3,"),
    ("thinker_config.vision_config.out_hidden_size", 2047, "the text model's width, 2048,"),
    ("thinker_config.text_config.num_hidden_layers", 2, "at most one block for each of 2 layers"),
    ("talker_config.num_code_groups", 32, "the predictor's number, 16,"),
    ("talker_config.code_predictor_config.hidden_size", 512, "the talker's width, 1024,"),
    ("talker_config.speaker_id", MISSING, "at least one voice"),
    ("talker_config.speaker_id.aiden", 3072, "an integer from 0 to 3071"),
    ("talker_config.thinker_hidden_size", 1024, "the thinker's width, 2048,"),
    ("talker_config.accept_hidden_layer", 49, "an integer from 1 to 48"),
    ("talker_config.audio_token_id", 151646, "the thinker's, 151675,"),
    ("talker_config.position_id_per_seconds", 25, "the thinker's, 13,"),
    ("talker_config.codec_eos_token_id", 4198, "an integer from 0 to 3071"),
    ("talker_config.text_config.shared_expert_intermediate_size", 0, "an integer from 1 to"),
    ("code2wav_config.hidden_act", "gelu", "'silu' is expected"),
    ("code2wav_config.num_attention_heads", 3, "a divisor of half of 1024"),
    ("code2wav_config.num_key_value_heads", 5, "a divisor of 16 heads"),
    ("code2wav_config.num_quantizers", 15, "the predictor's number, 16,"),
    ("code2wav_config.codebook_size", 4096, "the predictor's vocabulary, 2048,"),
    ("code2wav_config.upsample_rates", [], "a list of one to eight integers"),
    ("code2wav_config.upsample_rates", [8, 0], "from 1 to 64"),
    ("code2wav_config.decoder_dim", 1544, "a number that can be halved 4 times"),
)

UNSUPPORTED: tuple[tuple[str, object, str], ...] = (
    ("quantization_config", {"quant_method": "awq"}, "the weights are quantized"),
    ("thinker_config.text_config.mlp_only_layers", [3], "layers without experts"),
    ("talker_config.text_config.decoder_sparse_step", 2, "layers without experts"),
    ("thinker_config.text_config.rope_scaling.interleaved", False, "only interleaved axes"),
    ("talker_config.code_predictor_config.layer_types", ["sliding_attention"] * 5, "of type"),
)


def released() -> dict[str, Any]:
    return json.loads(RELEASED.read_text(encoding="utf-8"))


def changed(path: str, value: object) -> dict[str, Any]:
    """Give the released values with one changed, or left out."""
    values = released()
    *outer, key = path.split(".")
    section = values
    for name in outer:
        section = section[name]
    if value is MISSING:
        section.pop(key)
    else:
        section[key] = copy.deepcopy(value)
    return values


def test_the_released_values_are_read() -> None:
    config = Config.from_hf(released())
    thinker, speech = config.thinker, config.speech
    assert speech is not None
    assert (thinker.text.num_layers, thinker.text.moe.num_chosen) == (48, 8)
    assert thinker.text.mrope_section == (24, 20, 20)
    assert thinker.text.rope.theta == 1e6
    assert (thinker.audio.chunk_frames, thinker.audio.window_chunks) == (100, 8)
    assert (thinker.vision.table_side, thinker.vision.patch_width) == (48, 1536)
    assert thinker.vision.deepstack_layers == (8, 16, 24)
    assert thinker.positions_per_s == 13
    assert (thinker.media.audio, thinker.media.video) == (151675, 151656)
    assert (speech.talker.hidden_layer, speech.talker.text.moe.shared_width) == (24, 768)
    assert speech.talker.text.moe.num_chosen == 6
    assert (speech.talker.codec.pad, speech.talker.codec.think_eos) == (2148, 2157)
    assert speech.talker.speakers == {"aiden": 2303, "chelsie": 2301, "ethan": 2302}
    assert speech.talker.code_predictor.num_codebooks == 16
    assert (speech.code2wav.frame_samples, speech.code2wav.window) == (1920, 72)
    assert speech.roles.assistant == 77091
    assert config.dtype == "bfloat16"


def test_a_model_that_only_writes_has_no_speech() -> None:
    values = json.loads(THINKING.read_text(encoding="utf-8"))
    assert Config.from_hf(values).speech is None
    del values["enable_audio_output"]
    config = Config.from_hf(values)
    assert config.speech is None
    assert config.thinker == Config.from_hf(released()).thinker


def test_speech_can_be_switched_off() -> None:
    assert Config.from_hf(changed("enable_audio_output", value=False)).speech is None


def test_unknown_keys_are_listed_behind_their_sections() -> None:
    config = Config.from_hf(changed("thinker_config.audio_config.colour", "blue"))
    assert "thinker_config.audio_config.colour" in config.ignored
    assert "thinker_config.audio_config.d_model" not in config.ignored
    assert "new" in Config.from_hf(changed("new", 1)).ignored


def test_speakers_are_found_in_lower_case() -> None:
    values = changed("talker_config.speaker_id", {"Ethan": 2302})
    speech = Config.from_hf(values).speech
    assert speech is not None
    assert speech.talker.speakers == {"ethan": 2302}


def test_theta_may_be_in_the_newer_place() -> None:
    values = changed("code2wav_config.rope_theta", MISSING)
    values["code2wav_config"]["rope_parameters"] = {"rope_theta": 20_000, "rope_type": "default"}
    speech = Config.from_hf(values).speech
    assert speech is not None
    assert speech.code2wav.rope.theta == 20_000


@pytest.mark.parametrize("path", TRAPS)
def test_values_with_misleading_defaults_are_required(path: str) -> None:
    with pytest.raises(BadCheckpoint, match=f"lacks `{path.rpartition('.')[2]}`"):
        Config.from_hf(changed(path, MISSING))


@pytest.mark.parametrize("path", TRAPS)
@pytest.mark.parametrize("value", ["x", -1, 0.5, {}, []])
def test_wrong_types_are_refused(path: str, value: object) -> None:
    with pytest.raises(BadCheckpoint, match=f"`{path.rpartition('.')[2]}` is"):
        Config.from_hf(changed(path, value))


@pytest.mark.parametrize(("path", "value", "message"), REFUSED)
def test_what_does_not_fit_is_refused(path: str, value: object, message: str) -> None:
    with pytest.raises(BadCheckpoint, match=message):
        Config.from_hf(changed(path, value))


@pytest.mark.parametrize(("path", "value", "message"), UNSUPPORTED)
def test_what_no_released_model_has_is_unsupported(path: str, value: object, message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        Config.from_hf(changed(path, value))


@pytest.mark.parametrize(
    ("num_frames", "num_tokens"),
    [(10, 2), (50, 7), (100, 13), (101, 14), (150, 20), (320, 42), (3000, 390), (30000, 3900)],
)
def test_sound_takes_thirteen_tokens_a_second(num_frames: int, num_tokens: int) -> None:
    assert Config.from_hf(released()).thinker.audio.num_tokens(num_frames) == num_tokens


def test_a_picture_takes_a_token_for_each_square_of_patches() -> None:
    vision = Config.from_hf(released()).thinker.vision
    assert vision.num_tokens((1, 68, 120)) == 2040
    assert vision.num_tokens((3, 4, 6)) == 18
