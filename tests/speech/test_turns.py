"""Steps never overlap; who is late goes first, and nobody starves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import SimpleNamespace

import pytest

from myna.speech.turns import ENOUGH_S, MAX_IN_A_ROW, Turns

WAIT_S = 10.0


class Crowd:
    """Threads that each take one turn, and the order in which they got it."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.threads: list[threading.Thread] = []

    def ask(self, name: str, turn: Callable[[], AbstractContextManager[None]]) -> None:
        def take() -> None:
            with turn():
                self.order.append(name)

        self.threads.append(threading.Thread(target=take))
        self.threads[-1].start()

    def settle(self) -> list[str]:
        for thread in self.threads:
            thread.join(WAIT_S)
        return self.order


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    found = Crowd()
    yield found
    found.settle()


def wait_until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s, "it never came true"
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("lead_s", "order"), [(0.0, ["speech", "text"]), (9.0, ["text", "speech"])]
)
def test_speech_goes_first_unless_it_is_well_ahead(
    crowd: Crowd, lead_s: float, order: list[str]
) -> None:
    turns = Turns()
    with turns.text():
        crowd.ask("speech", lambda: turns.speech(lead_s))
        wait_until(lambda: turns._speech_waits == 1)
        crowd.ask("text", turns.text)
        wait_until(lambda: turns._text_waits == 1)
        assert crowd.order == []
    assert crowd.settle() == order


def test_speech_that_waits_is_ahead_no_longer(crowd: Crowd) -> None:
    turns = Turns()
    with turns.text():
        crowd.ask("speech", lambda: turns.speech(ENOUGH_S + 0.02))
        wait_until(lambda: turns._speech_waits == 1)
        crowd.ask("text", turns.text)
        wait_until(lambda: turns._text_waits == 1)
        time.sleep(0.05)
    assert crowd.settle() == ["speech", "text"]


def test_nobody_waits_while_the_clock_passes_the_deadline(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns()
    now_s = 0.0
    clock = SimpleNamespace(monotonic=lambda: now_s)
    monkeypatch.setattr("myna.speech.turns.time", clock)
    with turns.text():
        crowd.ask("speech", lambda: turns.speech(ENOUGH_S))
        wait_until(lambda: turns._speech_waits == 1)
        crowd.ask("text", turns.text)
        wait_until(lambda: turns._text_waits == 1)

        def look() -> float:
            """Tell an earlier time to whoever looks first."""
            nonlocal now_s
            seen_s, now_s = now_s, now_s + 1.0
            return seen_s

        clock.monotonic = look
    assert sorted(crowd.settle()) == ["speech", "text"]


def test_text_gets_a_step_however_late_speech_is(crowd: Crowd) -> None:
    turns = Turns()
    for _ in range(MAX_IN_A_ROW - 1):
        with turns.speech(0.0):
            pass
    with turns.speech(0.0):
        crowd.ask("text", turns.text)
        wait_until(lambda: turns._text_waits == 1)
        crowd.ask("speech", lambda: turns.speech(0.0))
        wait_until(lambda: turns._speech_waits == 1)
    assert crowd.settle() == ["text", "speech"]


def test_who_is_alone_need_not_wait() -> None:
    turns = Turns()
    for _ in range(3 * MAX_IN_A_ROW):
        with turns.speech(ENOUGH_S):
            pass
    with turns.text():
        pass


def test_a_step_that_fails_gives_its_turn_back() -> None:
    turns = Turns()
    for turn in (turns.text, lambda: turns.speech(0.0)):
        with pytest.raises(ValueError, match="broken"), turn():
            raise ValueError("broken")
    with turns.text():
        pass


def test_text_is_told_how_long_listeners_can_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, now_s = Turns(), 10.0
    clock = SimpleNamespace(monotonic=lambda: now_s)
    monkeypatch.setattr("myna.speech.turns.time", clock)
    told: list[float | None] = []

    def take() -> None:
        with turns.text() as slack_s:
            told.append(slack_s)

    take()
    turns.set_slack(1.5)
    take()
    now_s = 11.0
    take()
    now_s = 20.0
    take()
    turns.set_slack(None)
    take()
    assert told == [None, 1.5, 0.5, 0.0, None]


def test_speech_that_was_called_goes_before_the_next_text(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("myna.speech.turns.CALL_S", WAIT_S)
    turns = Turns()
    turns.call_speech()
    crowd.ask("text", turns.text)
    crowd.ask("speech", lambda: turns.speech(0.0))
    wait_until(lambda: crowd.order == ["speech"])
    turns.rest()
    assert crowd.settle() == ["speech", "text"]


@pytest.mark.parametrize("rests", [True, False])
def test_a_call_that_nothing_follows_holds_nobody_up(crowd: Crowd, rests: bool) -> None:
    turns = Turns()
    turns.call_speech()
    crowd.ask("text", turns.text)
    if rests:
        turns.rest()
    assert crowd.settle() == ["text"]
    with turns.text():
        assert not turns._is_called


def test_text_does_not_slip_in_between_the_steps_of_late_speech(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("myna.speech.turns.CALL_S", WAIT_S)
    turns = Turns()
    with turns.speech(0.0):
        crowd.ask("text", turns.text)
        wait_until(lambda: turns._text_waits == 1)
    for _ in range(MAX_IN_A_ROW - 1):
        with turns.speech(0.0):
            crowd.order.append("speech")
    turns.rest()
    assert crowd.settle() == ["speech"] * (MAX_IN_A_ROW - 1) + ["text"]


def test_a_step_that_does_not_move_on_grows_old_until_it_does() -> None:
    turns = Turns()
    assert turns.held_s == 0
    with turns.speech(0.0):
        wait_until(lambda: turns.held_s > 0.05)
        before_s = turns.moved_s
        turns.move()
        assert turns.moved_s > before_s + 0.05
    assert turns.held_s == 0
