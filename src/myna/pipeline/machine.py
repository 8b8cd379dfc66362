"""The float type that this machine's processor is fast at."""

from __future__ import annotations

import torch


def fast_dtype() -> torch.dtype:
    """Return bfloat16 where the processor multiplies it natively, else float32."""
    is_fast = torch.cuda.is_available() or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if is_fast else torch.float32
