"""A call's tasks: faults stay inside, frames that wait are dropped at an interruption."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.types import Message

from myna.core.echo import EchoService
from myna.core.errors import Overloaded, Unavailable
from myna.core.events import Event
from myna.core.requests import Request
from myna.server.app import App, create_app
from myna.server.realtime.calls import MAX_PRESETS, Calls
from myna.server.realtime.dialects import GA
from myna.server.realtime.limits import RealtimeLimits

WAIT_S = 20.0


class Broken(EchoService):
    """Break in the middle of an answer."""

    async def generate(self, request: Request) -> AsyncIterator[Event]:  # type: ignore[override]
        raise RuntimeError("secret cause")
        yield


class Counting(EchoService):
    """Count the words that were said."""

    num_words = 0

    async def _pause(self) -> None:
        await super()._pause()
        self.num_words += 1


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():
            await asyncio.sleep(0.005)


class Socket:
    """Be the ASGI server of one WebSocket."""

    def __init__(self, app: App) -> None:
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.inbox.put_nowait({"type": "websocket.connect"})
        scope = {
            "type": "websocket", "path": "/v1/realtime", "query_string": b"model=echo",
            "headers": [(b"host", b"localhost")], "subprotocols": [], "extensions": {},
        }  # fmt: skip
        self.task = asyncio.create_task(app(scope, self.inbox.get, self._send))

    async def _send(self, message: Message) -> None:
        await self.is_open.wait()
        self.sent.put_nowait(message)

    def say(self, **event: Any) -> None:
        self.inbox.put_nowait({"type": "websocket.receive", "text": json.dumps(event)})

    async def hear(self) -> dict[str, Any]:
        message = await asyncio.wait_for(self.sent.get(), WAIT_S)
        return json.loads(message["text"]) if "text" in message else dict(message)

    async def until(self, name: str) -> dict[str, Any]:
        while (event := await self.hear())["type"] != name:
            pass
        return event

    def ask(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        self.say(type="conversation.item.create", item=item)
        self.say(type="response.create")

    async def hang_up(self) -> None:
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(self.task, WAIT_S)


async def test_a_fault_of_the_service_fails_the_answer_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    socket = Socket(create_app(Broken()))
    socket.ask("hi")
    done = await socket.until("response.done")
    error = done["response"]["status_details"]["error"]
    assert "secret" not in error["message"]
    assert done["response"]["status"] == "failed"
    assert "secret cause" in caplog.text
    await socket.hang_up()


async def test_a_fault_of_ours_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    socket = Socket(create_app(EchoService()))
    await socket.until("session.created")

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr("myna.server.realtime.session.Session.receive", fail)
    socket.say(type="response.create")
    end = await socket.until("websocket.close")
    assert end["code"] == 1011
    await asyncio.wait_for(socket.task, WAIT_S)


async def test_sound_that_waits_is_dropped_at_an_interruption() -> None:
    service = Counting()
    socket = Socket(create_app(service))
    await socket.until("session.created")
    socket.is_open.clear()
    socket.ask(" ".join(["word"] * 50))
    for _ in range(500):
        await asyncio.sleep(0)
    socket.say(type="response.cancel")
    for _ in range(50):
        await asyncio.sleep(0)
    socket.is_open.set()
    names = []
    while (event := await socket.hear())["type"] != "response.done":
        names.append(event["type"])
    # The answer was already whole, so nothing was cancelled: all of it is sent.
    assert "response.output_audio.delta" in names
    service.delay_s = 0.001
    socket.ask(" ".join(["word"] * 500))
    await socket.until("response.output_audio.delta")
    socket.is_open.clear()
    num_before = service.num_words
    await until(lambda: service.num_words >= num_before + 20)
    socket.say(type="response.cancel")
    await until(lambda: service.num_running == 0)
    socket.is_open.set()
    names = []
    while (event := await socket.hear())["type"] != "response.done":
        names.append(event["type"])
    # One frame was on its way; those behind it are not sent any more.
    assert names.count("response.output_audio.delta") <= 1
    assert names.count("response.output_audio_transcript.delta") > 3
    await socket.hang_up()


async def test_a_client_on_a_slow_line_is_heard_to_interrupt() -> None:
    service = Counting()
    app = create_app(service)
    app.context.calls.limits = RealtimeLimits(max_unsent_bytes=50_000)
    socket = Socket(app)
    await socket.until("session.created")
    socket.is_open.clear()
    socket.ask(" ".join(["word"] * 500))
    await until(lambda: service.num_words >= 5)
    assert service.num_running == 1  # It waits for room.
    socket.say(type="response.cancel")
    await until(lambda: service.num_running == 0)
    socket.is_open.set()
    done = await socket.until("response.done")
    assert done["response"]["status"] == "cancelled"
    await socket.hang_up()


async def test_a_call_that_hangs_up_cancels_what_it_asked() -> None:
    service = EchoService(delay_s=0.01)
    app = create_app(service)
    socket = Socket(app)
    socket.ask(" ".join(["word"] * 500))
    await socket.until("response.output_audio.delta")
    assert service.num_running == 1
    await socket.hang_up()
    assert (service.num_running, service.num_cancelled) == (0, 1)
    assert app.context.calls.num_open == 0
    assert app.context.gate.num_open == 0


def test_a_key_has_only_so_many_calls() -> None:
    calls = Calls(RealtimeLimits(max_sessions_per_key=1))
    with calls.admit("anna", is_draining=False):
        with pytest.raises(Overloaded, match="1 calls are open under this key"):
            calls.admit("anna", is_draining=False).__enter__()
        with calls.admit("ben", is_draining=False), calls.admit("", is_draining=False):
            assert calls.num_open == 3
    with calls.admit("anna", is_draining=False):
        assert not calls.idle.is_set()
    assert calls.idle.is_set()


def test_no_call_is_let_in_while_the_server_stops() -> None:
    with pytest.raises(Unavailable, match="is shutting down"):
        Calls().admit("", is_draining=True).__enter__()


def test_only_so_many_presets_are_remembered() -> None:
    calls = Calls()
    config = GA.begin(EchoService().card)
    for idx in range(MAX_PRESETS + 1):
        calls.preset(f"ek_{idx}", config)
    assert calls.config_of("ek_0") is None
    assert calls.config_of("ek_1") is config
