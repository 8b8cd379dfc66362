"""Video files as the frames that a model watches, and their sound.

A first pass reads packets without decoding them, to learn when frames are really shown; then the
chosen frames are decoded and made smaller, one at a time. Runs in the decoding child.
Source: qwen-omni-utils 0.0.9 `fetch_video` (choice and sizes: frame_choice, sizes).
Differs: frames are turned upright; the shape of a pixel is ignored, as there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from myna.core.errors import InvalidRequest
from myna.media.audio import read_sound
from myna.media.containers import check_codec, open_container
from myna.media.decoded import Clip, Pixels
from myna.media.frame_choice import Choice, ClipOptions, Timeline, choose_frames, make_timeline
from myna.media.limits import MediaBudget
from myna.media.sizes import frame_size

MAX_PACKETS = 400_000
MAX_BAD_SHARE = 0.01
# The decoder uses a number of threads that does not depend on the machine.
NUM_THREADS = 2
QUARTER_TURN_DEGREES = 90


def decode_video(data: bytes, options: ClipOptions, budget: MediaBudget) -> Clip:
    """Decode the frames of a video that the options choose.

    Args:
        data: the file.
        options: which frames, how large, and whether the sound is wanted.
        budget: charged with length, frames and pixels before any frame is decoded.
    """
    with open_container(data) as container:
        stamps, timeline = _read_timeline(container, budget)
    choice = choose_frames(timeline, options)
    budget.charge_video(choice.duration_s)
    with open_container(data) as container:
        frames = _read_frames(container, stamps, choice, options=options, budget=budget)
    sound = None
    if options.with_sound:
        with open_container(data) as container:
            sound = read_sound(
                container,
                budget,
                start_s=None if options.start_s is None else timeline.origin_s + options.start_s,
                end_s=None if options.end_s is None else timeline.origin_s + options.end_s,
            )
    return Clip(
        frames=frames,
        times_s=tuple(float(timeline.times_s[index]) for index in choice.indices),
        sample_fps=choice.sample_fps,
        sound=sound,
    )


def _video_stream(container: InputContainer, budget: MediaBudget) -> VideoStream:
    """Find the first video track that is not a cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            check_codec(stream)
            budget.check_side(stream.width, stream.height)
            return stream
    raise InvalidRequest("the file has no video track; send one that has", code="bad_media")


def _read_timeline(
    container: InputContainer, budget: MediaBudget
) -> tuple[list[int] | None, Timeline]:
    """Learn when frames are shown, from the packets that are really there.

    Returns:
        The frames' time stamps in the file's own units, ascending, or `None` if it gives none to
        some; and the timeline.
    """
    stream = _video_stream(container, budget)
    stamps: list[int | None] = []
    try:
        for packet in container.demux(stream):
            # The last packet is an empty one, which tells decoders to finish.
            if packet.size and not packet.is_discard:
                stamps.append(packet.pts)
            if len(stamps) > MAX_PACKETS:
                raise InvalidRequest(
                    f"the video has more than {MAX_PACKETS} frames; cut it", code="bad_media"
                )
    except (av.FFmpegError, ValueError) as error:
        raise _damaged() from error
    if not stamps:
        raise InvalidRequest("the video track has no frames; send one that has", code="bad_media")
    stated_fps = float(stream.average_rate) if stream.average_rate else None
    known = sorted(stamp for stamp in stamps if stamp is not None)
    if len(known) < len(stamps) or stream.time_base is None:
        times_s = np.arange(len(stamps)) / (stated_fps or 25.0)
        return None, make_timeline(times_s, stated_fps=stated_fps)
    times_s = np.array(known, np.float64) * float(stream.time_base)
    return known, make_timeline(times_s, stated_fps=stated_fps)


def _read_frames(
    container: InputContainer,
    stamps: list[int] | None,
    choice: Choice,
    *,
    options: ClipOptions,
    budget: MediaBudget,
) -> Pixels:
    """Decode the chosen frames and bring them to size: (T, height, width, 3)."""
    # Stamps stand for frames; where there are none, frames are counted.
    wanted = [index if stamps is None else stamps[index] for index in choice.indices]
    stream = _video_stream(container, budget)
    if stamps is not None and choice.indices[0] > 0:
        # What lies before is passed over where the file can be sought in, and decoded elsewhere.
        with contextlib.suppress(av.FFmpegError):
            container.seek(wanted[0], stream=stream)
    frames: Pixels | None = None
    num_done = 0
    for number, frame in enumerate(_decode(container, stream, None if stamps is None else wanted)):
        stamp = number if stamps is None or frame.pts is None else frame.pts
        if stamp < wanted[num_done]:
            continue
        budget.check_side(frame.width, frame.height)
        if frames is None:
            frames = _make_room(frame, len(wanted), options=options, budget=budget)
        frames[num_done] = _upright(frame, size=frames.shape[1:3])
        num_done += 1
        while num_done < len(wanted) and wanted[num_done] <= stamp:
            frames[num_done] = frames[num_done - 1]
            num_done += 1
        if num_done == len(wanted):
            return frames
    # Some codings have a last packet that shows nothing new.
    if frames is None or num_done < len(wanted) - 1:
        raise _damaged()
    frames[num_done:] = frames[num_done - 1]
    return frames


def _make_room(
    frame: VideoFrame, num_frames: int, *, options: ClipOptions, budget: MediaBudget
) -> Pixels:
    """Reserve the clip's pixels, by the shape of its first frame."""
    height, width = frame.height, frame.width
    if _quarter_turns(frame) % 2:
        height, width = width, height
    height, width = frame_size(
        height,
        width,
        num_frames=num_frames,
        factor=options.factor,
        max_px=options.max_px,
        clip_px=options.clip_px,
    )
    budget.charge_frames(num_frames, width, height)
    return np.empty((num_frames, height, width, 3), np.uint8)


def _decode(
    container: InputContainer, stream: VideoStream, wanted: list[int] | None
) -> Iterator[VideoFrame]:
    """Decode a track, passing over a few damaged packets and frames that nothing is built on."""
    context = stream.codec_context
    context.thread_type = "FRAME"
    context.thread_count = NUM_THREADS
    chosen = None if wanted is None else frozenset(wanted)
    num_good = num_bad = 0
    try:
        for packet in container.demux(stream):
            if chosen is not None:
                is_needed = packet.pts in chosen or not packet.size
                context.skip_frame = "DEFAULT" if is_needed else "NONREF"
            try:
                yield from packet.decode()
                num_good += 1
            except av.FFmpegError as error:
                num_bad += 1
                if num_bad > 1 + num_good * MAX_BAD_SHARE:
                    raise _damaged() from error
    except (av.FFmpegError, ValueError) as error:
        raise _damaged() from error


def _quarter_turns(frame: VideoFrame) -> int:
    return round(frame.rotation / QUARTER_TURN_DEGREES)


def _upright(frame: VideoFrame, *, size: tuple[int, ...]) -> Pixels:
    """Turn a frame as its file asks, and bring it to a height and width: (height, width, 3)."""
    rgb = np.rot90(frame.to_ndarray(format="rgb24"), _quarter_turns(frame))
    height, width = size
    image = Image.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def _damaged() -> InvalidRequest:
    return InvalidRequest(
        "the video track is damaged and cannot be decoded; save it again", code="bad_media"
    )
