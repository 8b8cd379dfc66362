"""The process that touches untrusted files: decodes one after another until it is killed.

It opens nothing: before the first file it gives up the right to any new descriptor, so neither a
file nor a socket can be reached whatever a decoder is made to try; memory and time are bounded
by the system, and where the system allows it there is no network either.
Not here: what to do when it dies (decoder).
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import resource
import select
import signal
import socket
import sys
import threading

import numpy as np

from myna.core.errors import ErrorInfo, InvalidRequest, MynaError, TooLarge
from myna.media.audio import decode_audio
from myna.media.image import decode_image, decode_mask, warm_up
from myna.media.jobs import (
    ArrayInfo,
    Arrays,
    AudioJob,
    Decoded,
    ImageJob,
    MaskJob,
    Ready,
    Refused,
    Task,
    VideoJob,
    receive_task,
    send,
)
from myna.media.limits import MediaBudget
from myna.media.video import decode_video

NUM_DESCRIPTORS = 3  # the socket, and where output goes
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # Linux, sched.h

log = logging.getLogger("myna.media")


def main(memory_bytes: int) -> None:
    """Decode files that come over the socket in place of standard input."""
    sock = socket.socket(fileno=0)
    has_no_network = _leave_network()
    warm_up()
    _restrict(memory_bytes)
    threading.Thread(target=_leave_with_parent, args=(sock,), daemon=True).start()
    send(sock, Ready(has_no_network=has_no_network))
    while (received := receive_task(sock)) is not None:
        task, data = received
        _set_timers(task)
        answer, arrays = run(task, data)
        signal.setitimer(signal.ITIMER_REAL, 0)
        del received, data
        send(sock, answer, *(array.data.cast("B") for array in arrays))


def run(task: Task, data: bytes) -> tuple[Decoded | Refused, Arrays]:
    """Decode one file, or say why not."""
    budget = MediaBudget(task.limits, spent=task.spent)
    try:
        return _decode(task, data, budget)
    except MynaError as error:
        return Refused(error=error.info()), []
    except MemoryError:
        return Refused(error=_no_memory()), []
    except Exception:  # a process boundary: whatever a decoder raises is the file's doing
        log.exception("a file of %d bytes could not be decoded", len(data))
        return Refused(error=_unreadable()), []


def _decode(task: Task, data: bytes, budget: MediaBudget) -> tuple[Decoded, Arrays]:
    arrays: Arrays = []
    rate_hz: int | None = None
    sample_fps: float | None = None
    times_s: tuple[float, ...] = ()
    match task.job:
        case ImageJob():
            arrays = [decode_image(data, budget).pixels]
        case MaskJob():
            arrays = [decode_mask(data, budget)]
        case AudioJob(rate_hz=wanted_hz):
            sound = decode_audio(data, budget, rate_hz=wanted_hz)
            arrays, rate_hz = [sound.samples], sound.rate_hz
        case VideoJob(options=options):
            clip = decode_video(data, options, budget)
            arrays, sample_fps, times_s = [clip.frames], clip.sample_fps, clip.times_s
            if clip.sound is not None:
                arrays.append(clip.sound.samples)
                rate_hz = clip.sound.rate_hz
    arrays = [np.ascontiguousarray(array) for array in arrays]
    infos = tuple(ArrayInfo(shape=array.shape, dtype=array.dtype.name) for array in arrays)  # type: ignore[arg-type]  # the two names are all that decoders make
    answer = Decoded(
        spent=budget.spent, arrays=infos, rate_hz=rate_hz, sample_fps=sample_fps, times_s=times_s
    )
    return answer, arrays


def _no_memory() -> ErrorInfo:
    return TooLarge(
        "decoding the file takes more memory than it may; make it smaller", code="media_too_large"
    ).info()


def _unreadable() -> ErrorInfo:
    return InvalidRequest(
        "the file is damaged and cannot be decoded; save it again", code="bad_media"
    ).info()


def _leave_network() -> bool:
    """Move to a namespace without networks; tell whether the system let us."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return any(libc.unshare(flags) == 0 for flags in (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET))


def _restrict(memory_bytes: int) -> None:
    """Give up memory above a bound, core files, writing, and every new descriptor."""
    for kind, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, NUM_DESCRIPTORS),
    ):
        most = _allowed(kind, most)
        resource.setrlimit(kind, (most, most))


def _allowed(kind: int, most: int) -> int:
    """Keep a bound below the one that the process was started with."""
    _, greatest = resource.getrlimit(kind)
    return most if greatest == resource.RLIM_INFINITY else min(most, greatest)


def _set_timers(task: Task) -> None:
    """Have the system end this process when a file takes too long."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    until_s = int(used.ru_utime + used.ru_stime + task.cpu_s) + 1
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_allowed(resource.RLIMIT_CPU, until_s), most))
    signal.setitimer(signal.ITIMER_REAL, task.wall_s)


def _leave_with_parent(sock: socket.socket) -> None:
    """End the process when the other end of the socket is closed, even in the middle of a file."""
    poll = select.poll()
    poll.register(sock, 0)  # a hang-up is always reported
    poll.poll()
    os._exit(0)


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError):
        main(int(sys.argv[1]))
