"""Instruments of a General MIDI soundfont, played by FluidSynth's C library.

Source: FluidSynth 2.3 `fluidsynth/{settings,synth}.h`. Nothing is opened but the font: notes are
rendered into memory.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import numpy as np

from myna.train.examples import Samples
from myna.train.sound.utterance import RATE_HZ

LIBRARY = "libfluidsynth.so.3"
FONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
TAIL_S = 0.4  # until a released note has died away


class Soundfont:
    """Render single notes.

    Args:
        font: an SF2 file.

    Raises:
        FileNotFoundError: the font cannot be read.
    """

    def __init__(self, font: Path) -> None:
        self._library = ctypes.CDLL(LIBRARY)
        address, number = ctypes.c_void_p, ctypes.c_int
        for function, result, arguments in (
            ("new_fluid_settings", address, ()),
            ("fluid_settings_setnum", number, (address, ctypes.c_char_p, ctypes.c_double)),
            ("new_fluid_synth", address, (address,)),
            ("fluid_synth_sfload", number, (address, ctypes.c_char_p, number)),
            ("fluid_synth_program_change", number, (address, number, number)),
            ("fluid_synth_noteon", number, (address, number, number, number)),
            ("fluid_synth_noteoff", number, (address, number, number)),
            ("fluid_synth_all_sounds_off", number, (address, number)),
            ("fluid_synth_write_float", number, (address, number, *(address, number, number) * 2)),
        ):
            found = getattr(self._library, function)
            found.restype, found.argtypes = result, arguments
        settings = self._library.new_fluid_settings()
        self._library.fluid_settings_setnum(settings, b"synth.sample-rate", float(RATE_HZ))
        self._synth = self._library.new_fluid_synth(settings)
        if self._library.fluid_synth_sfload(self._synth, str(font).encode(), 1) < 0:
            raise FileNotFoundError(
                f"{font} is no soundfont that can be read; install timgm6mb-soundfont"
            )

    def note(self, program: int, key: int, *, seconds: float, velocity: int = 100) -> Samples:
        """Play one note and let it die away.

        Args:
            program: of General MIDI, from 0.
            key: 60 is the middle C.
            seconds: until the key is released.
            velocity: 1 to 127.
        """
        synth = self._synth
        self._library.fluid_synth_program_change(synth, 0, program)
        self._library.fluid_synth_noteon(synth, 0, key, velocity)
        held = self._rendered(seconds)
        self._library.fluid_synth_noteoff(synth, 0, key)
        tail = self._rendered(TAIL_S)
        self._library.fluid_synth_all_sounds_off(synth, 0)
        return np.concatenate((held, tail))

    def _rendered(self, seconds: float) -> Samples:
        length = round(seconds * RATE_HZ)
        sides = np.zeros((2, length), np.float32)
        left, right = (side.ctypes.data for side in sides)
        self._library.fluid_synth_write_float(self._synth, length, left, 0, 1, right, 0, 1)
        return np.asarray(sides.mean(0), np.float32)


@cache
def soundfont() -> Soundfont:
    """Give the font that training plays."""
    return Soundfont(FONT)


@cache
def note(program: int, key: int, tenths: int) -> Samples:
    """Play a note of so many tenths of a second once, and keep it."""
    return soundfont().note(program, key, seconds=tenths / 10)
