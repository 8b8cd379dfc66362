from __future__ import annotations

import socket

import numpy as np
import pytest

from myna.media.jobs import (
    ArrayInfo,
    AudioJob,
    Decoded,
    Task,
    receive_answer,
    receive_task,
    send,
)
from myna.media.limits import MediaLimits, Spent


def task(job: AudioJob, num_bytes: int) -> Task:
    return Task(
        job=job,
        num_bytes=num_bytes,
        limits=MediaLimits(),
        spent=Spent(),
        cpu_s=20.0,
        wall_s=20.0,
    )


def test_messages_cross_a_socket_whole() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, task(AudioJob(rate_hz=None), num_bytes=3), b"abc")
        received = receive_task(theirs)
        assert received is not None
        assert received[1] == b"abc"
        array = np.arange(6, dtype=np.float32).reshape(2, 3)
        info = ArrayInfo(shape=(2, 3), dtype="float32")
        send(theirs, Decoded(spent=Spent(), arrays=(info,)), array.data.cast("B"))
        answer = receive_answer(ours)
        assert answer is not None
        assert np.array_equal(answer[1][0], array)


@pytest.mark.parametrize("shape", [(2**40, 2**40), (-1, -1), (0, 5), (2**30, 2)])
def test_announced_sizes_without_sense_are_not_believed(shape: tuple[int, ...]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        info = ArrayInfo(shape=shape, dtype="uint8")
        send(theirs, Decoded(spent=Spent(), arrays=(info,)))
        assert receive_answer(ours) is None


def test_a_header_of_any_size_is_not_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"\xff" * 8)
        assert receive_answer(ours) is None


def test_a_connection_that_ends_early_is_no_message() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        info = ArrayInfo(shape=(100,), dtype="uint8")
        send(theirs, Decoded(spent=Spent(), arrays=(info,)), b"too few")
        theirs.close()
        assert receive_answer(ours) is None
        assert receive_task(ours) is None
