"""Random scripts of voice calls: what a client may say, right and wrong, in any order."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import numpy as np

from talk_sounds import pcm16, silence, vowels

RATE_HZ = 24_000
FRAME_SAMPLES = 2400
PIXEL = base64.b64encode(b"\x89PNG, or so a camera says").decode()
SPEECH = vowels(2.0, rate_hz=RATE_HZ)
QUIET = silence(2.0, rate_hz=RATE_HZ)
TEXTS = ("hello there", "one two three four five six seven", "/call look_up {}", "/fail soon", "")
TOOL = {"type": "function", "name": "look_up", "parameters": {"type": "object"}}
WRONG = (
    "",
    "{",
    "[]",
    "null",
    '{"type": "no.such.event"}',
    '{"type": 3}',
    '{"type": "session.update"}',
    '{"type": "session.update", "session": []}',
    '{"type": "session.update", "session": {"audio": {"input": {"format": {"type": "mp3"}}}}}',
    '{"type": "input_audio_buffer.append", "audio": "%%%"}',
    '{"type": "input_audio_buffer.append", "audio": "AAAA"}',
    '{"type": "input_audio_buffer.append"}',
    '{"type": "conversation.item.create", "item": {"type": "message"}}',
    '{"type": "conversation.item.delete", "item_id": ""}',
    "[" * 100,
)


class Script:
    """Say one thing after another; what is said is remembered, so ids can be used again."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.item_ids = ["item_none"]
        self.response_ids = ["resp_none"]

    def hear(self, event: dict[str, Any]) -> None:
        """Remember ids that the server made."""
        if event["type"] in ("conversation.item.added", "conversation.item.created"):
            self.item_ids.append(event["item"]["id"])
        if event["type"] == "response.created":
            self.response_ids.append(event["response"]["id"])

    def next(self) -> str:
        """Say the next thing, as the text of a frame."""
        make = self.rng.choice(
            (
                self._sound, self._sound, self._sound, self._sound, self._commit, self._item,
                self._item, self._respond, self._respond, self._cancel, self._update, self._edit,
                self._see, self._wrong,
            )
        )  # fmt: skip
        said = make()
        return said if isinstance(said, str) else json.dumps(said)

    def _sound(self) -> dict[str, Any]:
        source = self.rng.choice((SPEECH, SPEECH, QUIET))
        num = FRAME_SAMPLES * self.rng.randrange(1, 10)
        start = self.rng.randrange(0, len(source) - num)
        data = pcm16(np.asarray(source[start : start + num]))
        return {
            "type": "input_audio_buffer.append",
            "audio": base64.b64encode(data).decode(),
        }

    def _commit(self) -> dict[str, Any]:
        name = self.rng.choice(("commit", "clear"))
        return {"type": f"input_audio_buffer.{name}"}

    def _item(self) -> dict[str, Any]:
        text = self.rng.choice(TEXTS)
        kind = self.rng.choice(("message", "message", "function_call", "function_call_output"))
        item: dict[str, Any] = {"type": kind}
        if kind == "message":
            part = self.rng.choice(
                (
                    {"type": "input_text", "text": text},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
                    {"type": "input_audio", "audio": base64.b64encode(bytes(4800)).decode()},
                    {"type": "output_text", "text": text},
                )
            )
            role = self.rng.choice(("user", "user", "assistant", "system"))
            item |= {"role": role, "content": [part]}
        elif kind == "function_call":
            item |= {"name": "look_up", "arguments": "{}", "call_id": "call_1"}
        else:
            item |= {"call_id": "call_1", "output": text}
        if self.rng.random() < 0.2:
            item["id"] = self.rng.choice(self.item_ids)
        event: dict[str, Any] = {"type": "conversation.item.create", "item": item}
        if self.rng.random() < 0.2:
            event["previous_item_id"] = self.rng.choice([*self.item_ids, "root"])
        return event

    def _respond(self) -> dict[str, Any]:
        wishes: dict[str, Any] = {}
        if self.rng.random() < 0.3:
            wishes["conversation"] = "none"
        if self.rng.random() < 0.3:
            wishes["output_modalities"] = [self.rng.choice(("text", "audio"))]
        if self.rng.random() < 0.2:
            wishes["tools"] = [TOOL]
            wishes["tool_choice"] = self.rng.choice(("auto", "required", "none"))
        if self.rng.random() < 0.2:
            wishes["max_output_tokens"] = self.rng.choice((1, 3, "inf"))
        if self.rng.random() < 0.2:
            reference = {"type": "item_reference", "id": self.rng.choice(self.item_ids)}
            wishes["input"] = [reference]
        return {"type": "response.create", "response": wishes}

    def _cancel(self) -> dict[str, Any]:
        if self.rng.random() < 0.3:
            return {"type": "output_audio_buffer.clear"}
        event: dict[str, Any] = {"type": "response.cancel"}
        if self.rng.random() < 0.5:
            event["response_id"] = self.rng.choice(self.response_ids)
        return event

    def _update(self) -> dict[str, Any]:
        detection = self.rng.choice(
            (
                None,
                {"type": "server_vad", "silence_duration_ms": 200},
                {"type": "server_vad", "create_response": False},
                {"type": "server_vad", "interrupt_response": False},
                {"type": "semantic_vad", "eagerness": "high"},
            )
        )
        heard: dict[str, Any] = {"turn_detection": detection}
        if self.rng.random() < 0.4:
            heard["transcription"] = self.rng.choice((None, {"language": "en"}))
        if self.rng.random() < 0.2:
            heard["format"] = self.rng.choice(
                (
                    {"type": "audio/pcm", "rate": 16000},
                    {"type": "audio/pcmu"},
                    {"type": "audio/pcm"},
                )
            )
        session: dict[str, Any] = {"type": "realtime", "audio": {"input": heard}}
        if self.rng.random() < 0.3:
            session["audio"]["output"] = {"format": {"type": "audio/pcma"}, "voice": "ethan"}
        if self.rng.random() < 0.3:
            session["tools"] = self.rng.choice(([], [TOOL]))
        return {"type": "session.update", "session": session}

    def _edit(self) -> dict[str, Any]:
        item_id = self.rng.choice(self.item_ids)
        name = self.rng.choice(("retrieve", "delete", "truncate"))
        event: dict[str, Any] = {"type": f"conversation.item.{name}", "item_id": item_id}
        if name == "truncate":
            event |= {"content_index": 0, "audio_end_ms": self.rng.randrange(0, 1500)}
        return event

    def _see(self) -> dict[str, Any]:
        return {"type": "input_image_buffer.append", "image": PIXEL}

    def _wrong(self) -> str:
        return self.rng.choice(WRONG)
