"""What an omni model's folder must hold, and when its talker is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from myna.core.errors import BadCheckpoint, Unavailable
from myna.core.progress import silent
from myna.models.tiny_omni import write_tiny_omni
from myna.pipeline import machine, omni
from myna.pipeline.load import LoadOptions, load_model

OPTIONS = LoadOptions(model_id="tiny", dtype="float32", max_context=256, kv_memory_bytes=2**20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_omni(tmp_path)


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_missing_or_broken_preprocessor_is_named(folder: Path) -> None:
    path = folder / "preprocessor_config.json"
    change(path, patch_size="16")
    with pytest.raises(BadCheckpoint, match=r"preprocessor_config\.json cannot be used"):
        load_model(folder, OPTIONS, silent)
    change(path, patch_size=14)
    with pytest.raises(BadCheckpoint, match=r"sizes \(14, 2, 2\), but config.json has \(16, 2, 2"):
        load_model(folder, OPTIONS, silent)
    path.unlink()
    with pytest.raises(BadCheckpoint, match=r"preprocessor_config\.json is missing"):
        load_model(folder, OPTIONS, silent)


def test_a_model_may_ask_for_small_frames(folder: Path) -> None:
    path = folder / "video_preprocessor_config.json"
    assert omni.read_frame_px(path) is None
    path.write_text('{"max_pixels": 9216}')
    loaded = load_model(folder, OPTIONS, silent)
    assert loaded.omni is not None
    assert loaded.omni.frame_px == 9216
    path.write_text('{"max_pixels": "many"}')
    with pytest.raises(BadCheckpoint, match=r"video_preprocessor_config\.json cannot be used"):
        load_model(folder, OPTIONS, silent)


def test_a_talker_that_lacks_weights_is_found_before_anything_is_read(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["talker_config"]["text_config"]["num_hidden_layers"] = 3
    change(folder / "config.json", **config)
    with pytest.raises(BadCheckpoint, match=r"talker\.decoder\.layers\.2"):
        load_model(folder, OPTIONS, silent)


def test_a_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    thinker = {**config["thinker_config"], "audio_end_token_id": 1}
    talker = {**config["talker_config"], "audio_end_token_id": 1}
    change(folder / "config.json", thinker_config=thinker, talker_config=talker)
    with pytest.raises(BadCheckpoint, match=r"gives the token '<\|audio_end\|>' the number 1"):
        load_model(folder, OPTIONS, silent)


def test_speech_that_does_not_fit_is_refused_when_it_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(folder, OPTIONS, silent)
    assert model.omni is not None
    assert model.omni.speech is not None
    monkeypatch.setattr(machine, "available_memory_bytes", lambda: 1000)
    with pytest.raises(Unavailable, match=r"speech needs 0\.0 GB"):
        model.omni.speech.get()
    monkeypatch.undo()
    assert model.omni.speech.get() is model.omni.speech.get()
