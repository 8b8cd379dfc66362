"""Thinker: reads text, sound and pictures, and writes text.

Media come as embeddings from two encoders. They take the place of their placeholders' embeddings,
and what the vision encoder saw on its way is added after the decoder's first layers. A talker that
is to answer needs hidden states at the same places.

Not here: where placeholders are (inputs), sampling, caches, batching (engine).
Source: transformers 5.23 `Qwen3OmniMoeThinkerForConditionalGeneration`; arXiv:2509.17765 §2.
Differs: as decoder and the encoders.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from myna.layers.cache import PackedBatch, Rows, Tap
from myna.models.qwen3_omni.audio_encoder import AudioEncoder
from myna.models.qwen3_omni.config import ThinkerConfig
from myna.models.qwen3_omni.decoder import OmniDecoder
from myna.models.qwen3_omni.inputs import Layout
from myna.models.qwen3_omni.vision_encoder import Seen, VisionEncoder


class Thinker(nn.Module):
    """Hold what hears, sees and writes."""

    def __init__(self, config: ThinkerConfig) -> None:
        super().__init__()
        self.audio_tower = AudioEncoder(config.audio)
        self.visual = VisionEncoder(config.vision)
        self.decoder = OmniDecoder(config.text)


def media_rows(layout: Layout) -> Tensor:
    """List the tokens that embeddings replace: (R,) int64, ascending."""
    return torch.cat((layout.audio_rows, layout.visual_rows)).sort().values


def fresh_states(layout: Layout, *, width: int, dtype: torch.dtype) -> Rows:
    """Make room for hidden states at the media's places; what is not yet written is not a number.

    Args:
        layout: of the prompt.
        width: the thinker's D.
        dtype: the thinker's.
    """
    rows = media_rows(layout)
    return Rows(rows, torch.full((len(rows), width), torch.nan, dtype=dtype))


def prompt_batch(
    layout: Layout,
    *,
    heard: Tensor | None = None,
    seen: Seen | None = None,
    tap: Tap | None = None,
) -> PackedBatch:
    """Make the batch of a whole prompt; `PackedBatch.cut` makes chunks of it.

    Args:
        layout: of the prompt.
        heard: (R, D) embeddings of all its sound, in order.
        seen: embeddings of all its pictures and videos, in order.
        tap: where hidden states are wanted, if there is to be speech.
    """
    replaced: list[Rows] = []
    added: tuple[tuple[Rows, ...], ...] = ()
    if heard is not None:
        replaced.append(_rows(layout.audio_rows, heard))
    if seen is not None:
        rows = layout.visual_rows
        replaced.append(_rows(rows, seen.tokens))
        added = tuple((_rows(rows, features),) for features in seen.deepstack)
    return PackedBatch(
        token_ids=layout.token_ids,
        positions=layout.positions,
        replaced=tuple(replaced),
        added=added,
        taps=() if tap is None else (tap,),
    )


def _rows(rows: Tensor, values: Tensor) -> Rows:
    assert len(rows) == len(values), "encoders and placeholders disagree on the number of tokens"
    return Rows(rows, values)
