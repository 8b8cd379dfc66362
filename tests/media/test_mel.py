from __future__ import annotations

import random

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from myna.core.errors import InvalidRequest
from myna.media.mel import BLOCK_FRAMES, HOP_SAMPLES, mel, mel_filters

# The reference in NumPy computes in float64, as we do.
ATOL = 1e-5


@pytest.fixture(scope="module")
def reference() -> WhisperFeatureExtractor:
    return WhisperFeatureExtractor(feature_size=128)


def in_numpy(reference: WhisperFeatureExtractor, clips: list[np.ndarray]) -> np.ndarray:
    longest = max(map(len, clips))
    padded = [np.pad(clip, (0, longest - len(clip))) for clip in clips]
    return reference._np_extract_fbank_features(padded, "cpu")


def draw_clips(seed: int) -> list[np.ndarray]:
    """Draw one to three clips: noise, tones, silence; most of them short, some of 31 s."""
    draw, rng = random.Random(seed), np.random.default_rng(seed)
    clips = []
    for _ in range(draw.randint(1, 3)):
        seconds = 31.0 if seed % 67 == 0 else draw.choice([0.025, 0.3, 0.99, 2.5])
        length = round(seconds * 16_000) + draw.randint(-159, 159)
        clip = rng.normal(0, 10 ** draw.uniform(-4, -1), length)
        if draw.random() < 0.5:
            clip += 0.3 * np.sin(np.arange(length) * draw.uniform(0.01, 3))
        if draw.random() < 0.3:
            clip[length // 2 :] = 0
        clips.append(clip.astype(np.float32))
    return clips


def test_filters_equal_the_references(reference: WhisperFeatureExtractor) -> None:
    assert np.abs(mel_filters() - reference.mel_filters).max() < 1e-8


def test_spectrograms_equal_the_references_on_random_clips(
    reference: WhisperFeatureExtractor,
) -> None:
    for seed in range(200):
        clips = draw_clips(seed)
        batch = mel(clips)
        expected = in_numpy(reference, clips)
        assert batch.features.shape == expected.shape
        assert np.abs(batch.features - expected).max() <= ATOL


def test_its_public_door_differs_from_us_by_no_more_than_from_itself(
    reference: WhisperFeatureExtractor,
) -> None:
    for seed in range(40):
        clips = draw_clips(seed)
        batch = mel(clips)
        expected = reference(
            clips,
            sampling_rate=16_000,
            truncation=False,
            padding="longest",
            return_attention_mask=True,
            return_tensors="np",
        )
        assert batch.lengths == tuple(expected["attention_mask"].sum(axis=1))
        # It computes transforms with torch in float32: where a bin lies eight decades below the
        # loudest, what is lost shows up to the fourth digit.
        own_error = np.abs(in_numpy(reference, clips) - expected["input_features"]).max()
        assert np.abs(batch.features - expected["input_features"]).max() <= own_error + ATOL


def test_silence_after_a_clip_changes_what_padding_to_five_minutes_changes() -> None:
    clip = draw_clips(3)[0]
    batch = mel([clip], with_silence=True)
    padded = mel([np.pad(clip, (0, 10 * 16_000))])
    assert batch.lengths == (-(-len(clip) // HOP_SAMPLES),)
    assert np.abs(batch.features - padded.features[:, :, : batch.lengths[0]]).max() < 1e-6


def test_a_clip_of_several_blocks_is_whole(reference: WhisperFeatureExtractor) -> None:
    clip = np.random.default_rng(0).normal(0, 0.1, BLOCK_FRAMES * HOP_SAMPLES + 1234)
    clip = clip.astype(np.float32)
    assert np.abs(mel([clip]).features - in_numpy(reference, [clip])).max() <= ATOL


def test_ten_minutes_are_heard_to_the_end(reference: WhisperFeatureExtractor) -> None:
    """Compare a clip twenty times as long as the reference keeps unless it is told."""
    rng = np.random.default_rng(1)
    swell = np.sin(np.arange(600 * 16_000) / 5e5) ** 2
    clip = (rng.normal(0, 0.1, len(swell)) * swell).astype(np.float32)
    batch = mel([clip])
    assert batch.features.shape == (1, 128, 60_000)
    assert np.abs(batch.features - in_numpy(reference, [clip])).max() <= ATOL


@pytest.mark.parametrize("length", [1, 100, 160, 200])
def test_clips_too_short_for_the_reference_are_heard(length: int) -> None:
    batch = mel([np.full(length, 0.1, np.float32)])
    assert batch.features.shape == (1, 128, 1)
    assert batch.lengths == (1,)
    assert np.isfinite(batch.features).all()


@pytest.mark.parametrize("clips", [[], [np.zeros(0, np.float32)]])
def test_nothing_cannot_be_heard(clips: list[np.ndarray]) -> None:
    with pytest.raises(InvalidRequest, match="holds no samples"):
        mel(clips)
