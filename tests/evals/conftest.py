"""A service that answers as a function says, and a workshop of its own for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from myna.core.errors import InvalidRequest
from myna.core.events import Accepted, AudioDelta, Event, Failed, Finished, TextDelta, Usage
from myna.core.messages import Message
from myna.core.requests import ChatInput, Request, SayInput
from myna.media.encode import encode_pcm16

RATE_HZ = 24_000
REFUSED = "refuse this"
Answer = Callable[[Message], str]


class Scripted:
    """Answer every request by a function of its last message; beep where speech is wanted."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.said: list[str] = []

    async def generate(self, request: Request) -> AsyncIterator[Event]:
        yield Accepted(prompt_tokens=1)
        if isinstance(request.input, SayInput):
            text = request.input.text
            self.said.append(text)
        else:
            assert isinstance(request.input, ChatInput)
            text = self.answer(request.input.messages[-1])
            if text == REFUSED:
                yield Failed(error=InvalidRequest("no").info())
                return
            yield TextDelta(index=0, text=text)
        if request.speech is not None:
            beep = np.sin(np.arange(RATE_HZ // 2) / 10) / 4
            yield AudioDelta(index=0, pcm=encode_pcm16(beep), rate_hz=RATE_HZ)
        usage = Usage(prompt_tokens=1, completion_tokens=1)
        yield Finished(index=0, reason="stop", usage=usage)


@pytest.fixture(autouse=True)
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MYNA_HOME", str(tmp_path))
    return tmp_path / "train" / "nano"


@pytest.fixture
def scripted() -> Callable[[Answer], Scripted]:
    return Scripted
