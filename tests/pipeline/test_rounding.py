"""What rounding does to a model, on tiny ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from myna.core.errors import InvalidRequest
from myna.kernels.native import native
from myna.kernels.packed import PackedWeight
from myna.models.tiny import write_tiny_checkpoint
from myna.pipeline import rounding
from myna.pipeline.load import LoadOptions, load_model
from myna.pipeline.rounding import damage, measure_columns
from myna.weights.checkpoint import TensorInfo
from myna.weights.quantize.folder import quantize_folder
from myna.weights.quantize.scheme import choose

TEXT = "The quick brown fox jumps over the lazy dog, and then it rests a little while. " * 3


def silent(*_: object) -> None:
    """Show nothing."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "model", "qwen3_moe")


def test_a_model_is_not_harmed_by_itself(tiny: Path) -> None:
    found = damage(tiny, tiny, TEXT)
    assert found.divergence == pytest.approx(0, abs=1e-6)
    assert found.perplexity_before == found.perplexity_after
    assert found.num_tokens > 16


def test_four_bits_harm_more_than_eight(tiny: Path, tmp_path: Path) -> None:
    quantize_folder(tiny, tmp_path / "four", bits=4, progress=silent)
    quantize_folder(tiny, tmp_path / "eight", bits=8, progress=silent)
    four, eight = (damage(tiny, tmp_path / name, TEXT).divergence for name in ("four", "eight"))
    assert 0 < eight < four


def test_every_large_matrix_has_its_columns_measured(tiny: Path, tmp_path: Path) -> None:
    columns = measure_columns(tiny, TEXT)
    found = columns.importance
    query = "model.layers.0.self_attn.q_proj.weight"
    expert = "model.layers.0.mlp.experts.0.gate_proj.weight"
    assert {query, expert} <= found.keys()
    assert (found[query] > 0).all()
    uneven = torch.where(torch.arange(found[query].numel()) % 2 == 0, 1.0, 1e-3)
    quantize_folder(tiny, tmp_path / "plain", bits=4, progress=silent)
    weighted = tmp_path / "weighted"
    quantize_folder(tiny, weighted, bits=4, progress=silent, importance={query: uneven})
    shard = sorted(path.name for path in weighted.glob("*.safetensors"))[0]
    assert (weighted / shard).read_bytes() != (tmp_path / "plain" / shard).read_bytes()
    assert query in columns.moments
    assert expert not in columns.moments  # the tokens that reach it are its own
    means = columns.moments[query].diagonal().sqrt()
    assert torch.allclose(means, found[query], rtol=1e-5)
    eigenvalues = torch.linalg.eigvalsh(columns.moments[query].double())
    assert eigenvalues.min() > -1e-5 * eigenvalues.max()


def test_columns_that_make_up_for_one_another_harm_less(tmp_path: Path) -> None:
    exact = write_tiny_checkpoint(tmp_path / "model", "qwen2")
    columns = measure_columns(exact, TEXT)
    quantize_folder(exact, tmp_path / "plain", bits=4, progress=silent)
    quantize_folder(
        exact,
        tmp_path / "helped",
        bits=4,
        progress=silent,
        importance=columns.importance,
        moments=columns.moments,
    )
    plain, helped = (damage(exact, tmp_path / name, TEXT) for name in ("plain", "helped"))
    assert helped.divergence < 0.9 * plain.divergence


def test_wide_matrices_go_without_moments_where_there_is_no_room(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounding, "MAX_MOMENT_BYTES", 1000)
    columns = measure_columns(tiny, TEXT)
    assert not columns.moments
    assert columns.importance


def test_what_is_multiplied_as_integers_stays_packed(tiny: Path, tmp_path: Path) -> None:
    quantize_folder(tiny, tmp_path / "four", bits=4, progress=silent)
    options = LoadOptions(model_id="four", dtype="bfloat16")
    weight = load_model(tmp_path / "four", options, silent).decoder.embed_tokens.weight
    assert isinstance(weight, PackedWeight) is (native() is not None)
    plain = load_model(tiny, options, silent).decoder.embed_tokens.weight
    assert isinstance(plain, torch.Tensor)


def test_tables_take_few_bits_when_asked() -> None:
    info = TensorInfo("BF16", (64, 64), "model.safetensors")
    assert choose("model.embed_tokens.weight", info, 4, 4).kind == "Q4_F8_R16"
    assert choose("model.embed_tokens.weight", info, 4).kind == "Q8_0_R16"


def test_a_text_of_a_few_words_is_refused(tiny: Path) -> None:
    with pytest.raises(InvalidRequest, match="at least 16 are needed; take a longer one"):
        damage(tiny, tiny, "Hello.")
