"""A session without a socket, and turns that come when a test says so."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from myna.core.echo import EchoService
from myna.core.events import AudioDelta, Event, Finished, TextDelta, Usage
from myna.media.turns import Turn
from myna.media.voice_activity import Floats
from myna.server.realtime.client_events import read_event
from myna.server.realtime.config import TurnDetection
from myna.server.realtime.dialects import GA, Dialect
from myna.server.realtime.effects import Ask, Output
from myna.server.realtime.limits import RealtimeLimits
from myna.server.realtime.session import Call, Session
from myna.server.settings import Limits

FINISHED = Finished(
    index=0, reason="stop", usage=Usage(prompt_tokens=7, completion_tokens=3, audio_tokens=2)
)
SECOND = bytes(2 * 24_000)


class Finder:
    """Find the turns that a test has put here; satisfies `SpeechFinder`."""

    def __init__(self) -> None:
        self.silence_s = 0.5
        self.turns: list[Turn] = []
        self.num_resets = 0

    def feed(self, samples: Floats) -> list[Turn]:
        """Tell the next turns."""
        turns, self.turns = self.turns, []
        return turns

    def reset(self) -> None:
        """Count."""
        self.num_resets += 1


class Line:
    """Hold a session, its clock and what it said."""

    def __init__(self, *, dialect: Dialect = GA, **options: Any) -> None:
        self.now_s = 100.0
        self.finder = Finder()
        card = msgspec.structs.replace(EchoService().card, **options.pop("card", {}))
        call = Call(
            key="k",
            card=card,
            dialect=dialect,
            is_dialect_known=options.pop("is_dialect_known", False),
            limits=RealtimeLimits(**options),
            wire_limits=Limits(),
            deadline_s=10.0,
            make_finder=self._find,
            unix_s=1_000_000.0,
        )
        self.detections: list[TurnDetection] = []
        self.session = Session(call, now_s=self.now_s)
        self.said: list[dict[str, Any]] = []
        self.outputs: list[Output] = []
        self._num = 0
        self.take(self.session.open())

    def _find(self, detection: TurnDetection, rate_hz: int) -> Finder:
        self.detections.append(detection)
        return self.finder

    def take(self, outputs: list[Output]) -> list[dict[str, Any]]:
        """Remember outputs; gives the events among them as the client reads them."""
        self.outputs += outputs
        events = []
        for output in outputs:
            if isinstance(output, msgspec.Struct):
                self._num += 1
                data = self.session.dialect.write(output, event_id=f"event_{self._num}")
                if data is not None:
                    events.append(json.loads(data))
        self.said += events
        return events

    def say(self, **event: Any) -> list[dict[str, Any]]:
        """Say something as the client, and hear the answer."""
        wire = read_event(json.dumps(event), limits=Limits())
        return self.take(self.session.receive(wire, now_s=self.now_s))

    def sound(self, data: bytes = bytes(4800)) -> list[dict[str, Any]]:
        """Send sound."""
        return self.say(type="input_audio_buffer.append", audio=base64.b64encode(data).decode())

    def turn(self, *turns: Turn, data: bytes = bytes(4800)) -> list[dict[str, Any]]:
        """Send sound in which turns are found."""
        self.finder.turns = list(turns)
        return self.sound(data)

    def update(self, **session: Any) -> list[dict[str, Any]]:
        """Change the session."""
        return self.say(type="session.update", session={"type": "realtime", **session})

    def ask(self, text: str) -> list[dict[str, Any]]:
        """Write something and want an answer."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        return [
            *self.say(type="conversation.item.create", item=item),
            *self.say(type="response.create"),
        ]

    def asks(self) -> list[Ask]:
        """List what was asked of the service."""
        return [output for output in self.outputs if isinstance(output, Ask)]

    def serve(self, key: str, *events: Event) -> list[dict[str, Any]]:
        """Let the service answer."""
        said = []
        for event in events:
            said += self.take(self.session.served(key, event, now_s=self.now_s))
        return said

    def answer(self, key: str, text: str = "hello there", *, seconds: float = 1.0) -> list[Any]:
        """Let the service give a whole spoken answer."""
        sound = AudioDelta(index=0, pcm=b"\x10\x27" * round(24_000 * seconds), rate_hz=24_000)
        return self.serve(key, TextDelta(index=0, text=text), sound, FINISHED)


@pytest.fixture
def line() -> Line:
    """Open a session in OpenAI's present dialect."""
    return Line()


@pytest.fixture
def open_line() -> Callable[..., Line]:
    """Open sessions of other kinds."""
    return Line
