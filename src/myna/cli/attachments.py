"""Files that go with a prompt: told apart by their first bytes, read whole.

Not here: looking further into them, which only a process that may be killed does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from myna.core.errors import InvalidRequest, NotFound, TooLarge
from myna.core.messages import AudioPart, ImagePart, Part, VideoPart
from myna.media.limits import MediaLimits

EBML = b"\x1a\x45\xdf\xa3"
FTYP_AT = 4
BRAND = slice(8, 12)
AUDIO_BRANDS = (b"M4A ", b"M4B ")
# Containers that hold clips or sound alone: the file's name says which.
AUDIO_SUFFIXES = (".weba", ".mka", ".m4a", ".aac")
STARTS = {
    b"\x89PNG\r\n\x1a\n": "image",
    b"\xff\xd8\xff": "image",
    b"GIF8": "image",
    b"ID3": "audio",
    b"fLaC": "audio",
    b"OggS": "audio",
}
RIFF_KINDS = {b"WAVE": "audio", b"WEBP": "image"}
MPEG_SYNC = (0xFF, 0xE0)


def read_attachments(paths: Sequence[Path], *, is_listening: bool = False) -> tuple[Part, ...]:
    """Read files as parts of a message.

    Args:
        paths: pictures, sounds and clips.
        is_listening: listen to the sound of clips too.

    Raises:
        NotFound: there is no such file.
        InvalidRequest: it is no picture, sound or clip.
        TooLarge: it is larger than all media of a request may be.
    """
    return tuple(_read(path, is_listening=is_listening) for path in paths)


def kind_of(data: bytes, *, suffix: str) -> str | None:
    """Tell a picture, a sound and a clip apart: image, audio or video; `None` if it is none."""
    for start, kind in STARTS.items():
        if data.startswith(start):
            return kind
    if data.startswith(b"RIFF"):
        return RIFF_KINDS.get(data[BRAND])
    if data[FTYP_AT:].startswith(b"ftyp"):
        is_sound = data[BRAND] in AUDIO_BRANDS or suffix in AUDIO_SUFFIXES
        return "audio" if is_sound else "video"
    if data.startswith(EBML):
        return "audio" if suffix in AUDIO_SUFFIXES else "video"
    first, mask = MPEG_SYNC
    if len(data) > 1 and data[0] == first and data[1] & mask == mask:
        return "audio"
    return None


def _read(path: Path, *, is_listening: bool) -> Part:
    try:
        size = path.stat().st_size
        if size > MediaLimits().max_bytes:
            raise TooLarge(
                f"{path} has {size} bytes, above {MediaLimits().max_bytes}; make it smaller, or "
                "send a piece of it"
            )
        data = path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}", code="file_not_found") from error
    match kind_of(data, suffix=path.suffix.lower()):
        case "image":
            return ImagePart(data)
        case "audio":
            return AudioPart(data)
        case "video":
            return VideoPart(data=data, has_sound=is_listening)
    raise InvalidRequest(
        f"{path} is no picture (PNG, JPEG, WebP, GIF), sound (WAV, MP3, FLAC, Ogg, M4A, AAC) or "
        "clip (MP4, MOV, WebM, MKV)"
    )
