"""What a camera sees: a picture a second, as JPEG; a file of pictures serves as well.

Not here: sending them (call).
"""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Iterator

import av
from PIL import Image

from myna.core.errors import NotFound

EVERY_S = 1.0
MAX_SIDE_PX = 640
JPEG_QUALITY = 80
# How FFmpeg names the cameras of each system, and the first of them.
CAMERAS = {
    "linux": ("v4l2", "/dev/video0"),
    "darwin": ("avfoundation", "0"),
    "win32": ("dshow", "video=Integrated Camera"),
}


class Camera:
    """Look through a camera, or at a video file as if it were one.

    Args:
        name: of the camera, as FFmpeg names it, or of a file; the first camera if not given.
        every_s: time between two pictures.

    Raises:
        NotFound: there is no such camera.
    """

    def __init__(self, name: str | None = None, *, every_s: float = EVERY_S) -> None:
        kind, usual = CAMERAS.get(sys.platform, (None, ""))
        is_device = name is None or name.startswith(("/dev/", "video=")) or name.isdigit()
        self._every_s = every_s
        self._is_closed = threading.Event()
        try:
            self._container = av.open(name or usual, format=kind if is_device else None, mode="r")
            self._stream = self._container.streams.video[0]
        except (OSError, ValueError, IndexError) as error:
            raise NotFound(
                f"there is no camera {name or usual!r} that can be used ({error})\n"
                "hint: --camera names another, or a video file"
            ) from error

    def pictures(self) -> Iterator[bytes]:
        """Yield a picture now and then, until the file ends or `close` is called."""
        next_s = time.monotonic()
        try:
            for frame in self._container.decode(self._stream):
                if self._is_closed.is_set():
                    return
                # Frames between are decoded too: a camera that is not read falls behind.
                if time.monotonic() < next_s:
                    continue
                next_s = time.monotonic() + self._every_s
                image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
                image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
                out = io.BytesIO()
                image.save(out, "JPEG", quality=JPEG_QUALITY)
                yield out.getvalue()
        finally:
            self._container.close()

    def close(self) -> None:
        """Stop looking; safe to call twice."""
        self._is_closed.set()
