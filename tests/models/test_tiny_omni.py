"""The tiny omni checkpoint: small, whole, seeded, and every part of it runs."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
import pytest
import torch

from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.inputs import check_tokens
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import SPEECH_RULES, THINKER_RULES, Speech
from myna.models.tiny_omni import CHAT_TEMPLATE, ROLES, draw, token_ids, write_tiny_omni
from myna.text import template_files, tokenizer_files
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint

# The released folder has no tokenizer.json.
FILES = {
    "chat_template.json",
    "config.json",
    "generation_config.json",
    "merges.txt",
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "vocab.json",
}
MAX_BYTES = 2_000_000


def config_of(folder: Path) -> Config:
    return Config.from_hf(json.loads((folder / "config.json").read_text()))


def load(folder: Path) -> tuple[Config, Thinker, Speech | None]:
    config, checkpoint = config_of(folder), open_checkpoint(folder)
    with torch.device("meta"):
        thinker = Thinker(config.thinker)
        speech = Speech(config.speech) if config.speech else None
    load_weights(thinker, checkpoint, THINKER_RULES, dtype=torch.float32)
    if speech is not None:
        load_weights(speech, checkpoint, SPEECH_RULES, dtype=torch.float32)
    return config, thinker, speech


def test_it_has_the_released_files_and_no_others(tmp_path: Path) -> None:
    folder = write_tiny_omni(tmp_path / "new" / "folder")
    names = {path.name for path in folder.iterdir()}
    shards = {name for name in names if name.endswith(".safetensors")}
    assert names - shards == FILES
    assert len(shards) > 1
    assert sum(path.stat().st_size for path in folder.iterdir()) < MAX_BYTES


def test_a_model_that_only_writes_holds_no_speech(tmp_path: Path) -> None:
    config, _, speech = load(write_tiny_omni(tmp_path, has_speech=False))
    assert config.speech is None
    assert speech is None
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert all(name.startswith("thinker.") for name in index["weight_map"])


def test_its_numbers_of_tokens_are_its_tokenizers(tmp_path: Path) -> None:
    config = config_of(write_tiny_omni(tmp_path))
    tokenizer = tokenizer_files.from_folder(tmp_path)

    def id_of(token: str) -> int | None:
        ids = tokenizer.encode(token)
        return ids[0] if len(ids) == 1 else None

    check_tokens(config, id_of)
    assert {token: id_of(token) for token in ROLES} == {role: token_ids()[role] for role in ROLES}
    assert config.speech is not None
    roles = config.speech.roles
    assert [tokenizer.token_of(i) for i in (roles.tts_pad, roles.tts_bos, roles.tts_eos)] == [
        "<tts_pad>",
        "<tts_text_bos>",
        "<tts_text_eod>",
    ]


def test_its_template_gives_media_their_places(tmp_path: Path) -> None:
    found = template_files.find_in_folder(write_tiny_omni(tmp_path))
    assert found is not None
    assert (found.source, found.origin) == (CHAT_TEMPLATE, "chat_template.json")
    parts = [{"type": kind} for kind in ("image", "audio", "video")]
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [*parts, {"type": "text", "text": "Hello"}]},
    ]
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(found.source)
    assert template.render(messages=messages, add_generation_prompt=True) == (
        "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\n"
        "<|vision_start|><|image_pad|><|vision_end|><|audio_start|><|audio_pad|><|audio_end|>"
        "<|vision_start|><|video_pad|><|vision_end|>Hello<|im_end|>\n<|im_start|>assistant\n"
    )


def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    first, again = (write_tiny_omni(tmp_path / name, seed=3) for name in "ab")
    other = write_tiny_omni(tmp_path / "c", seed=4)
    shard = next(path.name for path in first.iterdir() if path.suffix == ".safetensors")
    assert (first / shard).read_bytes() == (again / shard).read_bytes()
    assert (first / shard).read_bytes() != (other / shard).read_bytes()


def test_it_can_be_stored_in_half_the_bytes(tmp_path: Path) -> None:
    tensors = open_checkpoint(write_tiny_omni(tmp_path, dtype="bfloat16")).tensors
    assert {info.dtype for info in tensors.values()} == {"BF16"}
    assert config_of(tmp_path).dtype == "bfloat16"


def test_its_sound_is_heard_and_not_clipped(tmp_path: Path) -> None:
    _, _, speech = load(write_tiny_omni(tmp_path))
    assert speech is not None
    codes = torch.randint(64, (1, 4, 25), generator=torch.manual_seed(0))
    wave = speech.code2wav.decode(codes)
    assert wave.shape == (1, speech.code2wav.num_samples(25))
    assert 0.1 < float(wave.std()) < 0.6
    assert float((wave.abs() == 1).float().mean()) < 0.02


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("x.gamma", 0.2, 1), ("x.scale", 0.2, 1), ("x.alpha", -3, 3), ("x.norm.weight", 0.5, 1.5)],
)
def test_nothing_is_drawn_neutral(name: str, low: float, high: float) -> None:
    values = draw(name, (4096,), seed=0)
    assert low < values.min() < values.max() < high
    assert values.std() > 0.2
