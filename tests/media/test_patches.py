from __future__ import annotations

import random

import numpy as np
import pytest
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from myna.core.errors import InvalidRequest
from myna.media.decoded import Clip, Picture
from myna.media.patches import (
    PatchRule,
    clip_of_pictures,
    count_image_tokens,
    cut_clip,
    cut_image,
    resize,
)

MIN_PX, MAX_PX = 3_136, 12_845_056
HALF = (0.5, 0.5, 0.5)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
QWEN3 = PatchRule(patch_px=16, min_px=MIN_PX, max_px=MAX_PX, mean=HALF, std=HALF)
QWEN25 = PatchRule(patch_px=14, min_px=MIN_PX, max_px=MAX_PX, mean=CLIP_MEAN, std=CLIP_STD)
ATOL = 1e-6  # rescaling and normalising in one step, or in two


def processor(rule: PatchRule) -> Qwen2VLImageProcessorPil:
    return Qwen2VLImageProcessorPil(
        patch_size=rule.patch_px,
        merge_size=rule.merge,
        temporal_patch_size=rule.num_together,
        size={"shortest_edge": rule.min_px, "longest_edge": rule.max_px},
        image_mean=list(rule.mean),
        image_std=list(rule.std),
    )


def draw_picture(seed: int) -> Picture:
    draw = random.Random(seed)
    height, width = (round(10 ** draw.uniform(0.8, 2.7)) for _ in range(2))
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Picture(pixels=pixels)


@pytest.mark.parametrize("rule", [QWEN3, QWEN25], ids=["qwen3", "qwen25"])
def test_patches_equal_the_references_on_random_pictures(rule: PatchRule) -> None:
    reference = processor(rule)
    for seed in range(100):
        picture = draw_picture(seed)
        patches = cut_image(picture, rule)
        expected = reference(
            images=picture.pixels, return_tensors="np", input_data_format="channels_last"
        )
        assert list(patches.grid) == expected["image_grid_thw"][0].tolist()
        assert patches.rows.shape[1] == rule.row_width
        assert np.abs(patches.rows - expected["pixel_values"]).max() <= ATOL
        height, width = picture.pixels.shape[:2]
        assert patches.num_tokens == count_image_tokens(height, width, rule)


def test_a_second_resize_is_made_only_on_request() -> None:
    picture = Picture(pixels=draw_picture(5).pixels[:100, :100].repeat(3, 0).repeat(3, 1))
    once, twice = cut_image(picture, QWEN3), cut_image(picture, QWEN3, compat_factor=28)
    first = resize(picture.pixels, *(round(side / 28) * 28 for side in picture.pixels.shape[:2]))
    expected = cut_image(Picture(pixels=first), QWEN3)
    assert np.array_equal(twice.rows, expected.rows)
    assert not np.array_equal(once.rows, twice.rows)


def slow_cut(frames: np.ndarray, rule: PatchRule) -> np.ndarray:
    """Cut one patch after another."""
    size, merge = rule.patch_px, rule.merge
    rows = []
    for step in range(0, len(frames), rule.num_together):
        for top in range(0, frames.shape[1], size * merge):
            for left in range(0, frames.shape[2], size * merge):
                for y in range(top, top + size * merge, size):
                    for x in range(left, left + size * merge, size):
                        patch = frames[step : step + 2, y : y + size, x : x + size]
                        scaled = (patch / 255 - np.array(rule.mean)) / np.array(rule.std)
                        rows.append(scaled.transpose(3, 0, 1, 2).ravel())
    return np.array(rows)


def test_clips_are_cut_along_time_too() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)
    patches = cut_clip(Clip(frames=frames, times_s=(0, 1, 2), sample_fps=1.0), QWEN3)
    padded = np.concatenate([frames, frames[-1:]])
    assert patches.grid == (2, 4, 6)
    assert patches.num_tokens == 12
    assert np.abs(patches.rows - slow_cut(padded, QWEN3)).max() <= ATOL


def test_clips_of_another_models_size_are_refused() -> None:
    clip = Clip(frames=np.zeros((2, 56, 56, 3), np.uint8), times_s=(0, 1), sample_fps=1.0)
    with pytest.raises(InvalidRequest, match="56 x 56 are no multiples of 32"):
        cut_clip(clip, QWEN3)


def test_pictures_make_a_clip_of_an_even_count() -> None:
    pictures = [draw_picture(seed) for seed in (1, 2, 3)]
    clip = clip_of_pictures(pictures, factor=32)
    assert len(clip.frames) == 4
    assert np.array_equal(clip.frames[2], clip.frames[3])
    assert clip.times_s == (0.0, 0.5, 1.0, 1.5)
    assert cut_clip(clip, QWEN3).grid[0] == 2
    blurred = clip_of_pictures(pictures, factor=32, compat_factor=56)
    assert not np.array_equal(clip.frames, blurred.frames)


def test_frames_can_be_bounded() -> None:
    picture = Picture(pixels=np.zeros((300, 300, 3), np.uint8))
    clip = clip_of_pictures([picture, picture], factor=32, max_px=96 * 96)
    assert clip.frames.shape == (2, 96, 96, 3)


def test_a_clip_needs_pictures_and_a_rate() -> None:
    with pytest.raises(InvalidRequest, match="given as frames holds none"):
        clip_of_pictures([], factor=32)
    for fps in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidRequest, match="give a number above 0"):
            clip_of_pictures([draw_picture(0)], factor=32, sample_fps=fps)
