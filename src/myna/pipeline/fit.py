"""Will a model run here, and how fast? Answered from its shape, before a weight is read.

Speed is measured, not looked up: a network of the same widths but few layers, on random weights,
decodes in the real engine; time grows with the layers. Memory is counted.
Not here: what a shape costs (models.costs), and how the answer is shown (cli).
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn

from myna.core.memory import available_memory_bytes
from myna.core.requests import RequestId
from myna.engine.config import EngineConfig
from myna.engine.engine import Engine
from myna.engine.sequence import EngineRequest, Sampling
from myna.kernels.blocks import FORMATS
from myna.kernels.packed import PackedWeight
from myna.kernels.tiles import TILE_ROWS
from myna.layers.decoder import TextDecoder
from myna.models.family import Blueprint
from myna.pipeline.load import LoadOptions, blueprint_of, keeps_packed, weight_bytes_of
from myna.pipeline.machine import fast_dtype
from myna.weights.gguf import GgufSource
from myna.weights.load import TakesPacked
from myna.weights.open import open_checkpoint
from myna.weights.quantize.encode import round_scales, spell_scales

# Enough weights that a cache of the processor cannot hold them between two tokens.
MEASURED_BYTES = 400 * 2**20
PROMPT_TOKENS = 512
MEASURED_TOKENS = 24
NOISE_VALUES = 2**20
NOISE_SCALE = 0.02
# Of what is kept packed, what is measured instead, and the root mean square of its steps: formats
# of about as many bits take about as long.
PACKED_KINDS = (("Q4_F8_R16", 4.3), ("Q8_0_R16", 74.0))
POOL_BYTES = (1 << 24) + 1  # odd, so that what is repeated never falls on the same place of a row
POOL_STEP = 1_000_003


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Predict what running a model takes.

    Attributes:
        weight_bytes: of the weights in memory.
        kv_bytes: of keys and values for `context` tokens.
        other_bytes: the program itself, files mapped into memory, and room to compute in.
        free_bytes: what this machine has to spare now.
        tokens_per_s: of one answer, once its prompt is read; `None` if it was not measured.
    """

    weight_bytes: int
    kv_bytes: int
    other_bytes: int
    free_bytes: int
    context: int
    tokens_per_s: float | None

    @property
    def peak_bytes(self) -> int:
        """Give the most memory that is used at once."""
        return self.weight_bytes + self.kv_bytes + self.other_bytes

    @property
    def fits(self) -> bool:
        """Tell whether it can run without swapping."""
        return self.peak_bytes <= self.free_bytes


def predict(
    blueprint: Blueprint,
    *,
    dtype: torch.dtype | None = None,
    context: int,
    mapped_bytes: int = 0,
    largest_tensor_bytes: int = 0,
    packed_bytes: int | None = None,
    is_measured: bool = True,
) -> Fit:
    """Predict memory and speed of a model.

    Args:
        blueprint: the model's shape.
        dtype: of weights and activations; what is fast here if not given.
        context: tokens of prompt and answer to hold.
        mapped_bytes: of files that stay mapped into memory while they are read (GGUF).
        largest_tensor_bytes: of the tensor that is in memory twice while it is being read.
        packed_bytes: of all weights, where blocks stay packed; `None` if they are kept as floats.
        is_measured: time the network; takes seconds, and memory for a few layers.
    """
    dtype = dtype or fast_dtype()
    costs = blueprint.costs()
    program_bytes = resident_bytes()  # before the measurement takes any
    speed = None
    if is_measured:
        weight_bits = None if packed_bytes is None else 8 * packed_bytes / costs.parameters
        speed = 1 / seconds_per_token(blueprint, dtype=dtype, weight_bits=weight_bits)
    return Fit(
        weight_bytes=costs.parameters * dtype.itemsize if packed_bytes is None else packed_bytes,
        kv_bytes=int(costs.kv_bytes(dtype.itemsize)) * context,
        other_bytes=program_bytes
        + mapped_bytes
        + max(largest_tensor_bytes, workspace_bytes(blueprint, dtype=dtype, context=context)),
        free_bytes=available_memory_bytes(),
        context=context,
        tokens_per_s=speed,
    )


def predict_path(
    path: Path, *, dtype: str = "auto", context: int | None = None, is_measured: bool = True
) -> Fit:
    """Predict for a folder or a GGUF file, from its headers; no weight is read.

    Errors as `load.load_model`.
    """
    checkpoint = open_checkpoint(path)
    blueprint = blueprint_of(path, checkpoint)
    tensors = checkpoint.tensors.values()
    chosen = fast_dtype() if dtype == "auto" else getattr(torch, dtype)
    is_packed = keeps_packed(checkpoint, blueprint, LoadOptions(model_id=path.name), chosen)
    is_mapped = isinstance(checkpoint, GgufSource) and not is_packed
    return predict(
        blueprint,
        dtype=chosen,
        context=context or blueprint.config.context_length,
        mapped_bytes=sum(info.num_bytes for info in tensors) if is_mapped else 0,
        largest_tensor_bytes=max(info.num_bytes for info in tensors),
        packed_bytes=weight_bytes_of(checkpoint, blueprint, chosen, keep_packed=True)
        if is_packed
        else None,
        is_measured=is_measured,
    )


def workspace_bytes(blueprint: Blueprint, *, dtype: torch.dtype, context: int) -> int:
    """Count what one step over a prompt holds beside weights and cache, at its widest point."""
    config = blueprint.config
    num_tokens = min(context, EngineConfig(max_context=1, num_kv_tokens=16).max_step_tokens)
    feed_forward = 3 * config.hidden_width + 2 * config.width
    attention = 4 * config.num_heads * config.head_width
    return num_tokens * max(feed_forward, attention) * dtype.itemsize + 8 * config.vocab_size


def resident_bytes() -> int:
    """Return what this process holds in memory now: the program, before any model."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 400 * 2**20
    for line in status.read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 400 * 2**20


def seconds_per_token(
    blueprint: Blueprint, *, dtype: torch.dtype, weight_bits: float | None = None
) -> float:
    """Time networks of few layers and stretch the result to all of them.

    Args:
        blueprint: the model's shape.
        dtype: of activations, and of weights that are not packed.
        weight_bits: of a packed weight; `None` if none are.
    """
    config, total = blueprint.config, blueprint.config.num_layers
    one, two = (_layers(blueprint, count).costs().parameters for count in (1, 2))
    weight_bytes = dtype.itemsize if weight_bits is None else weight_bits / 8
    layer_bytes = max(two - one, 1) * weight_bytes
    many = min(total, max(2, int(-(-MEASURED_BYTES // layer_bytes))))
    seconds = _time(_layers(blueprint, many), dtype=dtype, weight_bits=weight_bits)
    if many == config.num_layers:
        return seconds
    fewer = max(1, many // 2)
    fewer_s = _time(_layers(blueprint, fewer), dtype=dtype, weight_bits=weight_bits)
    per_layer = (seconds - fewer_s) / (many - fewer)
    return seconds + (total - many) * max(per_layer, 0.0)


def _layers(blueprint: Blueprint, count: int) -> Blueprint:
    return replace(blueprint, config=replace(blueprint.config, num_layers=count))


@torch.inference_mode()
def _time(blueprint: Blueprint, *, dtype: torch.dtype, weight_bits: float | None) -> float:
    """Decode with random weights; return the median seconds of a token."""
    decoder = blueprint.build()
    if weight_bits is not None:
        _fill_with_blocks(decoder, weight_bits=weight_bits)
    _fill_with_noise(decoder, dtype=dtype)
    decoder.fuse()
    num_tokens = PROMPT_TOKENS + MEASURED_TOKENS + 1
    engine = Engine(decoder, EngineConfig(max_context=num_tokens, num_kv_tokens=4 * num_tokens))
    prompt = tuple(idx % decoder.vocab_size for idx in range(PROMPT_TOKENS))
    sampling = Sampling(temperature=0.0, max_tokens=MEASURED_TOKENS, ignore_eos=True)
    engine.add(EngineRequest(id=RequestId("fit"), token_ids=prompt, sampling=sampling))
    times = []
    while engine.has_work():
        start_s = time.perf_counter()
        engine.step()
        times.append(time.perf_counter() - start_s)
    return statistics.median(times[2:])


def _fill_with_blocks(decoder: TextDecoder, *, weight_bits: float) -> None:
    """Put random blocks in the place of every matrix that may stay packed, but for routers."""
    kind, step = PACKED_KINDS[weight_bits > 6]
    # Without zeros: four-bit steps then have no mean, which would turn all tokens the same way and
    # send them to the same experts.
    low, high = torch.randint(1, 16, (2, POOL_BYTES), dtype=torch.uint8)
    pool, start = low | (high << 4), 0
    for name, module in decoder.named_modules():
        if not isinstance(module, TakesPacked) or name.endswith(".gate"):
            continue
        assert isinstance(module, nn.Module)
        for leaf, parameter in list(module.named_parameters(recurse=False)):
            *rows, columns = parameter.shape
            is_matrix = len(rows) > 0 and rows[-1] % TILE_ROWS == 0
            if is_matrix and columns % FORMATS[kind].num_values == 0:
                blocks = _noise_blocks(kind, tuple(parameter.shape), step, pool.roll(-start))
                module.set_packed(leaf, blocks)
                start += POOL_STEP


def _noise_blocks(kind: str, shape: tuple[int, ...], step: float, pool: Tensor) -> PackedWeight:
    """Cut tiles, whose products are as large as their inputs, out of a pool of bytes."""
    block, columns = FORMATS[kind], shape[-1]
    num_scales = TILE_ROWS * columns // block.num_values
    num_bytes = prod(shape[:-1]) * block.row_bytes(columns)
    data = pool.repeat(-(-num_bytes // len(pool)))[:num_bytes]
    scales = torch.full((num_scales, 1), columns**-0.5 / step)
    spelt = spell_scales(kind, round_scales(kind, scales)).flatten()
    data.view(-1, num_scales * block.num_bytes)[:, : len(spelt)] = spelt
    return PackedWeight(kind, data.view(*shape[:-1], -1), None, shape)


def _fill_with_noise(decoder: TextDecoder, *, dtype: torch.dtype) -> None:
    """Give every parameter memory and small numbers; drawing each one would take minutes."""
    noise = (torch.randn(NOISE_VALUES) * NOISE_SCALE).to(dtype)
    for module in decoder.modules():
        for name, parameter in module.named_parameters(recurse=False):
            flat = torch.empty(parameter.numel(), dtype=dtype)
            for start in range(0, flat.numel(), NOISE_VALUES):
                part = flat[start : start + NOISE_VALUES]
                part.copy_(noise[: part.numel()])
            filled = torch.nn.Parameter(flat.view(parameter.shape), requires_grad=False)
            setattr(module, name, filled)
