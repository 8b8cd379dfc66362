"""What a loaded model leaves room for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from myna.core.errors import Unavailable, Unsupported
from myna.core.progress import silent
from myna.models.tiny import write_tiny_checkpoint
from myna.pipeline import load, machine
from myna.pipeline.load import LoadOptions, load_model, packed_bytes
from myna.weights.checkpoint import MetaCheckpoint
from myna.weights.open import open_checkpoint
from myna.weights.quantize.folder import quantize_folder

LEFT_BYTES = 2**21


def test_a_mapped_file_takes_no_room_from_keys_and_values_that_it_will_need_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_tiny_checkpoint(tmp_path / "source", "qwen3", max_position_embeddings=1 << 20)
    folder = tmp_path / "small"
    quantize_folder(source, folder, bits=4, progress=silent)
    mapped_bytes = packed_bytes(open_checkpoint(folder))
    assert mapped_bytes > 0
    monkeypatch.setattr(machine, "available_memory_bytes", lambda: mapped_bytes + LEFT_BYTES)
    options = LoadOptions(model_id="small", dtype="float32", keep_packed=True)
    loaded = load_model(folder, options, silent)
    kv_bytes = 2 * 2 * 2 * 16 * 4  # keys and values, layers, heads, width, float32
    assert loaded.engine_config.num_kv_tokens == load.KV_SHARE * LEFT_BYTES / kv_bytes


@pytest.mark.parametrize(("kind", "is_told"), [("Q4_0", True), ("Q4_F8_R16", False)])
def test_weights_that_stay_in_the_order_of_their_file_for_want_of_memory_are_told(
    caplog: pytest.LogCaptureFixture, kind: str, is_told: bool
) -> None:
    checkpoint = MetaCheckpoint({"w": (kind, (64, 32))})
    assert load.has_room_for_tiles(checkpoint, 80, 100)
    assert caplog.text == ""
    assert not load.has_room_for_tiles(checkpoint, 81, 100)
    assert ("close other programs" in caplog.text) == is_told


def test_packed_weights_and_a_gpu_are_refused_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "find_device", lambda _: torch.device("cpu"))
    folder = write_tiny_checkpoint(tmp_path / "tiny", "qwen3")
    options = LoadOptions(model_id="tiny", device="cuda", keep_packed=True)
    with pytest.raises(Unsupported, match="`--keep-packed` and `--device cuda` were asked for"):
        load_model(folder, options, silent)


def test_a_gpu_that_is_not_there_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    options = LoadOptions(model_id="nothing", device="cuda")
    with pytest.raises(Unavailable, match="leave `--device` out"):
        load_model(tmp_path / "nothing", options, silent)
