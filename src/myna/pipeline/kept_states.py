"""Hidden states of media that were read before, for the next turn of a spoken conversation.

The talker hears media as the thinker's hidden states. Keys and values of a turn before are found
again block by block; these states are what would otherwise make the thinker read it all anew.
Not here: keys and values (engine), embeddings (media_prompt).
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from myna.layers.cache import Rows
from myna.models.qwen3_omni.inputs import Layout

KEPT_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class MediaStates:
    """Hold one prompt's hidden states at the places of its media.

    Attributes:
        rows: of all media together; what has not been read is not a number.
        starts: the first token of each medium.
        stops: the token after its last.
        keys: name all that each medium's states depend on: it, and what comes before.
    """

    rows: Rows
    starts: tuple[int, ...]
    stops: tuple[int, ...]
    keys: tuple[bytes, ...]

    def of(self, idx: int) -> Tensor:
        """Give the states of one medium, (R, D), as a view."""
        return self.rows.cut(self.starts[idx], self.stops[idx]).values


def media_states(
    rows: Rows, layout: Layout, digests: Sequence[bytes], *, depth: int
) -> MediaStates:
    """Name the states of a prompt's media.

    Args:
        rows: where they are to be.
        layout: of the prompt.
        digests: of the media, in order.
        depth: layers that have run when they are taken.
    """
    hasher = hashlib.sha256(f"states after {depth} layers ".encode())
    keys = []
    row = 0
    for span, digest in zip(layout.spans, digests, strict=True):
        hasher.update(layout.token_ids[row : span.stop].numpy().tobytes())
        hasher.update(digest)
        keys.append(hasher.digest())
        row = span.stop
    return MediaStates(
        rows=rows,
        starts=tuple(span.start for span in layout.spans),
        stops=tuple(span.stop for span in layout.spans),
        keys=tuple(keys),
    )


class KeptStates:
    """Keep states by their names, the latest used ones; safe from any thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, states: MediaStates) -> int | None:
        """Write down what is known of a prompt's beginning.

        Returns:
            The first token of the first medium that has to be read; `None` if all are known.
        """
        with self._lock:
            for idx, key in enumerate(states.keys):
                if key not in self._kept:
                    return states.starts[idx]
                states.of(idx).copy_(self._kept[key])
                self._kept.move_to_end(key)
        return None

    def keep(self, states: MediaStates, *, num_read: int) -> None:
        """Keep the states of the media among the first `num_read` tokens, which have been read."""
        with self._lock:
            for idx, (key, stop) in enumerate(zip(states.keys, states.stops, strict=True)):
                if stop > num_read:
                    break
                if key not in self._kept:
                    self._kept[key] = torch.clone(states.of(idx))
                self._kept.move_to_end(key)
            while sum(kept.nbytes for kept in self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)
