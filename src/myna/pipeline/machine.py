"""What this machine has: the float type that it is fast at, the device that is asked for."""

from __future__ import annotations

from typing import Literal

import torch

from myna.core.errors import Unavailable
from myna.core.memory import available_memory_bytes

DeviceName = Literal["cpu", "cuda"]


def find_device(name: DeviceName) -> torch.device:
    """Find the device of a name.

    Raises:
        Unavailable: there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise Unavailable(
            f"the device 'cuda' was asked for, but torch {torch.__version__} sees no such GPU; "
            "install a build of torch for it and its driver, or leave `--device` out"
        )
    return torch.device(name, 0) if name == "cuda" else torch.device(name)


def free_bytes(device: torch.device) -> int:
    """Count the bytes that are free for a model on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return available_memory_bytes()


def fast_dtype() -> torch.dtype:
    """Return bfloat16 where the processor multiplies it natively, else float32."""
    is_fast = torch.cuda.is_available() or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if is_fast else torch.float32
