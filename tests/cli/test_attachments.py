"""Files that go with a prompt are told apart by their first bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna.cli import attachments
from myna.cli.attachments import kind_of, read_attachments
from myna.core.errors import InvalidRequest, NotFound, TooLarge
from myna.core.messages import AudioPart, ImagePart, VideoPart
from myna.media.limits import MediaLimits

PNG = b"\x89PNG\r\n\x1a\nrest"
MP4 = b"\0\0\0\x18ftypisomrest"


@pytest.mark.parametrize(
    ("data", "suffix", "kind"),
    [
        (PNG, ".wav", "image"),
        (b"\xff\xd8\xff\xe0", "", "image"),
        (b"GIF89a", "", "image"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "", "image"),
        (b"RIFF\0\0\0\0WAVEfmt ", "", "audio"),
        (b"RIFF\0\0\0\0AVI LIST", ".avi", None),
        (b"ID3\x04", "", "audio"),
        (b"\xff\xfb\x90", ".mp3", "audio"),
        (b"\xff\xf1\x50", ".aac", "audio"),
        (b"fLaC", "", "audio"),
        (b"OggS", ".ogg", "audio"),
        (MP4, ".mp4", "video"),
        (b"\0\0\0\x18ftypM4A rest", "", "audio"),
        (MP4, ".m4a", "audio"),
        (b"\x1a\x45\xdf\xa3", ".webm", "video"),
        (b"\x1a\x45\xdf\xa3", ".weba", "audio"),
        (b"#EXTM3U", ".mp4", None),
        (b"", ".png", None),
        (b"\xff", ".mp3", None),
    ],
)
def test_kinds_are_told_apart(data: bytes, suffix: str, kind: str | None) -> None:
    assert kind_of(data, suffix=suffix) == kind


def test_files_become_parts_in_their_order(tmp_path: Path) -> None:
    files = {"a.png": PNG, "b.wav": b"RIFF\0\0\0\0WAVE", "c.mp4": MP4}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    paths = [tmp_path / name for name in files]
    assert read_attachments(paths) == (
        ImagePart(PNG),
        AudioPart(files["b.wav"]),
        VideoPart(data=MP4),
    )
    assert read_attachments(paths[2:], is_listening=True) == (VideoPart(data=MP4, has_sound=True),)


def test_what_is_no_media_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "letter.doc"
    path.write_bytes(b"dear")
    with pytest.raises(InvalidRequest, match=r"letter\.doc is no picture \(PNG, JPEG"):
        read_attachments([path])
    with pytest.raises(NotFound, match="cannot be read: No such file"):
        read_attachments([tmp_path / "nowhere.png"])


def test_a_file_is_weighed_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "MediaLimits", lambda: MediaLimits(max_bytes=3))
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with pytest.raises(TooLarge, match="has 12 bytes, above 3; make it smaller"):
        read_attachments([path])
