"""What speaking asks of the networks that it is handed, and of those who listen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from myna.core.errors import MynaError
from myna.layers.cache import LayerCache, PackedBatch


class CodeDecoder(Protocol):
    """Choose the first code of each frame; what it reads comes as replaced rows."""

    @property
    def num_layers(self) -> int:
        """Count the layers, and so the caches `forward` wants."""
        ...

    @property
    def num_kv_heads(self) -> int:
        """Count the key/value heads of each layer."""
        ...

    @property
    def head_width(self) -> int:
        """Give the width K of a head."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Give the dtype of activations, keys and values."""
        ...

    @property
    def device(self) -> torch.device:
        """Tell where the weights are; batches and caches are brought there."""
        ...

    def forward(self, batch: PackedBatch, caches: Sequence[LayerCache]) -> Tensor:
        """Run the layers; returns (N, D), after the final norm."""
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """Score the first codes: (B, D) -> (B, V) float32."""
        ...


class Talker(Protocol):
    """Turn text and past frames into the next frame.

    Token ids, codes and points come and go on the processor, vectors stay on the decoder's device.
    """

    @property
    def decoder(self) -> CodeDecoder:
        """Give what chooses the first codes."""
        ...

    def read(self, token_ids: Tensor) -> Tensor:
        """Make vectors of text: (n,) int64 -> (n, D)."""
        ...

    def complete(
        self, hidden: Tensor, first: Tensor, points: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Choose the other codes of frames.

        Args:
            hidden: (B, D), the decoder's states that chose the first codes.
            first: (B,) int64, those codes.
            points: (B, Q-1) from [0, 1), one for each draw; None takes the likeliest codes.

        Returns:
            (B, Q) int64, whole frames, and (B, D), what the decoder reads of them.
        """
        ...


class Vocoder(Protocol):
    """Turn frames into samples, piece by piece; what it keeps between them is its own affair."""

    def fresh(self) -> object:
        """Make the state of one stream that has not begun."""
        ...

    def decode(self, codes: Tensor, states: Sequence[object]) -> tuple[Tensor, list[object]]:
        """Decode the next piece of B streams, all of which have begun, or none.

        Args:
            codes: (B, Q, T) int64.
            states: where the streams stand; they stay as they are.

        Returns:
            (B, W) samples, on the processor, and where the streams then stand.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Hold the numbers that a family's speech goes by.

    Attributes:
        num_codebooks: Q, codes of a frame.
        end_code: a first code that ends the speech and is no sound.
        suppressed: first codes that must never be chosen.
        end_token: the text token that says that no text follows.
        pad_token: the text token that is read from then on.
        frame_s: seconds a frame lasts.
        max_positions: the most that the decoder can tell apart.
    """

    num_codebooks: int
    end_code: int
    suppressed: tuple[int, ...]
    end_token: int
    pad_token: int
    frame_s: float
    max_positions: int


class Beginning(Protocol):
    """Make what the decoder reads before its first frame: a prompt, then the answer's first token.

    Axis letters: U vectors of the prompt, N of all.
    """

    @property
    def positions(self) -> Tensor:
        """Give the place of each vector, (N,) or (3, N)."""
        ...

    @property
    def advance(self) -> float:
        """Tell how far later positions are ahead of counting."""
        ...

    @property
    def num_prompt(self) -> int:
        """Count the prompt's vectors, U."""
        ...

    def num_known(self, num_read: int) -> int:
        """Count the first of them that can be made once who writes has read so many tokens."""
        ...

    def prompt(self, rows: slice) -> Tensor:
        """Make some of the prompt's vectors, which are known: (n, D)."""
        ...

    def answer(self, first_id: int) -> Tensor:
        """Make the vectors after the prompt, of the answer's first token: (N-U, D)."""
        ...


class Listener(Protocol):
    """Receive one voice's sound, on the thread that speaks."""

    def on_sound(self, samples: Tensor, realtime_factor: float | None) -> None:
        """Take the next samples, (W,) float32, and how long a second of them takes, lately."""
        ...

    def on_end(self, num_frames: int) -> None:
        """Learn that all is said, in so many frames."""
        ...

    def on_error(self, error: MynaError) -> None:
        """Learn that the voice has failed; nothing follows."""
        ...
