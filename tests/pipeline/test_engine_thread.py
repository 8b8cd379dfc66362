"""The engine's thread hands on how long the listeners of speech can wait."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from myna.core.requests import RequestId
from myna.engine.sequence import EngineRequest
from myna.pipeline.engine_thread import EngineThread
from myna.speech.turns import Turns

WAIT_S = 10.0
LISTENER = SimpleNamespace(on_start=lambda: None, on_error=lambda error: None)


class OneStep:
    """An engine whose requests end after a step, which is told how long it may take."""

    def __init__(self) -> None:
        self.slacks: list[float | None] = []
        self.stepped = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()
        self._is_open = False

    def add(self, request: EngineRequest) -> None:
        self._is_open = True

    def step(self, slack_s: float | None) -> list[Any]:
        self.slacks.append(slack_s)
        self._is_open = False
        self.stepped.set()
        self.may_end.wait(WAIT_S)
        return []

    def has_work(self) -> bool:
        return self._is_open

    def stats(self) -> None:
        return None

    def cancel(self, request_id: RequestId) -> None:
        return None


@pytest.mark.parametrize("slack_s", [None, 60.0])
def test_a_step_is_told_how_long_listeners_can_wait(slack_s: float | None) -> None:
    engine, turns = OneStep(), Turns()
    turns.set_slack(slack_s)
    thread = EngineThread(engine, turns)
    thread.start(EngineRequest(id=RequestId("a"), token_ids=(1,)), LISTENER)
    assert engine.stepped.wait(WAIT_S)
    thread.close()
    (found,) = engine.slacks
    assert found is None if slack_s is None else 0 < found <= slack_s


def test_a_step_that_hangs_grows_old_but_one_that_moves_on_does_not() -> None:
    engine, turns = OneStep(), Turns()
    engine.may_end.clear()
    thread = EngineThread(engine, turns)
    assert thread.heartbeat_age_s == 0  # there is nothing to do
    thread.start(EngineRequest(id=RequestId("a"), token_ids=(1,)), LISTENER)
    assert engine.stepped.wait(WAIT_S)
    until_s = time.monotonic() + WAIT_S
    while (age_s := thread.heartbeat_age_s) < 0.1:
        assert time.monotonic() < until_s
    turns.move()  # as a layer of the step would
    assert thread.heartbeat_age_s < age_s
    engine.may_end.set()
    thread.close()
