from __future__ import annotations

import random

import pytest
from transformers.models.qwen2_vl import image_processing_pil_qwen2_vl as reference

from myna.core.errors import InvalidRequest
from myna.media.sizes import frame_size, smart_resize

MIN_PX, MAX_PX = 3_136, 12_845_056  # the released preprocessor_config.json


@pytest.mark.parametrize(
    ("height", "width", "tokens_32", "tokens_28"),
    [
        (1080, 1920, 2040, 2691),
        (1024, 1024, 1024, 1369),
        (480, 640, 300, 391),
        (384, 384, 144, 196),
        (3000, 4000, 11750, 15301),
        (4000, 6000, 12467, 16224),
        (50, 50, 4, 4),
        (100, 60, 6, 8),
    ],
)
def test_pictures_cost_known_tokens(
    height: int, width: int, tokens_32: int, tokens_28: int
) -> None:
    for factor, tokens in ((32, tokens_32), (28, tokens_28)):
        new_height, new_width = smart_resize(
            height, width, factor=factor, min_px=MIN_PX, max_px=MAX_PX
        )
        assert new_height * new_width == tokens * factor**2


def test_sizes_equal_the_references_on_random_pictures() -> None:
    draw = random.Random(0)
    for _ in range(2_000):
        height, width = (round(10 ** draw.uniform(0.7, 4)) for _ in range(2))
        factor = draw.choice([28, 32])
        if max(height, width) > 200 * min(height, width):
            continue
        ours = smart_resize(height, width, factor=factor, min_px=MIN_PX, max_px=MAX_PX)
        assert ours == reference.smart_resize(height, width, factor, MIN_PX, MAX_PX)


def test_slivers_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="2010 x 10 is too narrow"):
        smart_resize(10, 2010, factor=32, min_px=MIN_PX, max_px=MAX_PX)


@pytest.mark.parametrize(
    ("num_frames", "size_28", "tokens_32"),
    [(20, (560, 1008), 720), (120, None, None), (600, None, 364), (768, None, 276)],
)
def test_frames_of_full_hd_take_known_sizes(
    num_frames: int, size_28: tuple[int, int] | None, tokens_32: int | None
) -> None:
    if size_28 is not None:
        assert frame_size(1080, 1920, num_frames=num_frames, factor=28) == size_28
    if tokens_32 is not None:
        height, width = frame_size(1080, 1920, num_frames=num_frames, factor=32)
        assert height * width // 32**2 == tokens_32


def slow_frame_size(height: int, width: int, num_frames: int, factor: int) -> tuple[int, int]:
    """Write the vendor's formulas a second time."""
    least = 128 * factor * factor
    total = int(128_000 * factor * factor * 0.9)
    most = max(min(768 * factor * factor, total / num_frames * 2), int(least * 1.05))
    new_height, new_width = round(height / factor) * factor, round(width / factor) * factor
    new_height, new_width = max(factor, new_height), max(factor, new_width)
    if new_height * new_width > most:
        beta = ((height * width) / most) ** 0.5
        return int(height / beta // factor) * factor, int(width / beta // factor) * factor
    if new_height * new_width < least:
        beta = (least / (height * width)) ** 0.5
        return -int(-height * beta // factor) * factor, -int(-width * beta // factor) * factor
    return new_height, new_width


def test_frame_sizes_equal_the_vendors() -> None:
    draw = random.Random(1)
    for _ in range(2_000):
        height, width = draw.randint(40, 4000), draw.randint(40, 4000)
        if max(height, width) > 20 * min(height, width):
            continue
        num_frames, factor = draw.randrange(2, 769, 2), draw.choice([28, 32])
        ours = frame_size(height, width, num_frames=num_frames, factor=factor)
        assert ours == slow_frame_size(height, width, num_frames, factor)


def test_a_wish_for_fewer_pixels_is_kept() -> None:
    height, width = frame_size(1080, 1920, num_frames=4, factor=32, max_px=50_000)
    assert height * width <= 50_000
