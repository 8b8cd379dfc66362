"""Keep the child process that proves grammars: start it, ask it, end it when it hangs.

Not here: what the child does (grammar_child), what is asked of it (grammar).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import weakref

import msgspec

from myna.core.errors import Overloaded, Unavailable
from myna.engine.grammar_child import (
    Opening,
    ProofLimits,
    Verdict,
    Vocabulary,
    receive_frame,
    send_frame,
)

START_S = 20.0
# The child ends a proof by itself; what this adds is for a machine that is busy.
GRACE_S = 1.0
QUEUE_S = 1.0


class Prover:
    """Prove grammars in a child process, one at a time; safe to call from any thread.

    The child is started by the first proof and stays warm. It ends with this process, however this
    process ends: its socket is closed then.
    """

    def __init__(self, vocabulary: Vocabulary, *, limits: ProofLimits | None = None) -> None:
        self._vocabulary = vocabulary
        self._limits = limits or ProofLimits()
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def prove(self, grammar: str) -> Verdict:
        """Tell whether a grammar can be compiled and followed within the limits.

        Raises:
            Overloaded: other proofs kept the child busy for too long.
            Unavailable: the child could not be started, or died without a word.
        """
        if not self._lock.acquire(timeout=QUEUE_S):
            raise Overloaded(
                "other requests' grammars are being compiled; try again soon", retry_after_s=QUEUE_S
            )
        try:
            # The second round is for a child that was killed while it waited for work.
            for _ in range(2):
                verdict = self._ask(grammar)
                if verdict is not None:
                    return verdict
            raise Unavailable("the process that checks grammars keeps dying; see its memory limits")
        finally:
            self._lock.release()

    def warm(self) -> None:
        """Start the child now, so that the first proof does not wait for it."""
        with self._lock:
            self._start_child()

    def close(self) -> None:
        """End the child; the next proof would start another."""
        with self._lock:
            self._end_child()

    def _ask(self, grammar: str) -> Verdict | None:
        """Have the child prove a grammar; `None` when it turns out to be gone."""
        timeout_s = self._limits.compile_s + self._limits.follow_s + GRACE_S
        try:
            verdict = self._start_child().ask(grammar, timeout_s=timeout_s)
        except TimeoutError as error:
            self._end_child()
            raise Unavailable("the process that checks grammars hangs; try again") from error
        if verdict is None:
            self._end_child()
        return verdict

    def _start_child(self) -> _Child:
        if self._child is None:
            self._child = _Child(self._vocabulary, self._limits)
        return self._child

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """Own one child process and the socket to it."""

    def __init__(self, vocabulary: Vocabulary, limits: ProofLimits) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "myna.engine.grammar_child"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Nothing of ours, no keys, but the places where Python finds its packages.
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                process_group=0,
            )
        self.end = weakref.finalize(self, _end, self.process, self._socket)
        opening = msgspec.msgpack.encode(Opening(vocabulary=vocabulary, limits=limits))
        try:
            is_ready = self._exchange(opening, timeout_s=START_S) is not None
        except TimeoutError:
            is_ready = False
        if not is_ready:
            self.end()
            raise Unavailable(
                f"the process that checks grammars did not start within {START_S:g} s; try again"
            )

    def ask(self, grammar: str, *, timeout_s: float) -> Verdict | None:
        """Have a grammar proved; `None` when the child is gone or talks nonsense.

        Raises:
            TimeoutError: the child hangs.
        """
        return self._exchange(grammar.encode(), timeout_s=timeout_s)

    def _exchange(self, body: bytes, *, timeout_s: float) -> Verdict | None:
        self._socket.settimeout(timeout_s)
        try:
            send_frame(self._socket, body)
            answer = receive_frame(self._socket)
            return None if answer is None else msgspec.msgpack.decode(answer, type=Verdict)
        except (ConnectionError, msgspec.MsgspecError):
            return None


def _end(process: subprocess.Popen[bytes], sock: socket.socket) -> None:
    """End a child and its fork at once, and collect what is left of it."""
    sock.close()
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
