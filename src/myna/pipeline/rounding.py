"""What rounding does to a model: how far its next tokens move, and which columns matter most.

Both read a text with the model as it is, so the model must fit in memory as floats.

Not here: rounding itself (weights.quantize).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from myna.core.errors import InvalidRequest, Unsupported
from myna.layers.cache import PackedBatch
from myna.layers.decoder import TextDecoder
from myna.layers.dense_cache import DenseCache
from myna.layers.linear import Linear
from myna.layers.moe import Experts
from myna.pipeline.load import LoadedModel, LoadOptions, blueprint_of, load_model
from myna.weights.open import open_checkpoint
from myna.weights.plan import make_plan

MAX_TOKENS = 1024
CALIBRATION_TOKENS = 4096
MAX_MOMENT_BYTES = 3 << 30  # of all matrices of moments
WINDOW_TOKENS = 256  # read at a time, each window by itself
MIN_TOKENS = 16


@dataclass(frozen=True)
class Damage:
    """Tell what rounding changed.

    Attributes:
        num_tokens: of the text that were predicted.
        perplexity_before: of the model as it was.
        perplexity_after: of the rounded one.
        divergence: mean Kullback-Leibler divergence of the next token, rounded from exact, in nats.
    """

    num_tokens: int
    perplexity_before: float
    perplexity_after: float
    divergence: float


def damage(exact: Path, rounded: Path, text: str) -> Damage:
    """Read a text with both models, one after the other, and compare what they expect.

    Args:
        exact: a folder or GGUF file.
        rounded: the same, in fewer bits; its blocks stay packed, as they are when it is used.
        text: long enough for a few windows; the beginning is read.

    Raises:
        InvalidRequest: the text is too short.
        Unsupported: the model writes no text.
    """
    return damages(exact, [rounded], text)[0]


def damages(exact: Path, rounded: Sequence[Path], text: str) -> list[Damage]:
    """Compare several rounded models with one exact one; arguments and errors as `damage`."""
    windows, before = _expect(exact, text, keep_packed=False)
    targets = torch.cat([window[1:] for window in windows])
    found = []
    for path in rounded:
        _, after = _expect(path, text, keep_packed=True)
        divergences = [
            (old.exp() * (old - new)).sum(-1) for old, new in zip(before, after, strict=True)
        ]
        harm = Damage(
            num_tokens=len(targets),
            perplexity_before=_perplexity(before, targets),
            perplexity_after=_perplexity(after, targets),
            divergence=float(torch.cat(divergences).mean()),
        )
        found.append(harm)
    return found


@dataclass(frozen=True)
class Columns:
    """Tell what columns multiply, by tensor; matrices that no token went through are missing.

    Attributes:
        importance: (columns,) float32, root mean squares. Squared errors weighed by these harm less
            than weighed by the squares themselves (docs/log.md).
        moments: (columns, columns) float32, mean products; of narrow matrices first, as long as
            there is room.
    """

    importance: dict[str, Tensor]
    moments: dict[str, Tensor]


def measure_columns(path: Path, text: str) -> Columns:
    """Read a text with a model, and measure what each column of each matrix multiplies.

    Args:
        path: a folder or GGUF file.
        text: typical of what the model is for.

    Raises:
        InvalidRequest: the text is too short.
        Unsupported: the model writes no text.
    """
    model = _load(path, keep_packed=False)
    checkpoint = open_checkpoint(path)
    module = model.decoder if model.omni is None else model.omni.thinker
    assert isinstance(module, nn.Module)
    with _watched(module) as (squares, moments):
        for window in _windows(model, text, CALIBRATION_TOKENS):
            _log_probabilities(model, window)
    places = make_plan(module, checkpoint, blueprint_of(path, checkpoint).rules).places
    found = {name: place.name for name, place in places.items()}
    return Columns(
        {tensor: squares[name] for tensor, name in found.items() if name in squares},
        {tensor: moments[name] for tensor, name in found.items() if name in moments},
    )


@contextmanager
def _watched(module: nn.Module) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Measure what matrices multiply, by parameter, while a text is read.

    Gives root mean squares and, of single matrices, mean products; both are filled at the end.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    squares: dict[str, Tensor] = {}
    moments: dict[str, Tensor] = {}
    linears = {f"{n}.weight": m for n, m in module.named_modules() if isinstance(m, Linear)}
    experts = {f"{n}.gate_up_proj": m for n, m in module.named_modules() if isinstance(m, Experts)}
    with_moments = _narrow({name: int(m.weight.shape[-1]) for name, m in linears.items()})

    def watch(parameter: str, owner: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def add(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            x = arguments[0].detach().float().flatten(0, -2)  # (N, D)
            found = x.t() @ x if parameter in with_moments else x.square().sum(0)
            sums[parameter] = found + sums[parameter] if parameter in sums else found
            counts[parameter] = counts.get(parameter, 0) + len(x)

        return owner.register_forward_pre_hook(add)

    owners: dict[str, nn.Module] = {**linears, **experts}
    handles = [watch(name, owner) for name, owner in owners.items()]
    try:
        yield squares, moments
    finally:
        for handle in handles:
            handle.remove()
        for name, count in counts.items():
            mean = sums.pop(name) / count
            if name in with_moments:
                moments[name] = mean
            squares[name] = (mean.diagonal() if name in with_moments else mean).sqrt()


def _narrow(widths: Mapping[str, int]) -> set[str]:
    """Choose the matrices whose moments fit together, narrow ones first."""
    found: set[str] = set()
    num_bytes = 0
    for name, width in sorted(widths.items(), key=lambda item: item[1]):
        num_bytes += 4 * width * width
        if num_bytes > MAX_MOMENT_BYTES:
            break
        found.add(name)
    return found


def _expect(path: Path, text: str, *, keep_packed: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Give the windows of a text, and for each the (T - 1, V) log probabilities of what follows."""
    model = _load(path, keep_packed=keep_packed)
    windows = _windows(model, text)
    return windows, [_log_probabilities(model, window)[:-1] for window in windows]


def _load(path: Path, *, keep_packed: bool) -> LoadedModel:
    options = LoadOptions(model_id=path.name, keep_packed=keep_packed, max_context=WINDOW_TOKENS)
    model = load_model(path, options, lambda *_: None)
    if not isinstance(model.decoder, TextDecoder):
        raise Unsupported(f"{path} writes no text that could be compared")
    return model


def _windows(model: LoadedModel, text: str, max_tokens: int = MAX_TOKENS) -> list[Tensor]:
    """Cut the text's beginning into windows of tokens."""
    ids = torch.tensor(model.tokenizer.encode(text)[:max_tokens])
    if len(ids) < MIN_TOKENS:
        raise InvalidRequest(
            f"the text has {len(ids)} tokens, but at least {MIN_TOKENS} are needed; "
            "take a longer one"
        )
    starts = range(0, len(ids) - 1, WINDOW_TOKENS)
    return [ids[start : start + WINDOW_TOKENS] for start in starts]


@torch.inference_mode()
def _log_probabilities(model: LoadedModel, window: Tensor) -> Tensor:
    """Read one window: (T, V) float32."""
    decoder = model.decoder
    caches = [DenseCache() for _ in range(decoder.num_layers)]
    hidden = decoder.forward(PackedBatch(window, torch.arange(len(window))), caches)
    return decoder.logits(hidden).log_softmax(-1)


def _perplexity(expected: list[Tensor], targets: Tensor) -> float:
    chosen = torch.cat(expected).gather(1, targets[:, None])
    return math.exp(-float(chosen.mean()))
