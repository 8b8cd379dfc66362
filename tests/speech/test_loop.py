"""The thread that speaks obeys from any thread and leaves nobody waiting."""

from __future__ import annotations

import threading

import pytest

from myna.core.requests import RequestId
from myna.speech.loop import SpeechLoop
from myna.speech.turns import Turns

WAIT_S = 30.0
TEXT = [65, 70]


class Waiting:
    """Remember what is heard, and when it has ended; may fail on purpose."""

    def __init__(self, *, fails: bool = False) -> None:
        self.pieces, self.error, self.num_frames = [], None, None
        self.done = threading.Event()
        self.fails = fails

    def on_sound(self, samples, realtime_factor) -> None:
        if self.fails:
            raise RuntimeError("nobody listens")
        self.pieces.append(samples)

    def on_end(self, num_frames: int) -> None:
        self.num_frames = num_frames
        self.done.set()

    def on_error(self, error) -> None:
        self.error = error
        self.done.set()


@pytest.fixture
def loop(parts):
    running = SpeechLoop(parts.speaker())
    yield running
    running.close()


def start(loop: SpeechLoop, request, listener) -> None:
    loop.start(request, listener)
    loop.say(request.id, TEXT)


def test_a_voice_is_heard_to_its_end(loop, parts):
    listener = Waiting()
    start(loop, parts.request("a", seed=1), listener)
    loop.end_text(RequestId("a"))
    assert listener.done.wait(WAIT_S)
    assert listener.error is None
    assert sum(map(len, listener.pieces)) == 1920 * listener.num_frames - 555


def test_a_cancelled_voice_is_heard_no_more(loop, parts):
    cancelled, other = Waiting(), Waiting()
    start(loop, parts.request("a", seed=1), cancelled)
    loop.cancel(RequestId("a"))
    start(loop, parts.request("b", seed=1), other)
    loop.end_text(RequestId("b"))
    assert other.done.wait(WAIT_S)
    assert not cancelled.done.is_set()


def test_a_listener_that_fails_ends_its_own_voice(loop, parts):
    failing, other = Waiting(fails=True), Waiting()
    start(loop, parts.request("a", seed=1), failing)
    start(loop, parts.request("b", seed=1), other)
    loop.end_text(RequestId("b"))
    assert failing.done.wait(WAIT_S)
    assert "sending the sound failed" in str(failing.error)
    assert other.done.wait(WAIT_S)
    assert other.error is None


def test_a_failing_step_fails_all_voices_and_the_next_is_heard(loop, parts):
    step, first, second = loop._speaker.step, Waiting(), Waiting()

    def fail():
        loop._speaker.step = step
        raise RuntimeError("broken")

    loop._speaker.step = fail
    start(loop, parts.request("a"), first)
    assert first.done.wait(WAIT_S)
    assert "speech failed" in str(first.error)
    start(loop, parts.request("b"), second)
    loop.end_text(RequestId("b"))
    assert second.done.wait(WAIT_S)
    assert second.error is None


def test_a_voice_that_cannot_begin_fails_alone(loop, parts):
    add, first, second = loop._speaker.add, Waiting(), Waiting()

    def fail(request):
        loop._speaker.add = add
        raise MemoryError

    loop._speaker.add = fail
    start(loop, parts.request("a"), first)
    start(loop, parts.request("b"), second)
    loop.end_text(RequestId("b"))
    assert first.done.wait(WAIT_S)
    assert "beginning to speak failed" in str(first.error)
    assert second.done.wait(WAIT_S)
    assert second.error is None


def test_closing_fails_open_voices_and_refuses_new_ones(parts):
    loop, open_voice, late = SpeechLoop(parts.speaker()), Waiting(), Waiting()
    start(loop, parts.request("a"), open_voice)
    loop.close()
    loop.close()
    assert "is being unloaded" in str(open_voice.error)
    loop.start(parts.request("b"), late)
    assert "is being unloaded" in str(late.error)


def test_while_a_voice_is_heard_text_is_told_how_long_it_may_take(parts):
    turns = Turns()
    loop, listener = SpeechLoop(parts.speaker(), turns), Waiting()
    start(loop, parts.request("a", seed=1), listener)
    while not listener.pieces and not listener.done.wait(0.01):
        pass
    with turns.text() as slack_s:
        assert slack_s is not None
    loop.end_text(RequestId("a"))
    assert listener.done.wait(WAIT_S)
    loop.close()
    with turns.text() as slack_s:
        assert slack_s is None
