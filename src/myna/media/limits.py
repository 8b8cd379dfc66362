"""What the media of one request may cost, charged before the work is done.

The budget belongs to a request, not to an item: sixteen pictures just below a limit are not let
through where one above it is not. It travels to the decoding child and comes back with the answer.
Not here: time and memory of the child (decoder).
"""

from __future__ import annotations

import msgspec

from myna.core.errors import ContextOverflow, InvalidRequest, TooLarge

MEBIBYTE = 2**20
MEGAPIXEL = 1_000_000


class MediaLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bound the media of one request; `max_image_px` and `max_side_px` hold for each item.

    `max_clip_px` bounds the pixels of a request's video frames after they were made smaller.
    """

    max_items: int = 16
    max_bytes: int = 128 * MEBIBYTE
    max_image_px: int = 50 * MEGAPIXEL
    max_total_px: int = 200 * MEGAPIXEL
    max_audio_s: float = 1800.0
    max_channels: int = 16
    min_rate_hz: int = 8_000
    max_rate_hz: int = 384_000
    max_video_s: float = 600.0
    max_frames: int = 768
    max_side_px: int = 4096
    max_clip_px: int = 256 * MEGAPIXEL
    max_tokens: int | None = None


class Spent(msgspec.Struct, kw_only=True):
    """Count what a request's media have cost so far."""

    items: int = 0
    num_bytes: int = 0
    image_px: int = 0
    audio_s: float = 0.0
    video_s: float = 0.0
    frames: int = 0
    clip_px: int = 0
    tokens: int = 0


class MediaBudget:
    """Refuse what would exceed the limits of one request.

    Every method charges first and raises `TooLarge` when the limit is passed, so that the caller
    never begins work that the request may not have.
    """

    def __init__(self, limits: MediaLimits | None = None, *, spent: Spent | None = None) -> None:
        self.limits = limits or MediaLimits()
        self.spent = spent or Spent()

    def charge_item(self, num_bytes: int) -> None:
        """Charge one item by the size of its file."""
        self.spent.items += 1
        if self.spent.items > self.limits.max_items:
            raise _too_large(
                f"the request holds {self.spent.items} media items or more, above "
                f"{self.limits.max_items}; send fewer"
            )
        self.spent.num_bytes += num_bytes
        if self.spent.num_bytes > self.limits.max_bytes:
            raise _too_large(
                f"the request's media take {_mib(self.spent.num_bytes)} MiB or more, above "
                f"{_mib(self.limits.max_bytes)} MiB; send smaller files or fewer"
            )

    def charge_image(self, width: int, height: int) -> None:
        """Charge a picture by the size that its header states."""
        num_px = width * height
        if num_px > self.limits.max_image_px:
            raise _too_large(
                f"a picture is {width} x {height} = {_mp(num_px)} megapixels, above "
                f"{_mp(self.limits.max_image_px)}; make it smaller"
            )
        self.spent.image_px += num_px
        if self.spent.image_px > self.limits.max_total_px:
            raise _too_large(
                f"the request's pictures are {_mp(self.spent.image_px)} megapixels or more, above "
                f"{_mp(self.limits.max_total_px)}; make them smaller or send fewer"
            )

    def check_channels(self, rate_hz: int, num_channels: int) -> None:
        """Refuse sound at a rate, or with channels, beyond the limits."""
        limits = self.limits
        if not limits.min_rate_hz <= rate_hz <= limits.max_rate_hz:
            raise InvalidRequest(
                f"the sound has {rate_hz} samples a second; between {limits.min_rate_hz} and "
                f"{limits.max_rate_hz} can be read",
                code="bad_media",
            )
        if not 1 <= num_channels <= limits.max_channels:
            raise InvalidRequest(
                f"the sound has {num_channels} channels; 1 to {limits.max_channels} can be read",
                code="bad_media",
            )

    def charge_audio(self, seconds: float) -> None:
        """Charge sound while it is decoded, whatever length its header states."""
        self.spent.audio_s += seconds
        if self.spent.audio_s > self.limits.max_audio_s:
            raise _too_large(
                f"the request's sound lasts longer than {self.limits.max_audio_s:g} s; cut it "
                "into several requests"
            )

    def check_side(self, width: int, height: int) -> None:
        """Refuse a video whose frames are too wide or too high."""
        if max(width, height) > self.limits.max_side_px:
            raise _too_large(
                f"the video's frames are {width} x {height}, above {self.limits.max_side_px} "
                "pixels a side; make the video smaller"
            )

    def charge_video(self, seconds: float) -> None:
        """Charge the length of the part of a video that is to be watched."""
        self.spent.video_s += seconds
        if self.spent.video_s > self.limits.max_video_s:
            raise _too_large(
                f"the request's video lasts {self.spent.video_s:.1f} s or more, above "
                f"{self.limits.max_video_s:g} s; cut it, or name its start and end"
            )

    def charge_frames(self, num_frames: int, width: int, height: int) -> None:
        """Charge chosen frames by the size that the model will see."""
        self.spent.frames += num_frames
        if self.spent.frames > self.limits.max_frames:
            raise _too_large(
                f"the request asks for {self.spent.frames} video frames or more, above "
                f"{self.limits.max_frames}; lower `fps` or cut the video"
            )
        self.spent.clip_px += num_frames * width * height
        if self.spent.clip_px > self.limits.max_clip_px:
            raise _too_large(
                f"the request's {self.spent.frames} video frames are {_mp(self.spent.clip_px)} "
                f"megapixels or more, above {_mp(self.limits.max_clip_px)}; lower `fps` or "
                "`max_pixels`, or cut the video"
            )

    def charge_tokens(self, num_tokens: int, what: str) -> None:
        """Charge what an item costs in the model's context; `what` names it, as in "a picture"."""
        self.spent.tokens += num_tokens
        limit = self.limits.max_tokens
        if limit is not None and self.spent.tokens > limit:
            raise ContextOverflow(
                f"{what} costs {num_tokens} tokens, which makes {self.spent.tokens} for the "
                f"request's media, above {limit}; lower `max_pixels` or `fps`, or send less"
            )


def _too_large(message: str) -> TooLarge:
    return TooLarge(message, code="media_too_large")


def _mib(num_bytes: int) -> str:
    return f"{num_bytes / MEBIBYTE:.1f}"


def _mp(num_px: int) -> str:
    return f"{num_px / MEGAPIXEL:.1f}"
