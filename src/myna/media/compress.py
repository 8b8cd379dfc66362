"""Sound as files that grow: PCM in, pieces of WAV, MP3, Opus, AAC or FLAC out; and its tempo.

Every piece is handed out as soon as the codec gives it: speech is sent while it is made.
Not here: reading such files (decoder), which only a process that may be killed does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av
import av.filter
import numpy as np
from av.audio.stream import AudioStream

from myna.media.encode import SAMPLE_BYTES, wav_header

MIN_TEMPO = 0.5  # FFmpeg's atempo goes no lower at once; slower takes two of them.


@dataclass(frozen=True)
class Codec:
    """Name a codec of FFmpeg, the container it goes in, and what the container is told."""

    name: str
    container: str
    media_type: str
    options: tuple[tuple[str, str], ...] = ()


CODECS = {
    # A Xing header holds the length, which is not known when it must be written.
    "mp3": Codec("libmp3lame", "mp3", "audio/mpeg", (("write_xing", "0"),)),
    # Pages of 100 ms: the usual second would hold back the beginning of speech.
    "opus": Codec("libopus", "ogg", "audio/ogg", (("page_duration", "100000"),)),
    "aac": Codec("aac", "adts", "audio/aac"),
    "flac": Codec("flac", "flac", "audio/flac"),
}
MEDIA_TYPES = {
    "pcm16": "audio/pcm",
    "wav": "audio/wav",
    **{name: codec.media_type for name, codec in CODECS.items()},
}


class SoundEncoder(Protocol):
    """Turn samples into the pieces of one file."""

    def add(self, pcm: bytes) -> bytes:
        """Take mono 16-bit little-endian samples; returns what the file has grown by."""
        ...

    def finish(self) -> bytes:
        """End the file; returns what was held back."""
        ...


def sound_encoder(
    file_format: str, *, rate_hz: int, num_samples: int | None = None
) -> SoundEncoder:
    """Begin a file of one channel.

    Args:
        file_format: a key of `MEDIA_TYPES`.
        rate_hz: samples a second; one that Opus knows, if it is to be Opus.
        num_samples: how many will come, where that is known; WAV files tell it.
    """
    if file_format in CODECS:
        return CodecEncoder(CODECS[file_format], rate_hz=rate_hz)
    is_wav = file_format == "wav"
    return PlainEncoder(wav_header(rate_hz=rate_hz, num_samples=num_samples) if is_wav else b"")


def encode_sound(pcm: bytes, file_format: str, *, rate_hz: int) -> bytes:
    """Write samples as a whole file."""
    encoder = sound_encoder(file_format, rate_hz=rate_hz, num_samples=len(pcm) // SAMPLE_BYTES)
    return encoder.add(pcm) + encoder.finish()


class PlainEncoder:
    """Hand samples on as they are, after a header."""

    def __init__(self, header: bytes) -> None:
        self._header = header

    def add(self, pcm: bytes) -> bytes:
        """Take samples."""
        header, self._header = self._header, b""
        return header + pcm

    def finish(self) -> bytes:
        """End the file: a silent one is its header."""
        return self.add(b"")


class CodecEncoder:
    """Compress samples with one of FFmpeg's codecs."""

    def __init__(self, codec: Codec, *, rate_hz: int) -> None:
        self._pieces = _Pieces()
        self._rate_hz = rate_hz
        self._num_samples = 0
        self._container = av.open(
            self._pieces, "w", format=codec.container, options=dict(codec.options)
        )
        stream = self._container.add_stream(codec.name, rate=rate_hz, layout="mono")
        assert isinstance(stream, AudioStream)
        self._stream = stream

    def add(self, pcm: bytes) -> bytes:
        """Take samples."""
        if pcm:
            frame = _frame(pcm, rate_hz=self._rate_hz, start=self._num_samples)
            self._num_samples += frame.samples
            self._container.mux(self._stream.encode(frame))
        return self._pieces.take()

    def finish(self) -> bytes:
        """End the file."""
        if self._num_samples:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._pieces.take()


class Tempo:
    """Make speech faster or slower without changing its pitch, piece by piece.

    Args:
        speed: above one is faster.
        rate_hz: samples a second.
    """

    def __init__(self, speed: float, *, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._num_samples = 0
        graph = av.filter.Graph()
        steps = [graph.add_abuffer(sample_rate=rate_hz, format="s16", layout="mono")]
        while speed < MIN_TEMPO:
            steps.append(graph.add("atempo", str(MIN_TEMPO)))
            speed /= MIN_TEMPO
        steps += [graph.add("atempo", f"{speed:.6f}"), graph.add("abuffersink")]
        graph.link_nodes(*steps).configure()
        self._graph = graph

    def add(self, pcm: bytes) -> bytes:
        """Take samples; returns those that are ready."""
        if pcm:
            frame = _frame(pcm, rate_hz=self._rate_hz, start=self._num_samples)
            self._num_samples += frame.samples
            self._graph.push(frame)
        return b"".join(self._pull())

    def finish(self) -> bytes:
        """Return the samples that were held back."""
        self._graph.push(None)
        return b"".join(self._pull())

    def _pull(self) -> Iterator[bytes]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, av.AudioFrame)
            yield frame.to_ndarray().astype("<i2").tobytes()


class _Pieces:
    """Collect what a container writes; it cannot go back, so nothing is ever rewritten."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _frame(pcm: bytes, *, rate_hz: int, start: int) -> av.AudioFrame:
    samples = np.frombuffer(pcm, "<i2").astype(np.int16, copy=False)
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = rate_hz
    frame.time_base = Fraction(1, rate_hz)
    frame.pts = start
    return frame
