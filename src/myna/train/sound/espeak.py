"""espeak-ng, called through its C library: dozens of voices, with the time of every phoneme.

Source: espeak-ng 1.51 `speak_lib.h`. The library keeps one voice and one set of parameters for the
whole process; they are set anew for each utterance.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

import numpy as np

from myna.train.sound.phones import SILENCE, from_ipa
from myna.train.sound.utterance import (
    PUNCTUATION,
    NotSpoken,
    Span,
    Utterance,
    gathered,
    letter_places,
    tokens,
)

LIBRARY = "libespeak-ng.so.1"
_SYNCHRONOUS = 2
_PHONEME_EVENTS_IN_IPA = 1 | 2
_UTF8_WITH_PHONEMES = 1 | 0x100
_RATE, _PITCH, _RANGE = 1, 3, 4
_WORD, _PHONEME = 1, 7
_LETTER_A = "[[eI]]"


class _Event(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


@dataclass(frozen=True, kw_only=True)
class Manner:
    """Say how espeak-ng is to speak.

    Attributes:
        voice: a language and a variant, such as "en-us+f3".
        words_a_minute: 80 to 450.
        pitch: 0 to 100.
        range: 0 (monotone) to 100.
    """

    voice: str
    words_a_minute: int = 165
    pitch: int = 50
    range: int = 50


@dataclass
class _Heard:
    sound: bytearray
    events: list[tuple[int, int, int, str]]  # kind, text position, sample, name


class Espeak:
    """Speak through the library of this process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(LIBRARY)
        self.rate_hz = self._library.espeak_Initialize(
            _SYNCHRONOUS, 0, None, _PHONEME_EVENTS_IN_IPA
        )
        self._heard = _Heard(bytearray(), [])
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
        )
        self._callback = kind(self._take)  # must live as long as the library may call it
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, manner: Manner) -> Utterance:
        """Speak a text.

        Raises:
            NotSpoken: there is no such voice, or the words heard are not those of the text.
        """
        if self._library.espeak_SetVoiceByName(manner.voice.encode()):
            raise NotSpoken(f"espeak-ng has no voice {manner.voice!r}")
        for parameter, value in (
            (_RATE, manner.words_a_minute),
            (_PITCH, manner.pitch),
            (_RANGE, manner.range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        written, starts = _spell(text)
        self._heard = _Heard(bytearray(), [])
        data = written.encode() + b"\0"
        self._library.espeak_Synth(data, len(data), 0, 1, 0, _UTF8_WITH_PHONEMES, None, None)
        self._library.espeak_Synchronize()
        sound = np.frombuffer(self._heard.sound, np.int16).astype(np.float32) / np.float32(2**15)
        return gathered(
            text,
            self._pieces(starts, len(sound)),
            samples=sound,
            rate_hz=self.rate_hz,
            voice=manner.voice,
        )

    def _take(self, sound: ctypes._Pointer[ctypes.c_short], count: int, events: object) -> int:
        if sound and count > 0:
            self._heard.sound += ctypes.string_at(sound, 2 * count)
        i = 0
        while events[i].kind:  # type: ignore[index]  # a C array that ends with kind 0
            event = events[i]  # type: ignore[index]
            if event.kind in (_WORD, _PHONEME):
                name = event.name.decode() if event.kind == _PHONEME else ""
                self._heard.events.append((event.kind, event.text_position, event.sample, name))
            i += 1
        return 0

    def _pieces(self, starts: list[int], num_samples: int) -> list[tuple[int | None, Span]]:
        """Give each phone its word and its end: the next one's beginning."""
        place: int | None = None
        phones: list[tuple[int | None, str, int]] = []
        for kind, position, sample, name in self._heard.events:
            if kind == _WORD:
                place = max((i for i, start in enumerate(starts) if start < position), default=0)
            else:
                phones.append((place, name, sample))
        ends = [sample for _, _, sample in phones[1:]] + [num_samples]
        pieces: list[tuple[int | None, Span]] = [
            (None, Span(SILENCE, 0.0, phones[0][2] / self.rate_hz if phones else 0.0))
        ]
        for (word, name, start), end in zip(phones, ends, strict=True):
            symbols = from_ipa(name.replace("_", "").replace(":", ""))
            edges = np.linspace(start, end, len(symbols) + 1) / self.rate_hz
            for symbol, begin, stop in zip(symbols, edges, edges[1:], strict=False):
                pieces.append((word, Span(symbol, float(begin), float(stop))))
        return pieces


def _spell(text: str) -> tuple[str, list[int]]:
    """Write a text so that letters are read as letters; tell where its words start (from 0)."""
    words = tokens(text)
    letters = letter_places(words)
    written, starts = "", list[int]()
    for part in text.lower().split():
        word = part.strip(PUNCTUATION)
        if word:
            shown = part.replace(word, _LETTER_A) if len(starts) in letters else part
            starts.append(len(written))
        else:
            shown = part
        written += f"{shown} "
    return written.rstrip(), starts


@cache
def espeak() -> Espeak:
    """Give the one synthesizer that a process can have."""
    return Espeak()
