"""What a call hears and plays: the machine's sound card, or files in its place.

The sound card needs the optional package sounddevice (and PortAudio, which it brings or names).
Not here: the call itself (call).
"""

from __future__ import annotations

import queue
import threading
import time
import types
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from myna.core.errors import InvalidRequest, Unsupported
from myna.media.encode import SAMPLE_BYTES, wav_header

RATE_HZ = 24_000
FRAME_S = 0.02
FRAME_BYTES = round(RATE_HZ * FRAME_S) * SAMPLE_BYTES
# After a file there is silence, so that its last turn ends.
LAST_SILENCE_S = 1.5


class Microphone(Protocol):
    """Give sound as it comes: frames of 16-bit samples at `RATE_HZ`."""

    def frames(self) -> Iterator[bytes]:
        """Yield frames until there are no more, or until `close`."""
        ...

    def close(self) -> None:
        """Stop; safe to call twice."""
        ...


class Loudspeaker(Protocol):
    """Play sound in the order in which it is given."""

    def play(self, pcm: bytes) -> None:
        """Add 16-bit samples at `RATE_HZ`."""
        ...

    def begin(self) -> None:
        """Note that what is given next is a new answer."""
        ...

    def silence(self) -> float:
        """Fall silent at once; returns for how many seconds the answer was heard."""
        ...

    def close(self) -> None:
        """Stop; safe to call twice."""
        ...


class SoundCard:
    """Be the microphone and the loudspeaker of this machine.

    Raises:
        Unsupported: the package is missing, or there is no such device.
    """

    def __init__(self) -> None:
        sounddevice = _sounddevice()
        self._heard: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = bytearray()
        self._num_played = 0
        options = {"samplerate": RATE_HZ, "channels": 1, "dtype": "int16", "latency": "low"}
        try:
            self._input = sounddevice.RawInputStream(
                callback=self._hear, blocksize=FRAME_BYTES // SAMPLE_BYTES, **options
            )
            self._output = sounddevice.RawOutputStream(callback=self._fill, **options)
            self._input.start()
            self._output.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise Unsupported(
                f"no microphone or no loudspeaker can be used: {error}\n"
                "hint: --input and --output take WAV files instead"
            ) from error

    def frames(self) -> Iterator[bytes]:
        """Yield what the microphone hears."""
        while (frame := self._heard.get()) is not None:
            yield frame

    def play(self, pcm: bytes) -> None:
        """Add sound."""
        with self._lock:
            self._waiting += pcm

    def begin(self) -> None:
        """Count from here."""
        with self._lock:
            self._num_played = 0

    def silence(self) -> float:
        """Forget what waits to be played."""
        with self._lock:
            self._waiting.clear()
            return self._num_played / (RATE_HZ * SAMPLE_BYTES)

    def close(self) -> None:
        """Let go of the devices."""
        self._heard.put(None)
        for stream in (self._input, self._output):
            stream.close()

    def _hear(self, data: Any, *_: object) -> None:  # Any: the package has no types.
        self._heard.put(bytes(data))

    def _fill(self, out: Any, *_: object) -> None:  # Any: the package has no types.
        with self._lock:
            piece = bytes(self._waiting[: len(out)])
            del self._waiting[: len(out)]
            self._num_played += len(piece)
        out[:] = piece.ljust(len(out), b"\0")


class FileMicrophone:
    """Speak a WAV file as fast as a microphone would, then be silent for a moment.

    Raises:
        InvalidRequest: the file is no WAV file of one channel of 16-bit samples at `RATE_HZ`.
    """

    def __init__(self, path: Path, *, is_paced: bool = True) -> None:
        try:
            with wave.open(str(path)) as file:
                form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
                self._pcm = file.readframes(file.getnframes())
        except (OSError, EOFError, wave.Error) as error:
            raise InvalidRequest(f"{path} cannot be read as a WAV file: {error}") from error
        if form != (1, SAMPLE_BYTES, RATE_HZ):
            raise InvalidRequest(
                f"{path} has {form[0]} channels of {8 * form[1]} bits at {form[2]} Hz; give one "
                f"channel of 16 bits at {RATE_HZ} Hz"
            )
        self._is_paced = is_paced
        self._is_closed = threading.Event()

    def frames(self) -> Iterator[bytes]:
        """Yield the file, then silence."""
        pcm = self._pcm + bytes(round(LAST_SILENCE_S * RATE_HZ) * SAMPLE_BYTES)
        started_s = time.monotonic()
        for idx, start in enumerate(range(0, len(pcm), FRAME_BYTES)):
            wait_s = started_s + idx * FRAME_S - time.monotonic() if self._is_paced else 0.0
            if self._is_closed.wait(max(wait_s, 0.0)):
                return
            yield pcm[start : start + FRAME_BYTES]

    def close(self) -> None:
        """Stop."""
        self._is_closed.set()


class FileLoudspeaker:
    """Write all that is said into a WAV file, one answer after the other.

    What was interrupted is kept as far as time allowed it to be heard.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._said: list[bytes] = []
        self._answer = b""
        self._started_s = time.monotonic()

    def play(self, pcm: bytes) -> None:
        """Keep sound."""
        self._answer += pcm

    def begin(self) -> None:
        """Begin the next answer."""
        self._said.append(self._answer)
        self._answer = b""
        self._started_s = time.monotonic()

    def silence(self) -> float:
        """Keep only what there was time to hear."""
        length_s = len(self._answer) / (RATE_HZ * SAMPLE_BYTES)
        heard_s = min(time.monotonic() - self._started_s, length_s)
        self._answer = self._answer[: round(heard_s * RATE_HZ) * SAMPLE_BYTES]
        return heard_s

    def close(self) -> None:
        """Write the file."""
        pcm = b"".join([*self._said, self._answer])
        if self._path is not None and pcm:
            header = wav_header(rate_hz=RATE_HZ, num_samples=len(pcm) // SAMPLE_BYTES)
            self._path.write_bytes(header + pcm)


def _sounddevice() -> types.ModuleType:
    """Import the optional package."""
    try:
        import sounddevice  # noqa: PLC0415 - optional: the extra `talk` brings it
    except (ImportError, OSError) as error:
        raise Unsupported(
            f"the sound card needs the package sounddevice and PortAudio ({error})\n"
            "hint: pip install 'myna[talk]', or give WAV files with --input and --output"
        ) from error
    module: types.ModuleType = sounddevice
    return module
