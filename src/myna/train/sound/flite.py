"""flite, called through its C library: statistical voices, with the time of every phone.

Source: flite 2.2 `flite.h`, `cst_item.h`, `cst_utterance.h`.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

import numpy as np

from myna.train.sound.phones import SILENCE, from_flite
from myna.train.sound.utterance import (
    PUNCTUATION,
    NotSpoken,
    Span,
    Utterance,
    gathered,
    letter_places,
    tokens,
)

LIBRARIES = ("libflite.so.1", "libflite_usenglish.so.1", "libflite_cmulex.so.1")


class _Voice(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("features", ctypes.c_void_p))


class _Wave(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_char_p),
        ("rate_hz", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


@dataclass(frozen=True, kw_only=True)
class Manner:
    """Say how flite is to speak.

    Attributes:
        voice: "awb", "kal16", "rms" and so on.
        stretch: of all durations.
        pitch_hz: of the voice's middle.
    """

    voice: str
    stretch: float = 1.0
    pitch_hz: float = 110.0


class Flite:
    """Speak through the libraries of this process."""

    def __init__(self) -> None:
        loaded = [ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL) for name in LIBRARIES]
        self._library = loaded[0]
        self._library.flite_init()
        address, name = ctypes.c_void_p, ctypes.c_char_p
        for function, result, arguments in (
            ("flite_synth_text", address, (name, address)),
            ("utt_wave", address, (address,)),
            ("utt_relation", address, (address, name)),
            ("relation_head", address, (address,)),
            ("item_next", address, (address,)),
            ("item_parent", address, (address,)),
            ("item_as", address, (address, name)),
            ("item_feat_string", name, (address, name)),
            ("item_feat_float", ctypes.c_float, (address, name)),
            ("delete_utterance", None, (address,)),
            ("flite_feat_set_float", None, (address, name, ctypes.c_float)),
        ):
            found = getattr(self._library, function)
            found.restype, found.argtypes = result, arguments
        self._voices: dict[str, int] = {}

    def say(self, text: str, manner: Manner) -> Utterance:
        """Speak a text.

        Raises:
            NotSpoken: there is no such voice, or the words heard are not those of the text.
        """
        voice = self._voice(manner.voice)
        features = _Voice.from_address(voice).features
        self._library.flite_feat_set_float(features, b"duration_stretch", manner.stretch)
        self._library.flite_feat_set_float(features, b"int_f0_target_mean", manner.pitch_hz)
        utterance = self._library.flite_synth_text(_spell(text).encode(), voice)
        try:
            wave = _Wave.from_address(self._library.utt_wave(utterance))
            sound = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)).astype(np.float32)
            return gathered(
                text,
                self._pieces(utterance, wave.num_samples / wave.rate_hz),
                samples=sound,
                rate_hz=wave.rate_hz,
                voice=f"flite-{manner.voice}",
            )
        finally:
            self._library.delete_utterance(utterance)

    def _voice(self, name: str) -> int:
        if name not in self._voices:
            try:
                library = ctypes.CDLL(f"libflite_cmu_us_{name}.so.1")
            except OSError as error:
                raise NotSpoken(f"flite has no voice {name!r}: {error}") from error
            register = getattr(library, f"register_cmu_us_{name}")
            register.restype, register.argtypes = ctypes.c_void_p, (ctypes.c_char_p,)
            self._voices[name] = register(None)
        return self._voices[name]

    def _pieces(self, utterance: int, seconds: float) -> list[tuple[int | None, Span]]:
        """Walk over the phones; a token of the text may be several of flite's words."""
        library = self._library
        pieces: list[tuple[int | None, Span]] = []
        tokens_met: list[int] = []
        start = 0.0
        item = library.relation_head(library.utt_relation(utterance, b"Segment"))
        while item:
            name = from_flite(library.item_feat_string(item, b"name").decode())
            end = min(library.item_feat_float(item, b"end"), seconds)
            token = None if name == SILENCE else self._token(item)
            if token is not None and token not in tokens_met:
                tokens_met.append(token)
            place = None if token is None else tokens_met.index(token)
            pieces.append((place, Span(name, start, end)))
            start, item = end, library.item_next(item)
        return pieces

    def _token(self, segment: int) -> int | None:
        """Find the item of the text's token that a phone belongs to: phone, syllable, word."""
        item = self._library.item_as(segment, b"SylStructure")
        for _ in range(2):
            item = item and self._library.item_parent(item)
        item = item and self._library.item_as(item, b"Token")
        return self._library.item_parent(item) if item else None


def _spell(text: str) -> str:
    """Write a text so that letters are read as letters: flite reads lone capitals so."""
    words = tokens(text)
    letters = letter_places(words)
    parts, place = [], 0
    for part in text.lower().split():
        word = part.strip(PUNCTUATION)
        is_letter = len(word) == 1 and (word != "a" or place in letters)
        parts.append(part.upper() if is_letter else part)
        place += bool(word)
    return " ".join(parts)


@cache
def flite() -> Flite:
    """Give the synthesizer of this process."""
    return Flite()
