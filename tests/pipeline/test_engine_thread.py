"""The engine's thread hands on how long the listeners of speech can wait."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from myna.core.requests import RequestId
from myna.engine.sequence import EngineRequest
from myna.pipeline.engine_thread import EngineThread
from myna.speech.turns import Turns

WAIT_S = 10.0


class OneStep:
    """An engine whose requests end after a step, which is told how long it may take."""

    def __init__(self) -> None:
        self.slacks: list[float | None] = []
        self.stepped = threading.Event()
        self._is_open = False

    def add(self, request: EngineRequest) -> None:
        self._is_open = True

    def step(self, slack_s: float | None) -> list[Any]:
        self.slacks.append(slack_s)
        self._is_open = False
        self.stepped.set()
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
    listener = SimpleNamespace(on_start=lambda: None, on_error=lambda error: None)
    thread.start(EngineRequest(id=RequestId("a"), token_ids=(1,)), listener)
    assert engine.stepped.wait(WAIT_S)
    thread.close()
    (found,) = engine.slacks
    assert found is None if slack_s is None else 0 < found <= slack_s
