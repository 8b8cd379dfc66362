from __future__ import annotations

import io

import av
import numpy as np
import pytest

from myna.core.errors import InvalidRequest, TooLarge, Unsupported
from myna.media.decoded import Clip
from myna.media.frame_choice import ClipOptions, choose_frames, make_timeline
from myna.media.limits import MediaBudget, MediaLimits
from myna.media.video import decode_video

LEVEL_ATOL = 6  # of 256, for lossy coding


def watch(data: bytes, *, limits: MediaLimits | None = None, **options: object) -> Clip:
    return decode_video(data, ClipOptions(factor=32, **options), MediaBudget(limits))


def level_of_frame(idx: int) -> int:
    return 16 + (idx * 37) % 220


def assert_shows(clip: Clip, indices: list[int] | tuple[int, ...]) -> None:
    """Tell by their brightness that a clip shows the frames of these numbers."""
    levels = clip.frames.mean(axis=(1, 2, 3))
    expected = np.array([level_of_frame(idx) for idx in indices])
    assert len(levels) == len(expected)
    assert np.abs(levels - expected).max() <= LEVEL_ATOL


@pytest.mark.parametrize(
    ("form", "codec"),
    [
        ("mp4", "libx264"),
        ("mov", "libx264"),
        ("matroska", "libx264"),
        ("webm", "libvpx"),
        ("webm", "libvpx-vp9"),
        ("mp4", "mpeg4"),
    ],
)
def test_the_references_frames_are_shown(write_video, form: str, codec: str) -> None:
    clip = watch(write_video(75, form=form, codec=codec))
    timeline = make_timeline(np.arange(75) / 30, stated_fps=30.0)
    choice = choose_frames(timeline, ClipOptions(factor=32))
    assert_shows(clip, choice.indices)
    assert clip.sample_fps == pytest.approx(choice.sample_fps, rel=1e-3)
    assert clip.frames.shape[1:] == (384, 384, 3)


def test_every_frame_can_be_asked_for(write_video) -> None:
    assert_shows(watch(write_video(30), num_frames=30), range(30))


def test_frames_of_an_uneven_video_are_chosen_by_time(write_video) -> None:
    stamps = [0, 40, 80, 3000, 3040, 6000, 9000, 9040]
    clip = watch(write_video(8, form="matroska", stamps=stamps), num_frames=4)
    assert_shows(clip, [0, 3, 5, 7])
    assert clip.times_s == pytest.approx((0.0, 3.0, 6.0, 9.04))


def test_a_stretch_can_be_asked_for(write_video) -> None:
    clip = watch(write_video(90), start_s=1.0, end_s=2.0, num_frames=4)
    assert_shows(clip, [30, 40, 50, 60])


def test_a_stretch_far_into_a_file_is_sought(write_video) -> None:
    clip = watch(write_video(600), start_s=15.0, end_s=16.0, num_frames=4)
    assert_shows(clip, [450, 460, 470, 480])


def test_times_count_from_the_first_frame(write_video) -> None:
    stamps = [5000 + 40 * idx for idx in range(50)]
    clip = watch(
        write_video(50, form="matroska", stamps=stamps), start_s=0.4, end_s=0.8, num_frames=2
    )
    assert_shows(clip, [10, 20])


def test_sound_comes_with_the_same_stretch(write_video) -> None:
    data = write_video(90, with_sound=True)
    whole = watch(data, with_sound=True).sound
    part = watch(data, with_sound=True, start_s=1.0, end_s=2.0).sound
    assert whole is not None
    assert part is not None
    assert whole.duration_s == pytest.approx(3.0, abs=0.1)
    assert part.duration_s == pytest.approx(1.0, abs=0.01)
    common = part.samples[2_000:14_000]
    assert np.abs(common - whole.samples[18_000:30_000]).max() < 1e-3
    assert watch(data).sound is None


def test_a_silent_video_has_no_sound_to_give(write_video) -> None:
    with pytest.raises(InvalidRequest, match="no sound track"):
        watch(write_video(4), with_sound=True)


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_frames_are_turned_as_the_file_asks(write_video, quarter_turns: int) -> None:
    data = write_video(4, size=(128, 64))
    # The matrix of the track header, in 16.16 fixed point: identity in what was written.
    one, zero = (1 << 16).to_bytes(4, "big"), bytes(4)
    minus = (-(1 << 16)).to_bytes(4, "big", signed=True)
    identity = one + zero * 3 + one + zero * 3
    turned = {
        1: zero + one + zero + minus + zero * 4,  # clockwise
        2: minus + zero * 3 + minus + zero * 3,
        3: zero + minus + zero + one + zero * 4,
    }[quarter_turns]
    track = data.index(b"tkhd")
    at = data.index(identity, track)
    clip = watch(data[:at] + turned + data[at + len(turned) :])
    height, width = clip.frames.shape[1:3]
    assert (height > width) == (quarter_turns % 2 == 1)


def test_turning_goes_the_right_way(write_video) -> None:

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        pixels = np.zeros((64, 128, 3), np.uint8)
        pixels[:, :64] = 255  # the left half is white
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    data = file.getvalue()
    one, zero = (1 << 16).to_bytes(4, "big"), bytes(4)
    minus = (-(1 << 16)).to_bytes(4, "big", signed=True)
    at = data.index(one + zero * 3 + one, data.index(b"tkhd"))
    clockwise = zero + one + zero + minus + zero * 2
    clip = watch(data[:at] + clockwise + data[at + len(clockwise) :])
    top, bottom = np.array_split(clip.frames[0], 2)
    assert top.mean() > 240  # what was left is up after a quarter turn clockwise
    assert bottom.mean() < 15


def test_a_sound_file_has_no_frames(write_sound) -> None:
    data = write_sound(np.zeros((1, 1600)), form="wav", codec="pcm_s16le", rate_hz=16_000)
    with pytest.raises(InvalidRequest, match="no video track"):
        watch(data)


def test_codings_that_are_not_listed_are_refused(write_video) -> None:
    with pytest.raises(Unsupported, match="a coding that is not read here"):
        watch(write_video(3, form="matroska", codec="ffv1"))


def test_long_videos_and_large_frames_are_refused(write_video) -> None:
    data = write_video(60)
    with pytest.raises(TooLarge, match=r"lasts 2\.0 s or more, above 1 s"):
        watch(data, limits=MediaLimits(max_video_s=1.0))
    with pytest.raises(TooLarge, match="64 x 64, above 32 pixels a side"):
        watch(data, limits=MediaLimits(max_side_px=32))
    with pytest.raises(TooLarge, match="asks for 4 video frames or more, above 3"):
        watch(data, limits=MediaLimits(max_frames=3))


def test_damaged_frames_are_refused(write_video) -> None:
    data = bytearray(write_video(60, form="mp4", codec="mpeg4"))
    body = data.index(b"mdat") + 4
    data[body : body + 3000] = np.random.default_rng(0).bytes(3000)
    with pytest.raises(InvalidRequest, match="the video track is damaged"):
        watch(bytes(data))


def test_a_track_whose_frames_lie_elsewhere_has_none(write_video) -> None:
    data = bytearray(write_video(4))
    at = data.index(b"stco") + len(b"stco") + 8
    data[at : at + 4] = b"\xff" * 4
    with pytest.raises(InvalidRequest, match="the video track has no frames"):
        watch(bytes(data))


def test_frames_beyond_counting_are_refused(write_video, monkeypatch) -> None:
    monkeypatch.setattr("myna.media.video.MAX_PACKETS", 2)
    with pytest.raises(InvalidRequest, match="more than 2 frames; cut it"):
        watch(write_video(4))
