"""Edited pictures as files, and how an edit looks while it goes on.

Not here: the command (commands.edit).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from myna.cli.attachments import read_attachments
from myna.cli.console import note, progress_bars
from myna.core.errors import InvalidRequest, RemoteError
from myna.core.events import EditProgress, Event, Failed, PictureDelta
from myna.core.messages import ImagePart

FORMATS: dict[str, Literal["png", "jpeg", "webp"]] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
}
PARTS = 1000  # that a stage is divided in, for the bar


class PictureFiles:
    """Name the files of an edit, and write them.

    Args:
        path: of the first; others have a number before their ending.
        count: how many there will be.

    Raises:
        InvalidRequest: no picture can be written there.
    """

    def __init__(self, path: Path, *, count: int) -> None:
        if path.suffix.lower() not in FORMATS:
            raise InvalidRequest(
                f"{path} does not end in {', '.join(FORMATS)}, so it is not clear what to write"
            )
        if not path.parent.is_dir() or path.is_dir():
            raise InvalidRequest(f"{path} cannot be written: there is no such folder")
        self.path = path
        self.file_format = FORMATS[path.suffix.lower()]
        self._count = count

    def write(self, picture: PictureDelta) -> Path:
        """Write one picture; returns where."""
        path = self.path
        if self._count > 1:
            path = path.with_stem(f"{path.stem}-{picture.index + 1}")
        path.write_bytes(picture.data)
        return path


def read_picture(path: Path) -> bytes:
    """Read a file that must be a picture.

    Raises:
        InvalidRequest: it is none.
        NotFound: it is not there.
    """
    (part,) = read_attachments([path])
    if not isinstance(part, ImagePart):
        raise InvalidRequest(f"{path} is no picture (PNG, JPEG, WebP, GIF)")
    return part.data


def show_edit(events: Iterable[Event], files: PictureFiles) -> Iterator[str]:
    """Show how an edit goes on, and write its pictures; gives the path of each.

    Raises:
        RemoteError: the edit failed.
    """
    with progress_bars() as progress:
        for event in events:
            match event:
                case EditProgress(index=index, stage=stage, done=done):
                    progress(f"{stage} {index + 1}", round(done * PARTS), PARTS)
                case PictureDelta(preview_idx=None, drift=drift, reuse=reuse):
                    progress(f"drawing {event.index + 1}", PARTS, PARTS)
                    if drift is not None:
                        note(
                            f"moved by {drift.right_px:+.1f}, {drift.down_px:+.1f} px, zoomed by "
                            f"{drift.zoom:.4f}{': undone' if drift.is_undone else ''}"
                        )
                    if reuse is not None:
                        note(
                            f"reused {reuse.num_reused} of {reuse.num_steps} steps: changes of up "
                            f"to {reuse.max_change:.4f}, {reuse.summed_change:.4f} in all"
                        )
                    yield str(files.write(event))
                case Failed(error=error):
                    raise RemoteError(error)
