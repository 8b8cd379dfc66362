from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from myna.core.errors import InvalidRequest
from myna.media import child
from myna.media.jobs import (
    AudioJob,
    ImageJob,
    Ready,
    Refused,
    Task,
    receive_answer,
    send,
)
from myna.media.limits import MediaLimits, Spent

CAGE = """
import os, socket, sys
from myna.media import child
child._leave_network()
child.warm_up()
child._restrict(2**30)
refused = 0
for attempt in (
    lambda: open("/etc/passwd"),
    lambda: socket.socket(),
    lambda: os.pipe(),
    lambda: os.dup(1),
    lambda: open("anything", "w"),
):
    try:
        attempt()
    except OSError:
        refused += 1
os.write(1, str(refused).encode())
"""


def task(job: ImageJob | AudioJob, num_bytes: int = 0) -> Task:
    return Task(
        job=job,
        num_bytes=num_bytes,
        limits=MediaLimits(),
        spent=Spent(),
        cpu_s=20.0,
        wall_s=20.0,
    )


def start() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "myna.media.child", str(2**30)], stdin=theirs.fileno()
        )
    ours.settimeout(20)
    return process, ours


def test_the_child_can_open_nothing() -> None:
    answer = subprocess.run([sys.executable, "-c", CAGE], stdout=subprocess.PIPE, check=True)
    assert answer.stdout == b"5"


def test_the_child_loads_no_torch() -> None:
    code = "import sys, myna.media.child; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert answer.stdout.split() == [b"False"]


def test_the_child_ends_with_its_parent_even_in_the_middle_of_a_file() -> None:
    process, sock = start()
    ready = receive_answer(sock)
    assert ready is not None
    assert isinstance(ready[0], Ready)
    send(sock, task(ImageJob(), num_bytes=10), b"half")
    time.sleep(0.05)
    sock.close()
    assert process.wait(5) == 0


def test_memory_that_runs_out_is_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(child, "decode_image", decode)
    answer, arrays = child.run(task(ImageJob()), b"")
    assert isinstance(answer, Refused)
    assert "takes more memory than it may" in answer.error.message
    assert not arrays


def test_what_a_library_says_is_not_passed_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def decode(*_: object) -> None:
        raise KeyError("<_io.BytesIO object at 0x7f8a0000>")

    monkeypatch.setattr(child, "decode_image", decode)
    answer, _ = child.run(task(ImageJob()), b"")
    assert isinstance(answer, Refused)
    assert answer.error.message == "the file is damaged and cannot be decoded; save it again"
    assert answer.error.code == InvalidRequest("", code="bad_media").code
    assert "a file of 0 bytes could not be decoded" in caplog.text
