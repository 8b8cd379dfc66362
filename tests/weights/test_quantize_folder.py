"""Quantizing folders: what is written, what it loads as, and what is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from myna.core.errors import BadCheckpoint, InvalidRequest, MynaError, Unavailable, Unsupported
from myna.core.progress import silent
from myna.kernels.blocks import decode_rows
from myna.kernels.packed import PackedWeight, dequantize
from myna.layers.cache import PackedBatch
from myna.layers.decoder import TextDecoder
from myna.layers.dense_cache import DenseCache
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.weights import SPEECH_RULES, Speech
from myna.models.registry import blueprint_for_folder
from myna.models.tiny import TINY_CONFIGS, write_tiny_checkpoint
from myna.models.tiny_omni import write_tiny_omni
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint
from myna.weights.quantize import folder as folder_module
from myna.weights.quantize import shard as shard_module
from myna.weights.quantize.encode import encode_rows
from myna.weights.quantize.folder import quantize_folder
from myna.weights.quantize.scheme import Bits, Exempt
from myna.weights.quantize.sources import DESCRIPTION
from myna.weights.safetensors_files import SafetensorsCheckpoint

EMBEDDING = "model.embed_tokens.weight"
QUERY = "model.layers.1.self_attn.q_proj.weight"
DOWN = "model.layers.0.mlp.down_proj.weight"
NORM = "model.norm.weight"
NUM_TOKENS = 64
# Nats a token. Weights drawn at random are as sharp and as little redundant as can be, and a
# rounded router's input can pick other experts: found are 0.001 to 0.016 at 8 bits, 0.12 to 0.77 at
# 4. Two models of different seeds are further than 3 from each other.
MAX_KL: dict[Bits, float] = {8: 0.05, 4: 1.0}
MAX_ACTIVATIONS_KL = 0.1  # what rounding activations to 8 bits adds to that of packed weights


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), "qwen2", dtype="bfloat16")


def load(folder: Path, *, keep_packed: bool = False) -> TextDecoder:
    checkpoint = open_checkpoint(folder)
    config = json.loads((folder / "config.json").read_bytes())
    blueprint = blueprint_for_folder(config, checkpoint.tensors.keys())
    network = blueprint.build()
    load_weights(network, checkpoint, blueprint.rules, dtype=torch.float32, keep_packed=keep_packed)
    return network


def log_probabilities(network: TextDecoder) -> Tensor:
    """Read random text: (N, V)."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, network.vocab_size, (NUM_TOKENS,), generator=generator)
    caches = [DenseCache() for _ in range(network.num_layers)]
    batch = PackedBatch(token_ids=tokens, positions=torch.arange(NUM_TOKENS))
    with torch.inference_mode():
        return network.logits(network(batch, caches)).log_softmax(-1)


def divergence(exact: Tensor, rounded: Tensor) -> float:
    return float((exact.exp() * (exact - rounded)).sum(-1).mean())


def refused(kind: type[MynaError], message: str, source: Path, target: Path) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        quantize_folder(source, target, bits=4, progress=silent)


def test_blocks_are_read_back_to_the_bit(tiny: Path, tmp_path: Path) -> None:
    quantize_folder(tiny, tmp_path / "out", bits=4, progress=silent)
    before, after = SafetensorsCheckpoint(tiny), SafetensorsCheckpoint(tmp_path / "out")
    assert before.tensors.keys() == after.tensors.keys()
    for name, kind in ((QUERY, "Q4_F8_R16"), (DOWN, "Q4_F8_R16"), (EMBEDDING, "Q8_0_R16")):
        found = after.read(name)
        blocks = encode_rows(kind, before.read(name))
        assert isinstance(found, PackedWeight)
        assert (found.kind, found.shape) == (kind, before.tensors[name].shape)
        assert torch.equal(found.data, blocks)
        assert torch.equal(dequantize(found, torch.float32), decode_rows(kind, blocks))
        assert after.tensors[name].num_bytes == blocks.numel()
    assert torch.equal(after.read(NORM), before.read(NORM))


def test_slabs_leave_no_seam(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantize_folder(tiny, tmp_path / "whole", bits=4, progress=silent)
    monkeypatch.setattr(shard_module, "SLAB_VALUES", 100)
    quantize_folder(tiny, tmp_path / "slabs", bits=4, progress=silent)
    for path in sorted((tmp_path / "whole").glob("*.safetensors")):
        assert path.read_bytes() == (tmp_path / "slabs" / path.name).read_bytes()


def test_the_files_are_those_of_the_source(tiny: Path, tmp_path: Path) -> None:
    source = write_tiny_checkpoint(tmp_path / "source", "qwen2")
    (source / "pytorch_model.bin").write_bytes(b"weights of another kind")
    (source / ".hidden.json").write_text("{}")
    (source / "images").mkdir()
    (source / "LICENSE").write_text("free")
    report = quantize_folder(source, tmp_path / "out", bits=8, progress=silent)
    left_out = {"pytorch_model.bin", ".hidden.json", "images"}
    expected = {path.name for path in source.iterdir()} - left_out | {DESCRIPTION}
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected
    assert {path.name for path in tmp_path.iterdir()} == {"source", "out"}
    raw = load_file(sorted((tmp_path / "out").glob("*.safetensors"))[0])  # as others read it
    assert raw[EMBEDDING].dtype is torch.uint8
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_bytes())
    sizes = (info.num_bytes for info in SafetensorsCheckpoint(tmp_path / "out").tensors.values())
    assert index["metadata"]["total_size"] == report.bytes_after == sum(sizes)


def test_the_description_and_the_report_say_what_was_done(tiny: Path, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    report = quantize_folder(
        tiny, tmp_path / "out", bits=4, progress=lambda *step: steps.append(step)
    )
    assert report.num_tensors == {"Q4_F8_R16": 14, "Q8_0_R16": 2, "BF16": 11}
    assert report.bytes_after < 0.5 * report.bytes_before
    assert 0.05 < report.error["Q4_F8_R16"] < 0.1
    assert 0.003 < report.error["Q8_0_R16"] < 0.008
    assert sum(report.reasons.values()) == 27
    described = json.loads((tmp_path / "out" / DESCRIPTION).read_bytes())
    assert (described["version"], described["bits"]) == (1, 4)
    assert described["tensors"] == report.num_tensors
    assert steps[-1] == ("quantizing", report.bytes_before, report.bytes_before)


@pytest.mark.parametrize("family", TINY_CONFIGS)
def test_a_quantized_model_is_near_the_exact_one(family: str, tmp_path: Path) -> None:
    source = write_tiny_checkpoint(tmp_path / "source", family)
    exact = log_probabilities(load(source))
    found: dict[Bits, float] = {}
    for bits, bound in MAX_KL.items():
        target = tmp_path / f"bits-{bits}"
        quantize_folder(source, target, bits=bits, progress=silent)
        packed = load(target, keep_packed=True)
        assert isinstance(packed.embed_tokens.weight, PackedWeight)
        rounded = log_probabilities(load(target))
        found[bits] = divergence(exact, rounded)
        assert found[bits] < bound
        assert divergence(rounded, log_probabilities(packed)) < MAX_ACTIVATIONS_KL
    assert 0 < 10 * found[8] < found[4]


def test_the_bounds_tell_one_model_from_another(tiny: Path, tmp_path: Path) -> None:
    other = write_tiny_checkpoint(tmp_path, "qwen2", seed=1)
    assert divergence(log_probabilities(load(tiny)), log_probabilities(load(other))) > 3


@pytest.mark.parametrize("keep_packed", [False, True])
def test_what_speaks_is_loaded_too(tmp_path: Path, keep_packed: bool) -> None:
    source = write_tiny_omni(tmp_path / "source")
    quantize_folder(source, tmp_path / "out", bits=4, progress=silent)
    config = Config.from_hf(json.loads((source / "config.json").read_bytes())).speech
    assert config is not None
    with torch.device("meta"):
        speech = Speech(config)
    checkpoint = open_checkpoint(tmp_path / "out")
    report = load_weights(
        speech, checkpoint, SPEECH_RULES, dtype=torch.float32, keep_packed=keep_packed
    )
    assert report.dtypes.keys() == {"Q4_F8_R16", "Q8_0_R16", "Q4_F8", "F32"}
    head = speech.talker.decoder.lm_head
    assert head is not None
    assert isinstance(head.weight, PackedWeight) is keep_packed


def test_a_convolution_in_blocks_gets_its_axes_back(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    conv, odd = torch.randn(8, 16, 4), torch.randn(8, 3, 7)
    save_file({"conv.weight": conv, "odd.weight": odd}, source / "model.safetensors")
    rule = Exempt("*", "Q8_0", "sound", has_convolutions=True)
    quantize_folder(source, tmp_path / "out", bits=5, progress=silent, exempt=(rule,))
    module = nn.ModuleDict({"conv": nn.Conv1d(16, 8, 4, bias=False)})
    module["odd"] = nn.Conv1d(3, 8, 7, bias=False)
    for keep_packed in (False, True):
        loaded = module.to("meta")
        checkpoint = open_checkpoint(tmp_path / "out")
        assert checkpoint.tensors["conv.weight"].shape == (8, 64)
        load_weights(loaded, checkpoint, (), dtype=torch.float32, keep_packed=keep_packed)
        found = loaded.get_parameter("conv.weight")
        assert torch.equal(
            found, decode_rows("Q8_0", encode_rows("Q8_0", conv.flatten(1))).view(8, 16, 4)
        )
        assert torch.equal(loaded.get_parameter("odd.weight"), odd)


def test_one_file_needs_no_index(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    values = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    save_file({"a.weight": values, "count": torch.tensor(3)}, source / "model.safetensors")
    quantize_folder(source, tmp_path / "out", bits=8, progress=silent)
    checkpoint = SafetensorsCheckpoint(tmp_path / "out")
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [
        "model.safetensors",
        DESCRIPTION,
    ]
    assert checkpoint.tensors["a.weight"].dtype == "Q8_0"
    assert checkpoint.read("count") == 3


def test_a_model_without_matrices_is_copied(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    save_file({"norm": torch.ones(3)}, tmp_path / "source" / "model.safetensors")
    report = quantize_folder(tmp_path / "source", tmp_path / "out", bits=4, progress=silent)
    assert report.bytes_after == report.bytes_before == 12
    assert SafetensorsCheckpoint(tmp_path / "out").read("norm").tolist() == [1, 1, 1]


def test_nothing_is_overwritten(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    refused(InvalidRequest, "out is there already; delete it", tiny, tmp_path / "out")
    refused(InvalidRequest, "is there already; delete it", tiny, tiny)


def test_what_is_quantized_already_is_refused(tiny: Path, tmp_path: Path) -> None:
    quantize_folder(tiny, tmp_path / "once", bits=8, progress=silent)
    message = f"holds 16 tensors that are quantized already, such as '{EMBEDDING}'"
    refused(Unsupported, message, tmp_path / "once", tmp_path / "twice")


def test_what_is_no_folder_of_safetensors_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "m.bin"
    file.write_bytes(b"PK")
    for source in (file, tmp_path):
        refused(
            Unsupported,
            "is neither a folder of safetensors files nor a GGUF file",
            source,
            tmp_path / "out",
        )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e9])
def test_values_that_no_block_can_spell_are_refused(tmp_path: Path, value: float) -> None:
    values = torch.ones(4, 64)
    values[2, 40] = value
    (tmp_path / "source").mkdir()
    save_file({"a.weight": values}, tmp_path / "source" / "model.safetensors")
    message = "'a.weight' holds values that are no numbers, or too large for Q4_F8"
    refused(BadCheckpoint, message, tmp_path / "source", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_told_before_it_is_filled(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(folder_module.shutil, "disk_usage", lambda _: usage(1000))
    refused(Unavailable, "0.0 GB free, but 0.0 GB are to be written", tiny, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_written_is_told(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    target = tmp_path / "file" / "out"
    refused(Unavailable, f"{target} cannot be written: Not a directory", tiny, target)


MEASURE = """
import resource, sys
from pathlib import Path
from myna.weights.quantize.folder import quantize_folder
quantize_folder(Path(sys.argv[1]), Path(sys.argv[2]), bits=8, progress=lambda *_: None)  # warms up
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
quantize_folder(Path(sys.argv[3]), Path(sys.argv[4]), bits=8, progress=lambda *_: None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_the_peak_is_one_tensor_and_some_slabs(tmp_path: Path) -> None:
    for name, count in (("small", 1), ("large", 12)):
        (tmp_path / name).mkdir()
        tensors = {
            f"{i}.weight": torch.ones(1024, 1024, dtype=torch.bfloat16) for i in range(count)
        }
        save_file(tensors, tmp_path / name / "model.safetensors")
    paths = [str(tmp_path / name) for name in ("small", "small-8", "large", "large-8")]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *paths],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    tensor_kib, slack_kib = 2048, 6 * 1024
    assert int(done.stdout) <= tensor_kib + slack_kib
