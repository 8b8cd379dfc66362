"""Decode media in child processes that may be killed: the door of this room.

A file that hangs, fills memory or crashes its decoder costs one child, which is replaced, and one
request, which gets a typed error. Nothing crosses but typed messages over a private socket.
Not here: the decoding itself (child), what the arrays become (mel, patches).
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from typing import Any

import msgspec
from numpy.typing import NDArray

from myna.core.errors import (
    InvalidRequest,
    MynaError,
    Overloaded,
    RemoteError,
    TooLarge,
    Unavailable,
)
from myna.media.decoded import Clip, Picture, Pixels, Sound
from myna.media.frame_choice import ClipOptions
from myna.media.jobs import (
    Answer,
    Arrays,
    AudioJob,
    Decoded,
    ImageJob,
    Job,
    MaskJob,
    Ready,
    Refused,
    Task,
    VideoJob,
    receive_answer,
    send,
)
from myna.media.limits import MediaBudget

START_S = 30.0
GRACE_S = 2.0
MODEL_RATE_HZ = 16_000


class DecoderLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bound what decoding one file may take, and how long a file waits for its turn.

    Videos have bounds of their own: ten minutes of full HD take about a minute to decode.
    """

    memory_bytes: int = 2**30
    cpu_s: float = 20.0
    wall_s: float = 30.0
    video_cpu_s: float = 90.0
    video_wall_s: float = 120.0
    queue_s: float = 30.0


class Decoder:
    """Decode files in a few child processes; safe to call from any thread.

    Children are started by the first files and stay warm. They end with this process, however it
    ends.

    Args:
        num_children: how many files are decoded at once.
        limits: for each file.
    """

    def __init__(self, *, num_children: int = 2, limits: DecoderLimits | None = None) -> None:
        self._limits = limits or DecoderLimits()
        # `None` stands for a child that is not started yet.
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        self._is_closed = threading.Event()
        for _ in range(num_children):
            self._idle.put(None)

    def image(self, data: bytes, budget: MediaBudget) -> Picture:
        """Decode a picture."""
        _, arrays = self._decode(ImageJob(), data, budget)
        return Picture(pixels=_array(arrays, 0, "uint8"))

    def mask(self, data: bytes, budget: MediaBudget) -> Pixels:
        """Decode a mask: (height, width), 255 where all is marked, 0 where nothing is."""
        _, arrays = self._decode(MaskJob(), data, budget)
        marked: Pixels = _array(arrays, 0, "uint8")
        return marked

    def audio(
        self, data: bytes, budget: MediaBudget, *, rate_hz: int | None = MODEL_RATE_HZ
    ) -> Sound:
        """Decode a sound file, to a rate or at its own."""
        answer, arrays = self._decode(AudioJob(rate_hz=rate_hz), data, budget)
        return Sound(samples=_array(arrays, 0, "float32"), rate_hz=answer.rate_hz or 0)

    def video(self, data: bytes, options: ClipOptions, budget: MediaBudget) -> Clip:
        """Decode the chosen frames of a video."""
        answer, arrays = self._decode(VideoJob(options=options), data, budget)
        sound = None
        if answer.rate_hz is not None:
            sound = Sound(samples=_array(arrays, 1, "float32"), rate_hz=answer.rate_hz)
        return Clip(
            frames=_array(arrays, 0, "uint8"),
            times_s=answer.times_s,
            sample_fps=answer.sample_fps or 0.0,
            sound=sound,
        )

    def close(self) -> None:
        """End the children that are idle; those at work end with their file."""
        self._is_closed.set()
        while True:
            try:
                child = self._idle.get_nowait()
            except queue.Empty:
                return
            if child is not None:
                child.end()

    def _decode(self, job: Job, data: bytes, budget: MediaBudget) -> tuple[Decoded, Arrays]:
        """Charge a file, wait for a child, and have it decoded."""
        budget.charge_item(len(data))
        child = self._take()
        try:
            child = self._start_if_dead(child)
            decoded, arrays = child.decode(self._task(job, data, budget), data)
        finally:
            self._give_back(child)
        budget.spent = decoded.spent
        return decoded, arrays

    def _task(self, job: Job, data: bytes, budget: MediaBudget) -> Task:
        limits, is_video = self._limits, isinstance(job, VideoJob)
        return Task(
            job=job,
            num_bytes=len(data),
            limits=budget.limits,
            spent=budget.spent,
            cpu_s=limits.video_cpu_s if is_video else limits.cpu_s,
            wall_s=limits.video_wall_s if is_video else limits.wall_s,
        )

    def _take(self) -> _Child | None:
        if self._is_closed.is_set():
            raise Unavailable("media are no longer decoded: the server is closing")
        try:
            return self._idle.get(timeout=self._limits.queue_s)
        except queue.Empty:
            raise Overloaded(
                "other requests' media are being decoded; try again soon", retry_after_s=1.0
            ) from None

    def _start_if_dead(self, child: _Child | None) -> _Child:
        if child is not None and child.is_alive():
            return child
        if child is not None:
            child.end()
        return _Child(self._limits)

    def _give_back(self, child: _Child | None) -> None:
        if child is not None and (self._is_closed.is_set() or not child.is_alive()):
            child.end()
            child = None
        self._idle.put(child)


class _Child:
    """Own one child process and the socket to it."""

    def __init__(self, limits: DecoderLimits) -> None:
        self._socket, theirs = socket.socketpair()
        self._has_failed = False
        # The folder is gone once the child has started in it: it holds nothing, for good.
        with theirs, tempfile.TemporaryDirectory(prefix="myna-") as folder:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "myna.media.child", str(limits.memory_bytes)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    "OPENBLAS_NUM_THREADS": "1",
                },
                process_group=0,
            )
            answer = None
            self.end = weakref.finalize(self, _end, self._process, self._socket)
            theirs.close()
            with contextlib.suppress(TimeoutError):
                answer = self._receive(START_S)
        if answer is None or not isinstance(answer[0], Ready):
            self.end()
            raise Unavailable(
                f"the process that decodes media did not start within {START_S:g} s; see its "
                "memory limit"
            )
        self.has_no_network = answer[0].has_no_network

    @property
    def pid(self) -> int:
        """Name the process."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Tell whether it can be given another file."""
        return not self._has_failed and self._process.poll() is None

    def decode(self, task: Task, data: bytes) -> tuple[Decoded, Arrays]:
        """Have one file decoded."""
        self._has_failed = True  # unless an answer comes
        try:
            self._socket.settimeout(task.wall_s + GRACE_S)
            send(self._socket, task, data)
            answer = self._receive(task.wall_s + GRACE_S)
        except TimeoutError:
            self.end()
            raise _takes_too_long(task) from None
        except ConnectionError:
            answer = None
        if answer is None:
            raise self._describe_death(task)
        self._has_failed = False
        header, arrays = answer
        if isinstance(header, Refused):
            raise RemoteError(header.error)
        if not isinstance(header, Decoded):
            raise Unavailable("the process that decodes media makes no sense; try again")
        return header, arrays

    def _receive(self, timeout_s: float) -> tuple[Answer, Arrays] | None:
        """Wait for an answer; `None` when the child is gone or makes no sense."""
        self._socket.settimeout(timeout_s)
        try:
            return receive_answer(self._socket)
        except (ConnectionError, msgspec.MsgspecError):
            return None

    def _describe_death(self, task: Task) -> MynaError:
        """Tell the sender of a file what ended the child that worked on it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S)
        self.end()
        match -self._process.returncode:
            case signal.SIGXCPU | signal.SIGALRM:
                return _takes_too_long(task)
            case signal.SIGKILL | signal.SIGTERM:
                return Unavailable("the process that decodes media was ended; try again")
        return InvalidRequest(
            "the file is damaged and cannot be decoded; save it again", code="bad_media"
        )


def _takes_too_long(task: Task) -> TooLarge:
    return TooLarge(
        f"decoding the file takes longer than {task.cpu_s:g} s of computing, or {task.wall_s:g} s "
        "in all; send a shorter or smaller one",
        code="media_too_large",
    )


def _end(process: subprocess.Popen[bytes], sock: socket.socket) -> None:
    """End a child at once, and collect what is left of it."""
    sock.close()
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _array(arrays: Arrays, idx: int, dtype: str) -> NDArray[Any]:  # Any: as `dtype` says
    if idx >= len(arrays) or arrays[idx].dtype != dtype:
        raise Unavailable("the process that decodes media makes no sense; try again")
    return arrays[idx]
