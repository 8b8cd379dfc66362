"""hibari, with the time of every phone, at any pitch, from any throat.

Not here: how its network comes to tell durations (voice.teacher).
Source: hibari-tts 0.2.1 `Hibari.from_ids`, `dsp.synth`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from myna.train.sound.phones import SILENCE, from_ipa
from myna.train.sound.utterance import NotSpoken, Span, Utterance, gathered, letter_places, tokens
from myna.train.voice.teacher import DURATION_SAMPLES, DURATIONS, RATE_HZ, with_output

if TYPE_CHECKING:
    from hibari import Hibari

DURATION_S = DURATION_SAMPLES / RATE_HZ
LEAD_S = 0.055  # sounds come so much before the durations say, as hissing consonants show
QUIET = 0.03  # of the loudest sample: speech has ended
_STRESS = "ˈˌ"
_LETTER_A = "ˈA"


@dataclass(frozen=True, kw_only=True)
class Manner:
    """Say how hibari is to speak.

    Attributes:
        speed: more than one is faster.
        pitch: factor of the fundamental frequency.
        throat: factor by which all formants rise.
        seed: of its noise.
    """

    speed: float = 1.0
    pitch: float = 1.0
    throat: float = 1.0
    seed: int = 0


class Speaker:
    """Speak with hibari's own voice, or one bent from it."""

    def __init__(self) -> None:
        # Optional dependencies of the extra `train`.
        import onnxruntime  # noqa: PLC0415
        from hibari import Hibari, dsp  # noqa: PLC0415

        self._hibari: Hibari = Hibari()
        self._synth = dsp.synth
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        network = with_output(Path(self._hibari.model_path).read_bytes(), DURATIONS)
        self._session = onnxruntime.InferenceSession(
            network, options, providers=["CPUExecutionProvider"]
        )

    def say(self, text: str, manner: Manner) -> Utterance:
        """Speak a text.

        Raises:
            NotSpoken: the words heard are not those of the text.
        """
        spoken = self._spell(text)
        ids = np.asarray([self._hibari.ids(spoken)], np.int64)
        speed = np.asarray([manner.speed], np.float32)
        *spectra, durations = self._session.run(None, {"ids": ids, "speed": speed})
        *envelopes, f0 = (np.asarray(part[0]) for part in spectra)
        if manner.throat != 1.0:
            envelopes = [_warped(envelope, manner.throat) for envelope in envelopes]
        random = np.random.default_rng(manner.seed)
        sound = self._synth(*envelopes, f0 * manner.pitch, random)
        voice = "hibari" if manner.pitch == manner.throat == 1.0 else "hibari-bent"
        loud = np.flatnonzero(np.abs(sound) > QUIET * np.abs(sound).max())
        pieces = ended(timed(spoken, np.ravel(np.asarray(durations))), loud[-1] / RATE_HZ)
        return gathered(text, pieces, samples=sound, rate_hz=RATE_HZ, voice=voice)

    def _spell(self, text: str) -> str:
        """Write phonemes, in hibari's alphabet; letters are read as letters."""
        words = tokens(text)
        ended = text if text.endswith((".", "?", "!")) else f"{text}."
        found = self._hibari.phonemize(ended)
        parts = found[0].split() if len(found) == 1 else []
        if len(parts) != len(words):
            raise NotSpoken(f"hibari reads {len(words)} words as {len(parts)} in {text!r}")
        for i in letter_places(words):
            parts[i] = _LETTER_A + "".join(c for c in parts[i] if c in ",.?!")
        known = self._hibari.vocab
        return "".join(letter for letter in " ".join(parts) if letter in known)


def timed(spoken: str, durations: NDArray[np.float32]) -> list[tuple[int | None, Span]]:
    """Give each letter of the phonemes its word and its time; a mark lengthens what it marks."""
    ends = np.maximum(0.0, np.cumsum(durations) * DURATION_S - LEAD_S)
    letters = f" {spoken} "  # the network wraps them in pads
    pieces: list[tuple[int | None, Span]] = []
    word, start = 0, 0.0
    for i, (letter, end) in enumerate(zip(letters, ends.tolist(), strict=True)):
        if letter in _STRESS:
            continue  # its time is the next vowel's
        is_gap = letter == " " and 0 < i < len(letters) - 1
        word += is_gap
        if letter == "ː" or (is_gap and letters[i - 1].isalpha()):
            # A gap within a phrase is no silence: it goes to the sounds around it.
            place, last = pieces.pop()
            middle = (start + end) / 2 if is_gap else end
            pieces.append((place, Span(last.name, last.start_s, middle)))
            start = middle
            continue
        name = from_ipa(letter)[0] if letter.isalpha() else SILENCE
        pieces.append((None if name == SILENCE else word, Span(name, start, end)))
        start = end
    return pieces


def ended(pieces: list[tuple[int | None, Span]], end_s: float) -> list[tuple[int | None, Span]]:
    """Let speech end with its sound: the durations let the last phone ring on in silence."""
    last = max((i for i, (place, _) in enumerate(pieces) if place is not None), default=None)
    if last is None or pieces[last][1].end_s <= end_s:
        return pieces
    place, span = pieces[last]
    middle = max(end_s, span.start_s + DURATION_S)
    return [
        *pieces[:last],
        (place, Span(span.name, span.start_s, middle)),
        (None, Span(SILENCE, middle, max(middle, pieces[-1][1].end_s))),
    ]


def _warped(envelope: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Stretch the frequency axis of (bins, T)."""
    bins = np.arange(len(envelope)) / factor
    return np.ascontiguousarray(envelope[np.clip(bins.round().astype(int), 0, len(envelope) - 1)])


@cache
def hibari() -> Speaker:
    """Give the synthesizer of this process."""
    return Speaker()
