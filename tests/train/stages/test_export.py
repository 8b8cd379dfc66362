"""What the stages learnt is gathered, written, rounded, compared with what it was."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import fake_voice
from myna.core.errors import InvalidRequest
from myna.models.qwen3_omni.config import Config
from myna.train import export as form
from myna.train import loop, shapes
from myna.train.batches import Reader, Rectangles, stack
from myna.train.language import mix
from myna.train.language.tokenizer import open_tokenizer, write_tokenizer
from myna.train.nano_config import nano_config
from myna.train.pictures.rule import PICTURE_RULE
from myna.train.stages import codec, export, speech_data
from myna.train.workshop import folder

PARTS = {
    "text": "norm.weight",
    "ears": "audio_tower.ln_post.weight",
    "eyes": "visual.pos_embed.weight",
    "talker": "talker.decoder.norm.weight",
    "code2wav": "code_embedding.weight",
}


@pytest.fixture
def config() -> Config:
    write_tokenizer(folder("tokenizer"))
    return nano_config()


def learn(stage: str, name: str, value: Tensor) -> None:
    """Leave a checkpoint of one weight, as a stage does."""
    save_file({f"master.{name}": value}, folder(stage) / loop.STATE)


def learn_all(config: Config) -> None:
    thinker, speech = form.build(config)
    known = {
        **{name.removeprefix("decoder."): p for name, p in thinker.named_parameters()},
        **{name.removeprefix("code2wav."): p for name, p in speech.named_parameters()},
    }
    for stage, name in PARTS.items():
        learn(stage, name, torch.full_like(known[name], 0.5))


def typed(config: Config) -> list[Rectangles]:
    reader = Reader(open_tokenizer(), config, PICTURE_RULE)
    rng = random.Random(1)
    return [stack([reader.read(mix.typed(rng)) for _ in range(4)], pad_id=0)]


def test_each_part_is_as_its_stage_left_it(config: Config) -> None:
    learn_all(config)
    lines: list[str] = []
    thinker, speech = export.gather(config, report=lines.append)
    assert lines == ["the stage 'thinker' has not run: its parts are taken as they are"]
    found = (
        thinker.get_parameter("decoder.norm.weight"),
        thinker.get_parameter("audio_tower.ln_post.weight"),
        thinker.get_parameter("visual.pos_embed.weight"),
        speech.get_parameter("talker.decoder.norm.weight"),
        speech.get_parameter("code2wav.code_embedding.weight"),
    )
    assert all((weight == 0.5).all() for weight in found)


def test_the_thinkers_own_stage_has_the_last_word(config: Config) -> None:
    learn_all(config)
    learn("thinker", "decoder.norm.weight", torch.full((shapes.THINKER_WIDTH,), 0.25))
    lines: list[str] = []
    thinker, _ = export.gather(config, report=lines.append)
    assert not lines
    assert (thinker.get_parameter("decoder.norm.weight") == 0.25).all()
    assert (thinker.get_parameter("visual.pos_embed.weight") == 0.5).all()


def test_a_stage_that_has_not_run_is_named(config: Config) -> None:
    with pytest.raises(FileNotFoundError, match="run the stage 'text' first"):
        export.gather(config, report=print)


def test_nano_fits_in_the_box_and_answers_as_before(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_voice.quickly(monkeypatch)
    speech_data.run(minutes=None, report=fake_voice.silent)
    codec.run(minutes=None, report=fake_voice.silent)
    write_tokenizer(folder("tokenizer"))
    monkeypatch.setattr(export, "gather", lambda config, report: form.build(config))
    monkeypatch.setattr(export, "questions", typed)
    lines: list[str] = []
    export.run(minutes=None, report=lines.append)
    nano = folder("export") / "nano"
    assert 14e6 < size_of(nano.iterdir()) <= export.MAX_BYTES
    shards = {path.name.rpartition("-")[2] for path in nano.glob("*.safetensors")}
    assert shards == {f"{name}.safetensors" for _, name in form.SHARDS}
    assert "MB" in lines[-3]
    assert lines[-2].startswith("thinker: 0.")
    assert "first code" in lines[-1]
    monkeypatch.setattr(export, "MAX_BYTES", 1000)
    with pytest.raises(InvalidRequest, match="but 1000 are the most that the box holds"):
        export.check_size(nano)


def size_of(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def test_equal_networks_are_no_distance_apart(config: Config) -> None:
    thinker, _ = form.build(config)
    harm = export.thinker_harm(thinker, thinker, typed(config))
    assert (harm.divergence, harm.agreement, harm.asked) == (0.0, 1.0, 4)
