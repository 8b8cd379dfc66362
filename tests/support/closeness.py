"""What parity tests share: keeping what stages put out, and the bar that ours must stay under."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

RELATIVE_BAR = 1e-4  # of max(1, RMS), in float32
RMS_RANGE = (0.05, 50.0)


@contextmanager
def watch(
    network: nn.Module, names: Iterable[str], *, first: str | None = None
) -> Iterator[dict[str, Tensor]]:
    """Keep what the named modules put out while a network runs, and what goes into the `first`."""
    kept: dict[str, Tensor] = {}
    hooks = []
    for name in names:

        def keep(_module: nn.Module, _inputs: object, out: object, name: str = name) -> None:
            tensor = out[0] if isinstance(out, tuple) else out
            assert isinstance(tensor, Tensor), name
            kept[name] = tensor

        hooks.append(network.get_submodule(name).register_forward_hook(keep))
    if first is not None:
        hooks.append(
            network.get_submodule(first).register_forward_pre_hook(
                lambda _module, inputs: kept.__setitem__("embedded", inputs[0])
            )
        )
    with torch.inference_mode():
        yield kept
    for hook in hooks:
        hook.remove()


def compare(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Fail where the two are further apart than the bar, or where the reference is silent."""
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        rms = float(wanted.pow(2).mean().sqrt())
        assert RMS_RANGE[0] < rms < RMS_RANGE[1], f"the reference's {name} has RMS {rms}"
        assert found[name].numel() == wanted.numel(), f"parity fails at {name}: another shape"
        error = float((found[name].reshape(wanted.shape) - wanted).abs().max())
        bar = RELATIVE_BAR * max(1.0, rms)
        assert error <= bar, f"parity fails at {name}: error {error:.2e}, bar {bar:.2e}"
