"""Media files made on the spot, and what decodes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

import media_files
from myna.media.decoder import Decoder


class WriteSound(Protocol):
    def __call__(
        self, samples: np.ndarray, *, form: str, codec: str, rate_hz: int, layout: str = "mono"
    ) -> bytes: ...


class WriteVideo(Protocol):
    def __call__(
        self,
        num_frames: int,
        *,
        form: str = "mp4",
        codec: str = "libx264",
        fps: int = 30,
        size: tuple[int, int] = (64, 64),
        stamps: Sequence[int] | None = None,
        with_sound: bool = False,
    ) -> bytes: ...


class WriteImage(Protocol):
    def __call__(self, pixels: np.ndarray, *, form: str = "PNG", orientation: int = 1) -> bytes: ...


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def write_sound() -> WriteSound:
    return media_files.write_sound


@pytest.fixture(scope="session")
def write_video() -> WriteVideo:
    return media_files.write_video


@pytest.fixture(scope="session")
def write_image() -> WriteImage:
    return media_files.write_image


@pytest.fixture(scope="session")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder()
    yield decoder
    decoder.close()
