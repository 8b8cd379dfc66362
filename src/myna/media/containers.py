"""Open sound and video files: the only place where FFmpeg is handed untrusted bytes.

FFmpeg recognises formats by content, and some formats are lists of other files or of addresses:
only formats that hold their own data are allowed, and only decoders that are named here.
Not here: decoding (audio, video).
"""

from __future__ import annotations

import io

import av
from av.container import InputContainer
from av.stream import Stream
from av.subtitles import codeccontext, stream, subtitle

from myna.core.errors import InvalidRequest, Unsupported

# PyAV would import these when a file has subtitles; the decoding child cannot by then.
LATE_IMPORTS = (codeccontext, stream, subtitle)
# FFmpeg's names of demuxers, and of decoders.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,wav,mp3,flac,ogg,aac"
AUDIO_CODECS = (
    "aac,aac_latm,alac,flac,mp3,mp3float,opus,libopus,vorbis,libvorbis,adpcm_ms,adpcm_ima_wav,"
    "pcm_alaw,pcm_mulaw,pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,"
    "pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be"
)
VIDEO_CODECS = "h264,hevc,vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,libaom-av1,mpeg4,mjpeg"
CODECS = f"{AUDIO_CODECS},{VIDEO_CODECS}"
OPTIONS = {"format_whitelist": FORMATS, "codec_whitelist": CODECS}


class Upload(io.BytesIO):
    """Hold a file's bytes under a name that its sender did not choose."""

    name = "upload"


def open_container(data: bytes) -> InputContainer:
    """Read the header of a sound or video file; the caller owes `close`."""
    if not data:
        raise InvalidRequest("the file is empty; send its bytes", code="bad_media")
    try:
        return av.open(Upload(data), mode="r", options=dict(OPTIONS), metadata_errors="ignore")
    except (av.FFmpegError, ValueError, RuntimeError, LookupError) as error:
        raise Unsupported(
            "the file is damaged, or of a kind that is not read here; send WAV, MP3, FLAC, Ogg, "
            "M4A, MP4, MOV, WebM or MKV"
        ) from error


def check_codec(stream: Stream) -> None:
    """Refuse a stream whose decoder is not on the list."""
    context = getattr(stream, "codec_context", None)
    name = None if context is None else context.codec.name
    if name not in CODECS.split(","):
        raise Unsupported(
            "the file holds a coding that is not read here; sound may be AAC, ALAC, FLAC, MP3, "
            "Opus, Vorbis or PCM, video H.264, H.265, VP8, VP9, AV1, MPEG-4 or MJPEG"
        )
