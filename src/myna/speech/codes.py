"""Choose the first codes of frames, and tell when a voice goes in circles.

Source: the processors of transformers 5.23 `generation/logits_process.py`, with the values that
`Qwen3OmniMoeForConditionalGeneration.generate` hands to its talker.
Differs: draws come from numbers given, so that a voice sounds the same whoever else speaks.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

# The reference's values. Its top-p is 1.
TEMPERATURE = 0.9
TOP_K = 50
REPETITION_PENALTY = 1.05

# The longest passage that is taken for going in circles, and for how long it must do so.
MAX_PERIOD = 4
STALLED_FRAMES = 75


def draw_points(seed: int, frame: int, num_points: int) -> Tensor:
    """Give the numbers by which a frame's codes are drawn: (num_points,) float32 from [0, 1).

    They are a hash of seed and frame, not a generator's next output: a frame that is computed
    again, by whatever kernel and beside whatever voices, gets the same ones. Each is 24 bits of a
    32-bit word of SHAKE-256, little-endian, as a fraction.
    """
    digest = hashlib.shake_256(f"{seed}/{frame}".encode()).digest(4 * num_points)
    words = struct.unpack(f"<{num_points}I", digest)
    return torch.tensor([word >> 8 for word in words]) * 2.0**-24


def choose(logits: Tensor, *, seen: Tensor, suppressed: Tensor, points: Tensor | None) -> Tensor:
    """Choose a code for each voice.

    Args:
        logits: (B, V) float32.
        seen: (B, V) bool, codes that the voice has chosen before.
        suppressed: (V,) bool.
        points: (B,) from [0, 1), one for each draw; None takes the likeliest codes.

    Returns:
        (B,) int64.
    """
    penalised = torch.where(logits < 0, logits * REPETITION_PENALTY, logits / REPETITION_PENALTY)
    scores = torch.where(seen, penalised, logits).masked_fill(suppressed, -inf)
    if points is None:
        return scores.argmax(-1)
    ranked, codes = scores.topk(min(TOP_K, scores.shape[-1]), -1)  # (B, k), the likeliest first
    reached = (ranked / TEMPERATURE).softmax(-1).cumsum(-1)
    target = points.to(reached)[:, None] * reached[:, -1:]
    place = (reached <= target).sum(-1, keepdim=True).clamp(max=ranked.shape[-1] - 1)
    return codes.gather(-1, place).squeeze(-1)


def is_stalled(codes: Sequence[int]) -> bool:
    """Tell whether a voice's last first codes repeat a short passage over and over."""
    tail = list(codes[-STALLED_FRAMES:])
    if len(tail) < STALLED_FRAMES:
        return False
    return any(tail[period:] == tail[:-period] for period in range(1, MAX_PERIOD + 1))
