"""What the decoding child is asked, what it answers, and how both cross the socket.

A message is a typed header in msgpack, then raw bytes: a file on the way in, arrays on the way out.
The sizes of what follows stand in the header and are checked before any room is made for them.
Not here: the child (child), who asks (decoder).
"""

from __future__ import annotations

import math
import socket
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from myna.core.errors import ErrorInfo
from myna.media.frame_choice import ClipOptions
from myna.media.limits import MediaLimits, Spent

LENGTH_BYTES = 4
MAX_HEADER_BYTES = 2**20
MAX_PAYLOAD_BYTES = 2**30


class ImageJob(msgspec.Struct, frozen=True, kw_only=True, tag="image"):
    """Ask for a picture."""


class MaskJob(msgspec.Struct, frozen=True, kw_only=True, tag="mask"):
    """Ask for what a mask marks."""


class AudioJob(msgspec.Struct, frozen=True, kw_only=True, tag="audio"):
    """Ask for a sound, at a rate or at its own."""

    rate_hz: int | None


class VideoJob(msgspec.Struct, frozen=True, kw_only=True, tag="video"):
    """Ask for the frames of a video."""

    options: ClipOptions


Job = ImageJob | MaskJob | AudioJob | VideoJob


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a file of `num_bytes`, which follows, to be decoded within a budget and a time."""

    job: Job
    num_bytes: int
    limits: MediaLimits
    spent: Spent
    cpu_s: float
    wall_s: float


class ArrayInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Announce an array; its bytes follow the header."""

    shape: tuple[int, ...]
    dtype: Literal["uint8", "float32"]

    @property
    def num_bytes(self) -> int:
        """Tell how many bytes follow."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """Tell that the child can work, and whether it is cut off from all networks."""

    has_no_network: bool


class Decoded(msgspec.Struct, frozen=True, kw_only=True, tag="decoded"):
    """Answer with arrays: of a picture its pixels, of a sound its samples, of a clip both."""

    spent: Spent
    arrays: tuple[ArrayInfo, ...]
    rate_hz: int | None = None
    sample_fps: float | None = None
    times_s: tuple[float, ...] = ()


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """Answer with an error for the caller."""

    error: ErrorInfo


Answer = Ready | Decoded | Refused
# Any: of bytes or of floats, as the header says.
Arrays = list[NDArray[Any]]


def send(sock: socket.socket, header: msgspec.Struct, *payloads: memoryview | bytes) -> None:
    """Send a header and what it announces."""
    body = msgspec.msgpack.encode(header)
    sock.sendall(len(body).to_bytes(LENGTH_BYTES, "big") + body)
    for payload in payloads:
        sock.sendall(payload)


def receive_task(sock: socket.socket) -> tuple[Task, bytes] | None:
    """Wait for a task and its file; `None` when the asking side is gone."""
    body = _receive_header(sock)
    if body is None:
        return None
    task = msgspec.msgpack.decode(body, type=Task)
    data = bytearray(task.num_bytes)
    return (task, bytes(data)) if _fill(sock, memoryview(data)) else None


def receive_answer(sock: socket.socket) -> tuple[Answer, Arrays] | None:
    """Wait for an answer and its arrays; `None` when the child is gone or makes no sense."""
    body = _receive_header(sock)
    if body is None:
        return None
    answer: Answer = msgspec.msgpack.decode(body, type=Answer)
    if not isinstance(answer, Decoded):
        return answer, []
    if not _are_sane(answer.arrays):
        return None
    arrays: Arrays = []
    for info in answer.arrays:
        array = np.empty(info.shape, info.dtype)
        if not _fill(sock, array.data.cast("B")):
            return None
        arrays.append(array)
    return answer, arrays


def _are_sane(infos: Sequence[ArrayInfo]) -> bool:
    """Tell whether announced arrays have sizes, and fit into what may be received."""
    has_sizes = all(size > 0 for info in infos for size in info.shape)
    return has_sizes and sum(info.num_bytes for info in infos) <= MAX_PAYLOAD_BYTES


def _receive_header(sock: socket.socket) -> bytes | None:
    length = bytearray(LENGTH_BYTES)
    if not _fill(sock, memoryview(length)):
        return None
    num_bytes = int.from_bytes(length, "big")
    if num_bytes > MAX_HEADER_BYTES:
        return None
    body = bytearray(num_bytes)
    return bytes(body) if _fill(sock, memoryview(body)) else None


def _fill(sock: socket.socket, room: memoryview) -> bool:
    """Receive exactly as many bytes as there is room for; false when the other side is gone."""
    while len(room):
        num_bytes = sock.recv_into(room)
        if not num_bytes:
            return False
        room = room[num_bytes:]
    return True
