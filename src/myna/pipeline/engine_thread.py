"""The thread that owns an engine: it alone calls it, between steps it does what others ask.

Not here: what a step is (engine), what becomes of its outputs (answer).
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from myna.core.errors import InternalError, MynaError, Unavailable
from myna.core.requests import RequestId
from myna.engine.engine import Engine
from myna.engine.sequence import Account, EngineRequest, StepOutput
from myna.engine.stats import EngineStats
from myna.speech.turns import Turns

log = logging.getLogger("myna.engine")

Command = Callable[[], None]
Finish = Callable[[int], Account | None]
JOIN_S = 30.0


class Listener(Protocol):
    """Receive one request's outputs, on the engine's thread."""

    @property
    def is_done(self) -> bool:
        """Tell whether every choice has ended."""
        ...

    def on_start(self) -> None:
        """Learn that the request is queued."""
        ...

    def on_output(self, output: StepOutput, finish: Finish) -> None:
        """Take one output; `finish(index)` ends a choice at a stop string and gives its account."""
        ...

    def on_error(self, error: MynaError) -> None:
        """Learn that the request has failed; nothing follows."""
        ...


class EngineThread:
    """Run an engine until closed. All methods may be called from any thread.

    Args:
        engine: belongs to the thread from now on.
        turns: shared with those who compute on the same cores.
    """

    def __init__(self, engine: Engine, turns: Turns | None = None) -> None:
        self._engine = engine
        self._turns = turns or Turns()
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._listeners: dict[RequestId, Listener] = {}
        self._is_closed = False
        self._beat_s = time.monotonic()
        self._is_idle = True
        self._stats = engine.stats()
        self._thread = threading.Thread(target=self._run, name="myna-engine", daemon=True)
        self._thread.start()

    @property
    def heartbeat_age_s(self) -> float:
        """Tell how long ago the engine was last seen to move on; 0 while it has nothing to do.

        A layer of a long step counts, and so does speech, for which the engine waits.
        """
        if self._is_idle:
            return 0.0
        return time.monotonic() - max(self._beat_s, self._turns.moved_s)

    @property
    def stats(self) -> EngineStats:
        """Return the engine's figures after its last step."""
        return self._stats

    def start(self, request: EngineRequest, listener: Listener) -> None:
        """Queue a request; its fate is told to the listener alone."""
        self._commands.put(lambda: self._add(request, listener))
        if self._is_closed:
            listener.on_error(Unavailable("the model is being unloaded; try again later"))

    def cancel(self, request_id: RequestId) -> None:
        """Drop a request before the next step; unknown ids are ignored."""
        self._commands.put(lambda: self._drop(request_id))

    def close(self) -> None:
        """Stop after the current step; open requests fail."""
        if self._is_closed:
            return
        self._is_closed = True
        self._commands.put(None)
        self._thread.join(JOIN_S)

    # On the engine's thread.

    def _run(self) -> None:
        while self._obey():
            try:
                with self._turns.text() as slack_s:
                    outputs = self._engine.step(slack_s)
            except Exception:  # the boundary of the engine: nobody may be left waiting
                log.exception("event=step_failed open=%d", len(self._listeners))
                self._fail_all(InternalError("the engine failed; the server's log has the cause"))
                continue
            for output in outputs:
                self._deliver(output)
        self._fail_all(Unavailable("the model is being unloaded; try again later"))

    def _obey(self) -> bool:
        """Carry out what was asked since the last step; wait while there is nothing to do."""
        while True:
            self._beat_s = time.monotonic()
            self._stats = self._engine.stats()
            self._is_idle = not self._engine.has_work()
            try:
                command = self._commands.get(block=self._is_idle)
            except queue.Empty:
                return True
            if command is None:
                return False
            self._is_idle = False
            command()

    def _add(self, request: EngineRequest, listener: Listener) -> None:
        try:
            self._engine.add(request)
        except MynaError as error:
            listener.on_error(error)
        except Exception:  # a request that cannot even be queued must not end the others
            log.exception("request=%s event=add_failed", request.id)
            listener.on_error(InternalError("queueing failed; the server's log has the cause"))
        else:
            self._listeners[request.id] = listener
            listener.on_start()

    def _drop(self, request_id: RequestId) -> None:
        self._engine.cancel(request_id)
        self._listeners.pop(request_id, None)

    def _deliver(self, output: StepOutput) -> None:
        listener = self._listeners.get(output.request_id)
        if listener is None:
            return
        if output.error is not None:
            del self._listeners[output.request_id]
            listener.on_error(output.error)
            return
        try:
            finish = partial(self._engine.finish, output.request_id)
            listener.on_output(output, finish)
            if listener.is_done:
                del self._listeners[output.request_id]
        except Exception:  # turning tokens into text must not end other requests
            log.exception("request=%s event=answer_failed", output.request_id)
            self._drop(output.request_id)
            listener.on_error(InternalError("writing the answer failed; see the server's log"))

    def _fail_all(self, error: MynaError) -> None:
        for request_id in list(self._listeners):
            self._engine.cancel(request_id)
            self._listeners.pop(request_id).on_error(error)
