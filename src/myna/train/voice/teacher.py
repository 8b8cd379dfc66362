"""The voice that nano imitates: hibari-tts, with the times of its phonemes.

The network knows how long each phoneme lasts but does not say so; it is given one more output.
Not here: what is said (text), where it is kept (shards).
Source: hibari-tts 0.2.1 `hibari.tts`, `hibari.dsp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from myna.train.sound.utterance import PUNCTUATION, letter_places, tokens

RATE_HZ = 24_000
SLOT_SAMPLES = 480  # phonemes are told for each 20 ms
LEAD_SLOTS = 5  # of silence before speech, and after it
TAIL_SLOTS = 8

# The teacher's network, told apart by its node that holds durations, in steps of so many samples.
DURATIONS = "/Clip_output_0"
DURATION_SAMPLES = 600
LATE_SAMPLES = 1_320  # that durations come after what is heard
BLANK = 16  # the network's number of the gap between words
STRESSES = "\u02c8\u02cc"  # the primary one, the secondary one
LETTER_A = "\u02c8A"
FLOOR = 0.004  # root mean square of a slot that is no longer silence


class Teacher(Protocol):
    """Say a text."""

    def say(self, text: str, *, seed: int) -> Speech:
        """Speak lower-case words; equal seeds give equal noise."""
        ...


@dataclass(frozen=True)
class Speech:
    """Hold one utterance.

    Attributes:
        samples: (W,) float32 of 24 kHz, W a multiple of `SLOT_SAMPLES`.
        phonemes: (W / SLOT_SAMPLES,) uint8, the teacher's number of the sound in each slot; 0 is
            silence.
    """

    samples: NDArray[np.float32]
    phonemes: NDArray[np.uint8]


class Hibari:
    """Speak with hibari's packaged voice; satisfies `Teacher`.

    Raises:
        ImportError: the optional dependency is not installed.
    """

    def __init__(self) -> None:
        import hibari  # noqa: PLC0415 - optional: only training needs it
        import onnxruntime  # noqa: PLC0415 - optional: comes with hibari

        self._voice = hibari.Hibari()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        network = with_output(Path(self._voice.model_path).read_bytes(), DURATIONS)
        self._session = onnxruntime.InferenceSession(network, options)
        self._stress_ids = {self._voice.vocab[mark] for mark in STRESSES}

    def say(self, text: str, *, seed: int) -> Speech:
        """See `Teacher`."""
        from hibari import dsp  # noqa: PLC0415 - optional: only training needs it

        ids = self._voice.ids(self.phonemes(text))
        inputs = {"ids": np.array([ids], np.int64), "speed": np.ones(1, np.float32)}
        *spectrum, durations = self._session.run(None, inputs)
        samples = dsp.synth(*(part[0] for part in spectrum), np.random.default_rng(seed))
        return trim(samples, self._slots(ids, durations))

    def phonemes(self, text: str) -> str:
        """Spell the sounds of a text, in the teacher's alphabet."""
        sounds = str(self._voice.g2p(text))
        return letters_named(tokens(text), sounds.split(" ")) + "."

    def _slots(self, ids: list[int], durations: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Tell which sound fills each slot; a mark of stress belongs to the sound after it."""
        names = list(ids)
        for i in range(len(names) - 2, -1, -1):
            if names[i] in self._stress_ids:
                names[i] = names[i + 1]
        ends = durations.cumsum() * DURATION_SAMPLES
        centres = np.arange(SLOT_SAMPLES // 2, ends[-1], SLOT_SAMPLES) + LATE_SAMPLES
        places = np.searchsorted(ends, centres).clip(max=len(names) - 1)
        found: NDArray[np.uint8] = np.array(names, np.uint8)[places]
        return found


def letters_named(words: Sequence[str], sounds: Sequence[str]) -> str:
    """Let "a" be the letter, not the article, where it is one; words without sounds stay so."""
    named = list(sounds)
    if len(words) == len(sounds):
        for i in letter_places(words):
            named[i] = LETTER_A + "".join(mark for mark in named[i] if mark in PUNCTUATION)
    return " ".join(named)


def trim(samples: NDArray[np.float32], phonemes: NDArray[np.uint8]) -> Speech:
    """Leave as much silence before and after the speech as all utterances have."""
    num_slots = min(len(samples) // SLOT_SAMPLES, len(phonemes))
    slots = samples[: num_slots * SLOT_SAMPLES].reshape(num_slots, SLOT_SAMPLES)
    loud = np.flatnonzero(np.sqrt(np.square(slots).mean(1)) > FLOOR)
    assert len(loud), "the teacher was silent"
    first = max(0, int(loud[0]) - LEAD_SLOTS)
    stop = int(loud[-1]) + 1 + TAIL_SLOTS
    slots, phonemes = slots[first:stop], phonemes[first:num_slots][: stop - first].copy()
    phonemes[: int(loud[0]) - first] = 0
    phonemes[int(loud[-1]) + 1 - first :] = 0
    missing = stop - first - len(slots)
    return Speech(
        np.pad(slots.reshape(-1), (0, missing * SLOT_SAMPLES)).astype(np.float32),
        np.pad(phonemes, (0, missing)),
    )


def with_output(network: bytes, name: str) -> bytes:
    """Ask an ONNX network for one more of its values.

    Two protocol-buffer messages, one after the other, are one message in which their lists are
    joined; so a second model that holds nothing but an output is enough.
    """
    graph_field, output_field, name_field = 7, 12, 1
    value = _field(name_field, name.encode())
    return network + _field(graph_field, _field(output_field, value))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
