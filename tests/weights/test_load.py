"""Loading: every parameter filled with the right values, packed or not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from myna.core.errors import BadCheckpoint
from myna.kernels.packed import Packed, PackedRows, PackedWeight, Weight, dequantize, permute_rows
from myna.weights.checkpoint import MemoryCheckpoint, MetaCheckpoint
from myna.weights.load import check_layout, load_weights
from myna.weights.rules import Fold, Fuse, Ignore, Rename, Rule, Stack


class Takes(nn.Module):
    """Hold parameters that may stay packed."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            setattr(self, name, nn.Parameter(torch.empty(shape)))

    def set_packed(self, name: str, packed: Packed) -> None:
        delattr(self, name)
        setattr(self, name, packed)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = Takes(weight=(5, 64))
        self.attn = nn.Module()
        self.attn.qkv = Takes(weight=(8, 64), bias=(8,))
        self.experts = Takes(gate_up=(2, 6, 32))
        self.norm = nn.Linear(64, 1, bias=False)
        self.register_buffer("count", torch.empty(2, dtype=torch.int64))


RULES: tuple[Rule, ...] = (
    Rename("model.*", "*"),
    Ignore("inv_freq", "computed"),
    Fuse("attn", ("q", "k", "v"), into="qkv"),
    Stack("experts.{e}", ("gate", "up"), into="experts.gate_up"),
    Fuse("experts", ("gate", "up"), into="gate_up"),
)
ROWS = {"q": 4, "k": 2, "v": 2}


def network() -> Network:
    with torch.device("meta"):
        return Network()


def blocks(seed: int, *shape: int, kind: str = "Q4_0") -> PackedWeight:
    """Draw a packed matrix, or a stack of them."""
    generator = torch.Generator().manual_seed(seed)
    block_bytes = {"Q4_0": 18, "Q8_0": 34}[kind]
    size = (*shape[:-1], shape[-1] // 32, block_bytes)
    data = torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)
    data[..., :2] = torch.tensor([0.25], dtype=torch.float16).view(torch.uint8)
    return PackedWeight(kind, data.flatten(-2), None, shape)


def floats() -> dict[str, Tensor]:
    torch.manual_seed(0)
    tensors = {"model.embed.weight": torch.randn(5, 64), "model.norm.weight": torch.randn(1, 64)}
    tensors |= {"model.count": torch.tensor([3, 1 << 40]), "model.inv_freq": torch.ones(2)}
    for part, rows in ROWS.items():
        tensors[f"model.attn.{part}.weight"] = torch.randn(rows, 64)
        tensors[f"model.attn.{part}.bias"] = torch.randn(rows)
    for expert in range(2):
        tensors[f"model.experts.{expert}.gate.weight"] = torch.randn(4, 32)
        tensors[f"model.experts.{expert}.up.weight"] = torch.randn(2, 32)
    return tensors


def quantized() -> dict[str, Tensor | PackedWeight]:
    """Give the same tensors with matrices in blocks: v in another format, experts in stacks."""
    tensors: dict[str, Tensor | PackedWeight] = {
        name: tensor for name, tensor in floats().items() if "experts" not in name
    }
    tensors["model.embed.weight"] = blocks(1, 5, 64, kind="Q8_0")
    for part, rows in ROWS.items():
        kind = "Q8_0" if part == "v" else "Q4_0"
        tensors[f"model.attn.{part}.weight"] = blocks(rows, rows, 64, kind=kind)
    tensors["model.experts.gate"] = blocks(7, 2, 4, 32)
    tensors["model.experts.up"] = blocks(8, 2, 2, 32)
    return tensors


def expected(tensors: dict[str, Tensor | PackedWeight], dtype: torch.dtype) -> dict[str, Tensor]:
    """Put the parameters together by hand."""
    plain = {
        name: dequantize(weight, dtype) if isinstance(weight, PackedWeight) else weight
        for name, weight in tensors.items()
    }
    if "model.experts.gate" not in plain:
        for part in ("gate", "up"):
            experts = [plain[f"model.experts.{expert}.{part}.weight"] for expert in range(2)]
            plain[f"model.experts.{part}"] = torch.stack(experts)
    result = {
        "embed.weight": plain["model.embed.weight"],
        "attn.qkv.weight": torch.cat([plain[f"model.attn.{part}.weight"] for part in ROWS]),
        "attn.qkv.bias": torch.cat([plain[f"model.attn.{part}.bias"] for part in ROWS]),
        "experts.gate_up": torch.cat([plain[f"model.experts.{p}"] for p in ("gate", "up")], dim=1),
        "norm.weight": plain["model.norm.weight"],
    }
    return {name: tensor.to(dtype) for name, tensor in result.items()} | {
        "count": plain["model.count"]
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("source", [floats, quantized])
def test_every_parameter_gets_its_values_in_the_dtype_asked_for(source, dtype) -> None:
    net, tensors = network(), source()
    report = load_weights(net, MemoryCheckpoint(tensors), RULES, dtype=dtype)
    state = net.state_dict()
    assert state.keys() == expected(tensors, dtype).keys()
    for name, values in expected(tensors, dtype).items():
        assert state[name].dtype is values.dtype
        assert torch.equal(state[name], values), name
        assert state[name].is_contiguous()
    assert all(not parameter.requires_grad for parameter in net.parameters())
    assert all(isinstance(parameter, nn.Parameter) for parameter in net.parameters())
    assert report.num_tensors == len(tensors) - 1
    assert report.ignored == {"model.inv_freq": "computed"}


def test_quantized_weights_stay_packed_where_the_module_can_take_them() -> None:
    net, tensors = network(), quantized()
    load_weights(net, MemoryCheckpoint(tensors), RULES, dtype=torch.float32, keep_packed=True)
    assert isinstance(net.embed.weight, PackedWeight)
    assert isinstance(net.attn.qkv.weight, PackedRows)
    assert isinstance(net.attn.qkv.bias, nn.Parameter)
    assert isinstance(net.experts.gate_up, PackedRows)
    assert isinstance(net.norm.weight, nn.Parameter)
    whole = expected(tensors, torch.float32)
    for kept, name in (
        (net.embed.weight, "embed.weight"),
        (net.attn.qkv.weight, "attn.qkv.weight"),
        (net.experts.gate_up, "experts.gate_up"),
    ):
        assert torch.equal(dequantize(kept, torch.float32), whole[name])


def test_floats_beside_blocks_are_packed_as_they_are() -> None:
    net, tensors = network(), quantized()
    tensors["model.attn.v.weight"] = torch.randn(2, 64, dtype=torch.bfloat16)
    load_weights(net, MemoryCheckpoint(tensors), RULES, dtype=torch.float32, keep_packed=True)
    assert isinstance(net.attn.qkv.weight, PackedRows)
    found = dequantize(net.attn.qkv.weight, torch.float32)
    assert torch.equal(found, expected(tensors, torch.float32)["attn.qkv.weight"])


def test_experts_one_by_one_are_stacked_packed() -> None:
    net, tensors = network(), quantized()
    for part in ("gate", "up"):
        stack = tensors.pop(f"model.experts.{part}")
        assert isinstance(stack, PackedWeight)
        for expert in range(2):
            tensors[f"model.experts.{expert}.{part}.weight"] = stack[expert]
    load_weights(net, MemoryCheckpoint(tensors), RULES, dtype=torch.float32, keep_packed=True)
    assert isinstance(net.experts.gate_up, PackedRows)
    found = dequantize(net.experts.gate_up, torch.float32)
    assert torch.equal(found, expected(quantized(), torch.float32)["experts.gate_up"])


@pytest.mark.parametrize("keep_packed", [False, True])
@pytest.mark.parametrize("weight", [torch.ones(2, 32), blocks(3, 2, 32)])
def test_a_stack_of_one_expert_has_its_axis(weight, keep_packed: bool) -> None:
    net = nn.Module()
    net.experts = Takes(down=(1, 2, 32)).to("meta")
    checkpoint = MemoryCheckpoint({"experts.0.down": weight})
    rules = (Stack("experts.{e}", ("down",), into="experts.down"),)
    load_weights(net, checkpoint, rules, dtype=torch.float32, keep_packed=keep_packed)
    assert net.experts.down.shape == (1, 2, 32)


def test_experts_of_mixed_formats_are_written_out() -> None:
    net, tensors = network(), quantized()
    for part, rows in (("gate", 4), ("up", 2)):
        del tensors[f"model.experts.{part}"]
        for expert, kind in enumerate(("Q4_0", "Q8_0")):
            name = f"model.experts.{expert}.{part}.weight"
            tensors[name] = blocks(rows, rows, 32, kind=kind)
    load_weights(net, MemoryCheckpoint(tensors), RULES, dtype=torch.float32, keep_packed=True)
    assert isinstance(net.experts.gate_up, nn.Parameter)
    first = tensors["model.experts.1.gate.weight"]
    assert isinstance(first, PackedWeight)
    assert torch.equal(net.experts.gate_up[1, :4], dequantize(first, torch.float32))


def reverse(weight: Weight) -> Weight:
    return permute_rows(weight, torch.arange(weight.shape[0]).flip(0))


@pytest.mark.parametrize("keep_packed", [False, True])
def test_functions_are_applied_to_values_packed_or_not(keep_packed: bool) -> None:
    net, tensors = network(), quantized()
    rules = (RULES[0], Fold("attn.q.*", reverse, into="attn.q.*"), *RULES[1:])
    load_weights(
        net, MemoryCheckpoint(tensors), rules, dtype=torch.float32, keep_packed=keep_packed
    )
    weight = net.attn.qkv.weight
    found = weight if isinstance(weight, Tensor) else dequantize(weight, torch.float32)
    whole = expected(tensors, torch.float32)
    assert torch.equal(found[:4], whole["attn.qkv.weight"][:4].flip(0))
    assert torch.equal(found[4:], whole["attn.qkv.weight"][4:])
    assert torch.equal(net.attn.qkv.bias[:4], whole["attn.qkv.bias"][:4].flip(0))


@pytest.mark.parametrize("keep_packed", [False, True])
def test_a_tied_parameter_stays_one(keep_packed: bool) -> None:
    net = network()
    net.head = Takes()
    net.head.weight = net.embed.weight
    checkpoint = MemoryCheckpoint(quantized())
    report = load_weights(net, checkpoint, RULES, dtype=torch.float32, keep_packed=keep_packed)
    assert report.tied == {"head.weight": "embed.weight"}
    assert net.head.weight is net.embed.weight


def test_a_head_of_its_own_is_used_even_if_the_network_ties_it() -> None:
    net, tensors = network(), quantized()
    net.head = Takes()
    net.head.weight = net.embed.weight
    tensors["head.weight"] = torch.zeros(5, 64)
    load_weights(net, MemoryCheckpoint(tensors), RULES, dtype=torch.float32)
    assert not net.head.weight.any()
    assert net.embed.weight.any()


def test_progress_counts_bytes_up_to_the_end() -> None:
    seen: list[tuple[int, int]] = []
    report = load_weights(
        network(),
        MemoryCheckpoint(floats()),
        RULES,
        dtype=torch.float32,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert len(seen) == report.num_tensors
    assert seen == sorted(seen)
    assert seen[-1] == (report.num_bytes, report.num_bytes)


def test_a_buffer_that_no_file_can_fill_is_our_mistake() -> None:
    net = network()
    net.register_buffer("table", torch.empty(3, device="meta"), persistent=False)
    with pytest.raises(AssertionError, match="left on the meta device"):
        load_weights(net, MemoryCheckpoint(floats()), RULES, dtype=torch.float32)


def test_what_does_not_fit_is_told_before_anything_is_read() -> None:
    class Unread(MemoryCheckpoint):
        def read(self, name: str) -> Tensor:
            raise AssertionError(name)

    tensors = floats()
    del tensors["model.norm.weight"]
    with pytest.raises(BadCheckpoint, match=r"have no tensor: 'norm\.weight'"):
        load_weights(network(), Unread(tensors), RULES, dtype=torch.float32)


def test_a_layout_is_proven_without_values() -> None:
    layout = {name: ("BF16", tuple(tensor.shape)) for name, tensor in floats().items()}
    layout["model.count"] = ("I64", (2,))
    report = check_layout(network(), MetaCheckpoint(layout), RULES)
    assert report.num_tensors == len(layout) - 1
    assert report.dtypes == {"BF16": report.num_tensors - 1, "I64": 1}
    del layout["model.embed.weight"]
    with pytest.raises(BadCheckpoint, match=r"have no tensor: 'embed\.weight'"):
        check_layout(network(), MetaCheckpoint(layout), RULES)


MEASURE = """
import resource, sys
from pathlib import Path
import torch
from torch import nn
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint
with torch.device("meta"):
    net = nn.ModuleList(nn.Linear(1024, 1024, bias=False) for _ in range(32))
checkpoint = open_checkpoint(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
load_weights(net, checkpoint, (), dtype=torch.float32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_the_peak_is_the_model_and_one_tensor_more(tmp_path: Path) -> None:
    tensors = {f"{i}.weight": torch.zeros(1024, 1024, dtype=torch.bfloat16) for i in range(32)}
    save_file(tensors, tmp_path / "model.safetensors")
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    model_kib, tensor_kib, slack_kib = 32 * 4096, 2048, 6 * 1024
    assert int(done.stdout) <= model_kib + tensor_kib + slack_kib
