"""Guidance: away from the negative prompt, by more than the prompt itself would go.

Source: arXiv:2207.12598; diffusers 0.42.1 `QwenImageEditPlusPipeline` (`true_cfg_scale`).
"""

from __future__ import annotations

import torch
from torch import Tensor


def guided(positive: Tensor, negative: Tensor, scale: float) -> Tensor:
    """Push a velocity away from another, and give it its own length back, token by token.

    Args:
        positive: (..., C) under the prompt.
        negative: (..., C) under the negative prompt.
        scale: 1 leaves the positive as it is.
    """
    combined = negative + scale * (positive - negative)
    length = torch.linalg.vector_norm(positive, dim=-1, keepdim=True)
    out: Tensor = combined * (length / torch.linalg.vector_norm(combined, dim=-1, keepdim=True))
    return out
