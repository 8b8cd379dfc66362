from __future__ import annotations

import pytest

from myna.core.errors import ContextOverflow, InvalidRequest, TooLarge
from myna.media.limits import MediaBudget, MediaLimits


def test_the_items_of_a_request_are_counted() -> None:
    budget = MediaBudget(MediaLimits(max_items=2))
    budget.charge_item(1)
    budget.charge_item(1)
    with pytest.raises(TooLarge, match="3 media items or more, above 2; send fewer"):
        budget.charge_item(1)


def test_the_bytes_of_all_items_are_summed() -> None:
    budget = MediaBudget()
    budget.charge_item(100 * 2**20)
    with pytest.raises(TooLarge, match=r"129\.0 MiB or more, above 128\.0 MiB"):
        budget.charge_item(29 * 2**20)


def test_one_picture_may_not_be_larger_than_fifty_megapixels() -> None:
    MediaBudget().charge_image(10_000, 5_000)
    with pytest.raises(TooLarge, match=r"13000 x 13000 = 169\.0 megapixels, above 50\.0"):
        MediaBudget().charge_image(13_000, 13_000)


def test_pictures_below_the_limit_may_not_exceed_it_together() -> None:
    budget = MediaBudget()
    for _ in range(4):
        budget.charge_image(10_000, 5_000)
    with pytest.raises(TooLarge, match=r"200\.0 megapixels or more, above 200\.0"):
        budget.charge_image(1, 1)


@pytest.mark.parametrize("rate_hz", [1, 7_999, 384_001, 2**31])
def test_rates_beyond_the_limits_are_named(rate_hz: int) -> None:
    with pytest.raises(InvalidRequest, match=f"{rate_hz} samples a second; between 8000 and"):
        MediaBudget().check_channels(rate_hz, 1)


@pytest.mark.parametrize("num_channels", [0, 17])
def test_channels_beyond_the_limits_are_named(num_channels: int) -> None:
    with pytest.raises(InvalidRequest, match=f"{num_channels} channels; 1 to 16 can be read"):
        MediaBudget().check_channels(16_000, num_channels)


def test_sound_is_charged_piece_by_piece() -> None:
    budget = MediaBudget(MediaLimits(max_audio_s=1.0))
    budget.charge_audio(0.6)
    with pytest.raises(TooLarge, match="longer than 1 s; cut it"):
        budget.charge_audio(0.6)


def test_a_video_with_long_sides_is_refused() -> None:
    MediaBudget().check_side(4096, 4096)
    with pytest.raises(TooLarge, match="10 x 4097, above 4096 pixels a side"):
        MediaBudget().check_side(10, 4097)


def test_the_lengths_of_videos_are_summed() -> None:
    budget = MediaBudget()
    budget.charge_video(400)
    with pytest.raises(TooLarge, match=r"800\.0 s or more, above 600 s; cut it"):
        budget.charge_video(400)


def test_frames_are_counted_and_their_pixels_summed() -> None:
    with pytest.raises(TooLarge, match="769 video frames or more, above 768; lower `fps`"):
        MediaBudget().charge_frames(769, 1, 1)
    with pytest.raises(TooLarge, match=r"500 video frames are 500\.0 megapixels or more"):
        MediaBudget().charge_frames(500, 1000, 1000)


def test_tokens_tell_what_costs_them_and_what_to_lower() -> None:
    budget = MediaBudget(MediaLimits(max_tokens=1000))
    budget.charge_tokens(700, "a picture")
    with pytest.raises(
        ContextOverflow, match=r"a video costs 700 tokens, which makes 1400 .* 1000"
    ):
        budget.charge_tokens(700, "a video")
    assert MediaBudget().limits.max_tokens is None
    MediaBudget().charge_tokens(10**9, "a video")
