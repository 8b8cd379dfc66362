"""What is foretold of models whose blocks stay packed."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna.core.progress import silent
from myna.models.tiny import write_tiny_checkpoint
from myna.pipeline import fit, load
from myna.weights.open import open_checkpoint
from myna.weights.quantize.folder import quantize_folder


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Write a tiny mixture of experts in four bits."""
    source = write_tiny_checkpoint(tmp_path / "source", "qwen3_moe", num_hidden_layers=4)
    quantize_folder(source, tmp_path / "packed", bits=4, progress=silent)
    return tmp_path / "packed"


@pytest.fixture(autouse=True)
def _always_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "keeps_packed", lambda *_: True)


def test_the_weights_of_a_packed_model_are_counted_as_they_lie_in_its_file(packed: Path) -> None:
    found = fit.predict_path(packed, dtype="bfloat16", context=64, is_measured=False)
    file_bytes = sum(info.num_bytes for info in open_checkpoint(packed).tensors.values())
    assert load.packed_bytes(open_checkpoint(packed)) < found.weight_bytes <= file_bytes
    assert found.tokens_per_s is None


def test_a_packed_model_is_timed_in_blocks(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "MEASURED_BYTES", 2**16)
    kinds: list[str] = []
    make = fit._noise_blocks
    monkeypatch.setattr(
        fit, "_noise_blocks", lambda kind, *rest: kinds.append(kind) or make(kind, *rest)
    )
    found = fit.predict_path(packed, dtype="bfloat16", context=64)
    assert found.tokens_per_s is not None
    assert found.tokens_per_s > 0
    assert set(kinds) <= {"Q4_F8_R16", "Q8_0_R16"}
    assert kinds
