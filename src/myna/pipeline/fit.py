"""Will a model run here, and how fast? Answered from its shape, before a weight is read.

Speed is measured, not looked up: a network of the same widths but few layers, on random weights,
decodes in the real engine; time grows with the layers. Memory is counted.
Not here: what a shape costs (models.costs), and how the answer is shown (cli).
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from myna.core.memory import available_memory_bytes
from myna.core.requests import RequestId
from myna.engine.config import EngineConfig
from myna.engine.engine import Engine
from myna.engine.sequence import EngineRequest, Sampling
from myna.layers.decoder import TextDecoder
from myna.models.family import Blueprint
from myna.pipeline.load import blueprint_of
from myna.pipeline.machine import fast_dtype
from myna.weights.gguf import GgufCheckpoint
from myna.weights.open import open_checkpoint

# Enough weights that a cache of the processor cannot hold them between two tokens.
MEASURED_BYTES = 400 * 2**20
PROMPT_TOKENS = 512
MEASURED_TOKENS = 24
NOISE_VALUES = 2**20
NOISE_SCALE = 0.02


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
    is_measured: bool = True,
) -> Fit:
    """Predict memory and speed of a model whose weights are kept as floats.

    Args:
        blueprint: the model's shape.
        dtype: of weights and activations; what is fast here if not given.
        context: tokens of prompt and answer to hold.
        mapped_bytes: of files that stay mapped into memory while they are read (GGUF).
        largest_tensor_bytes: of the tensor that is in memory twice while it is being read.
        is_measured: time the network; takes seconds, and memory for a few layers.
    """
    dtype = dtype or fast_dtype()
    costs = blueprint.costs()
    program_bytes = resident_bytes()  # before the measurement takes any
    speed = None
    if is_measured:
        speed = 1 / seconds_per_token(blueprint, dtype=dtype)
    return Fit(
        weight_bytes=costs.parameters * dtype.itemsize,
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
    is_mapped = isinstance(checkpoint, GgufCheckpoint)
    return predict(
        blueprint,
        dtype=fast_dtype() if dtype == "auto" else getattr(torch, dtype),
        context=context or blueprint.config.context_length,
        mapped_bytes=sum(info.num_bytes for info in tensors) if is_mapped else 0,
        largest_tensor_bytes=max(info.num_bytes for info in tensors),
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


def seconds_per_token(blueprint: Blueprint, *, dtype: torch.dtype) -> float:
    """Time networks of few layers and stretch the result to all of them."""
    config, total = blueprint.config, blueprint.config.num_layers
    one, two = (_layers(blueprint, count).costs().parameters for count in (1, 2))
    layer_bytes = max(two - one, 1) * dtype.itemsize
    many = min(total, max(2, -(-MEASURED_BYTES // layer_bytes)))
    seconds = _time(_layers(blueprint, many), dtype=dtype)
    if many == config.num_layers:
        return seconds
    fewer = max(1, many // 2)
    per_layer = (seconds - _time(_layers(blueprint, fewer), dtype=dtype)) / (many - fewer)
    return seconds + (total - many) * max(per_layer, 0.0)


def _layers(blueprint: Blueprint, count: int) -> Blueprint:
    return replace(blueprint, config=replace(blueprint.config, num_layers=count))


@torch.inference_mode()
def _time(blueprint: Blueprint, *, dtype: torch.dtype) -> float:
    """Decode with random weights; return the median seconds of a token."""
    decoder = blueprint.build()
    _fill_with_noise(decoder, dtype=dtype)
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
