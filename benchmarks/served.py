"""A server to be measured, in a process of its own: started, asked, looked at.

Not here: what is measured (overload, kills).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from myna import embedded

Json = dict[str, Any]  # Any: what a server answers.

READY_S, ANSWER_S = 60.0, 120.0
TICK_S = 0.05
PATH = "/v1/chat/completions"
HEADERS = {"Content-Type": "application/json"}


@dataclass
class Server:
    """A server in a process of its own, with the model in the box."""

    process: subprocess.Popen[bytes]
    port: int

    def call(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        """Ask for something and read the whole answer; what is no JSON object reads as empty."""
        status, text = self.read(method, path, body)
        return status, json.loads(text) if text.startswith(b"{") else {}

    def read(self, method: str, path: str, body: Json | None = None) -> tuple[int, bytes]:
        """Ask for something and read the whole answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), HEADERS)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Tell whether a request would be answered."""
        try:
            return self.call("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def canary(self) -> Json:
        """Ask for a greedy answer; gives what must not change."""
        body = chat("What is 7 plus 5?", max_tokens=24, temperature=0, stream=False)
        status, answer = self.call("POST", PATH, body)
        return {"status": status, "choices": answer.get("choices"), "error": answer.get("error")}

    def family(self) -> list[int]:
        """List this process and all below it, the oldest of each first."""
        below: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            below.setdefault(parent, []).append(int(stat.parent.name))
        found = [self.process.pid]
        for pid in found:
            found += sorted(below.get(pid, ()))
        return found

    def find(self, module: str) -> list[int]:
        """List the processes below this one that run a module."""
        wanted = module.encode()
        return [pid for pid in self.family() if wanted in command_of(pid).split(b"\0")]


@contextmanager
def served(home: Path, command: Sequence[str] = ()) -> Iterator[Server]:
    """Serve the model in the box, by `myna serve` or another command; a port is appended.

    Args:
        home: the data folder.
        command: of another server.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    usual = (sys.executable, "-m", "myna", "serve", embedded.NAME, "--port")
    environment = {**os.environ, "MYNA_HOME": str(home)}
    with subprocess.Popen(
        [*(command or usual), str(port)], env=environment, stderr=subprocess.DEVNULL
    ) as process:
        server = Server(process, port)
        try:
            if wait_until(server.is_ready, limit_s=READY_S) is None:
                sys.exit("nano is not being served; `myna serve nano` says why")
            yield server
        finally:
            process.terminate()


def wait_until(
    holds: Callable[[], bool], *, limit_s: float, tick_s: float = TICK_S
) -> float | None:
    """Wait for something; returns the seconds that it took, or nothing if it did not come."""
    started_s = time.monotonic()
    while not holds():
        if time.monotonic() > started_s + limit_s:
            return None
        time.sleep(tick_s)
    return time.monotonic() - started_s


def command_of(pid: int) -> bytes:
    """Read the command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def is_alive(pid: int) -> bool:
    """Tell whether a process has not ended; one that waits to be collected has.

    The first thread of a process that is killed may have ended before the others have.
    """
    process = Path(f"/proc/{pid}")
    try:
        states = [
            stat.read_text().rpartition(")")[2].split()[0] for stat in process.glob("task/*/stat")
        ]
        return any(state not in "ZX" for state in states)
    except (FileNotFoundError, ProcessLookupError):
        return False


def chat(text: str, **wishes: object) -> Json:
    """Write a request; its answer is streamed unless it is wished otherwise."""
    return {"stream": True, "messages": [{"role": "user", "content": text}], **wishes}


@dataclass
class Asked:
    """Follow one streamed answer from a thread of its own.

    Attributes:
        mark: is found in the event that is waited for.
        begun: set when that came, or at the end.
        ended_s: when the answer ended, by the monotonic clock.
        error: what it ended with, if that was an error.
        is_whole: whether it ended as good ones do.
    """

    server: Server
    body: Json
    mark: bytes = b'"content":"'
    begun: threading.Event = field(default_factory=threading.Event)
    ended_s: float = 0.0
    status: int | None = None
    error: Json | None = None
    is_whole: bool = False

    def __post_init__(self) -> None:
        """Ask."""
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=ANSWER_S)
        # What breaks off is neither whole nor told why.
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("POST", PATH, json.dumps(self.body), HEADERS)
            answer = connection.getresponse()
            self.status = answer.status
            while line := answer.readline():
                self._read(line.removeprefix(b"data: "))
        self.ended_s = time.monotonic()
        self.begun.set()
        connection.close()

    def _read(self, line: bytes) -> None:
        if self.mark in line:
            self.begun.set()
        if line.startswith(b"[DONE]"):
            self.is_whole = True
        elif line.startswith(b'{"error"'):
            self.error = json.loads(line)["error"]

    def fate(self) -> str:
        """Wait for the end, and say how it was."""
        self.thread.join(ANSWER_S)
        if self.thread.is_alive():
            return "never ended"
        if self.is_whole:
            return "whole"
        return "broke off" if self.error is None else f"{self.status} {self.error['code']}"
