"""Voice calls over a real socket with the real `openai` client, in both of its dialects."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import openai
import pytest

from myna.core.echo import EchoService
from myna.server.settings import ServerSettings
from talk_sounds import pcm16, silence, vowels

RATE_HZ = 24_000
FRAME_S = 0.02
LONG_TEXT = " ".join(f"word{idx}" for idx in range(400))
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "look_up",
    "description": "Look a word up.",
    "parameters": {"type": "object", "properties": {"word": {"type": "string"}}},
}

Connect = Callable[[Any], AbstractContextManager[Any]]


class Caller:
    """Hold one end of a call in either dialect, and remember what was said at the other."""

    def __init__(self, connection: Any, *, is_beta: bool) -> None:
        self.connection = connection
        self.is_beta = is_beta
        self.heard: list[Any] = []

    def name(self, event: str) -> str:
        """Give an event's name in this dialect."""
        return (
            event.replace("output_", "") if self.is_beta and "output_item" not in event else event
        )

    def until(self, event: str) -> Any:
        """Read on until an event of a name comes."""
        wanted = self.name(event)
        while True:
            said = self.connection.recv()
            self.heard.append(said)
            assert said.type != "error" or wanted == "error", said
            if said.type == wanted:
                return said

    def speak(self, samples: Any) -> None:
        """Say something in frames, as a microphone does."""
        data = pcm16(samples)
        step = round(RATE_HZ * FRAME_S) * 2
        for start in range(0, len(data), step):
            audio = base64.b64encode(data[start : start + step]).decode()
            self.connection.input_audio_buffer.append(audio=audio)

    def types(self) -> list[str]:
        """List the names of what was heard, without repeats in a row."""
        names = [said.type for said in self.heard]
        return [name for idx, name in enumerate(names) if idx == 0 or names[idx - 1] != name]

    def update(self, **fields: Any) -> None:
        """Change the session: fields under the names of the present API."""
        if not self.is_beta:
            self.connection.session.update(session={"type": "realtime", **fields})
            return
        heard = fields.pop("audio", {}).get("input", {})
        if "turn_detection" in heard:
            fields["turn_detection"] = heard["turn_detection"]
        if "transcription" in heard:
            fields["input_audio_transcription"] = heard["transcription"]
        self.connection.session.update(session=fields)

    def ask(self, text: str) -> None:
        """Write a message and want an answer."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        self.connection.conversation.item.create(item=item)
        self.connection.response.create()


@pytest.fixture(params=["openai", "openai-beta", "dashscope"])
def call(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Open calls in one of the dialects."""
    is_beta = request.param != "openai"
    path = "api-ws/v1" if request.param == "dashscope" else "v1"

    def open_call(live: Any) -> Any:
        client = openai.OpenAI(
            base_url=live.url,
            websocket_base_url=f"ws://127.0.0.1:{live.port}/{path}",
            api_key="EMPTY",
            max_retries=0,
        )
        realtime = client.beta.realtime if is_beta else client.realtime
        return CallContext(realtime.connect(model="echo"), is_beta=is_beta)

    return open_call


class CallContext:
    """Open a call, and close it whatever happens."""

    def __init__(self, manager: Any, *, is_beta: bool) -> None:
        self.manager = manager
        self.is_beta = is_beta

    def __enter__(self) -> Caller:
        caller = Caller(self.manager.enter(), is_beta=self.is_beta)
        caller.until("session.created")
        return caller

    def __exit__(self, *_: object) -> None:
        self.manager.__exit__(None, None, None)


def microphone(caller: Caller) -> np.ndarray[Any, Any]:
    """Say one thing between two silences, at the rate that the session hears."""
    sounds = [
        silence(0.4, rate_hz=RATE_HZ),
        vowels(1.2, rate_hz=RATE_HZ),
        silence(1.2, rate_hz=RATE_HZ),
    ]
    return np.concatenate(sounds)


@pytest.fixture
def still(live: Any) -> Iterator[Any]:
    """Lend the server, and see to it that nothing is left running."""
    yield live
    live.wait_idle()


def test_a_turn_is_detected_and_answered_aloud(still: Any, call: Any) -> None:
    with call(still) as caller:
        caller.speak(microphone(caller))
        done = caller.until("response.done")
        assert done.response.status == "completed"
        sound = [
            said for said in caller.heard if said.type == caller.name("response.output_audio.delta")
        ]
        assert sum(len(base64.b64decode(said.delta)) for said in sound) > RATE_HZ * 2 * 0.2
        (words,) = [
            said
            for said in caller.heard
            if said.type == caller.name("response.output_audio_transcript.done")
        ]
        assert words.transcript.startswith("audio ")
        order = caller.types()
        wanted = [
            "session.created",
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "response.created",
            caller.name("response.output_audio.done"),
            "response.output_item.done",
            "response.done",
        ]
        assert [name for name in order if name in wanted] == wanted


def test_speech_stops_an_answer(slow: Any, call: Any) -> None:
    with call(slow) as caller:
        caller.ask(LONG_TEXT)
        caller.until("response.output_audio.delta")
        caller.speak(vowels(1.0, rate_hz=RATE_HZ))
        caller.until("input_audio_buffer.speech_started")
        num_heard = len(caller.heard)
        done = caller.until("response.done")
        assert done.response.status == "cancelled"
        assert done.response.status_details.reason == "turn_detected"
        after = {said.type for said in caller.heard[num_heard:]}
        assert caller.name("response.output_audio.delta") not in after
    slow.wait_idle()


def test_truncation_leaves_what_was_heard(still: Any, call: Any) -> None:
    with call(still) as caller:
        caller.ask("one two three four five six seven eight nine ten")
        done = caller.until("response.done")
        item_id = done.response.output[0].id
        caller.connection.conversation.item.truncate(
            item_id=item_id, content_index=0, audio_end_ms=400
        )
        cut = caller.until("conversation.item.truncated")
        assert cut.audio_end_ms == 400
        caller.connection.conversation.item.retrieve(item_id=item_id)
        item = caller.until("conversation.item.retrieved").item
        # Each word is a beep of 80 ms, so five of ten were heard; times are approximate.
        assert 3 <= len(item.content[0].transcript.split()) <= 7


def test_a_tool_is_called_and_its_result_is_read(still: Any, call: Any) -> None:
    with call(still) as caller:
        caller.update(tools=[TOOL])
        caller.until("session.updated")
        caller.ask('/call look_up {"word": "myna"}')
        done = caller.until("response.done")
        (item,) = done.response.output
        assert (item.type, item.name, item.arguments) == (
            "function_call",
            "look_up",
            '{"word": "myna"}',
        )
        output = {"type": "function_call_output", "call_id": item.call_id, "output": "a bird"}
        caller.connection.conversation.item.create(item=output)
        caller.connection.response.create()
        assert caller.until("response.done").response.status == "completed"


def test_turns_may_be_taken_by_hand(still: Any, call: Any) -> None:
    with call(still) as caller:
        caller.update(audio={"input": {"turn_detection": None}})
        assert caller.until("session.updated")
        caller.speak(microphone(caller))
        caller.connection.input_audio_buffer.commit()
        caller.until("input_audio_buffer.committed")
        caller.connection.response.create()
        assert caller.until("response.done").response.status == "completed"
        assert "input_audio_buffer.speech_started" not in caller.types()


def test_what_was_said_is_written_down(still: Any, call: Any) -> None:
    with call(still) as caller:
        caller.update(audio={"input": {"transcription": {"model": "echo", "language": "en"}}})
        caller.speak(microphone(caller))
        done = caller.until("conversation.item.input_audio_transcription.completed")
        assert "Transcribe the English audio into text." in done.transcript


def test_an_answer_beside_the_conversation_leaves_no_item(still: Any, call: Any) -> None:
    with call(still) as caller:
        content = [{"type": "input_text", "text": "beside"}]
        caller.connection.response.create(
            response={
                "conversation": "none",
                "metadata": {"topic": "side"},
                "input": [{"type": "message", "role": "user", "content": content}],
            }
        )
        done = caller.until("response.done")
        assert done.response.conversation_id is None
        assert done.response.metadata == {"topic": "side"}
        assert caller.name("conversation.item.added") not in caller.types()


def test_a_client_secret_opens_a_call_and_nothing_else(serve: Any) -> None:
    with (
        serve(EchoService(), ServerSettings(api_keys=("sesame",))) as live,
        openai.OpenAI(base_url=live.url, api_key="sesame", max_retries=0) as client,
    ):
        secret = client.realtime.client_secrets.create(
            session={"type": "realtime", "instructions": "Be brief.", "output_modalities": ["text"]}
        ).value
        assert secret.startswith("ek_")
        with openai.OpenAI(
            base_url=live.url,
            websocket_base_url=f"ws://127.0.0.1:{live.port}/v1",
            api_key=secret,
            max_retries=0,
        ) as browser:
            with pytest.raises(openai.AuthenticationError):
                browser.models.list()
            with browser.realtime.connect(model="echo") as connection:
                created = connection.recv()
                assert created.type == "session.created"
                assert created.session.instructions == "Be brief."
