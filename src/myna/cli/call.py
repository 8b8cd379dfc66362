"""A voice call with a server, from this side: microphone and camera up, speech and words down.

Not here: devices (call_sound, camera), what the server makes of it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection, connect

from myna.cli.call_sound import Loudspeaker, Microphone
from myna.cli.console import note
from myna.core.errors import Unauthorized, Unavailable
from myna.core.settings import Settings

OPEN_S = 10.0
MAX_EVENT_BYTES = 16 * 2**20


class _Error(msgspec.Struct):
    message: str = "the server gave no reason"
    code: str | None = None


class _Event(msgspec.Struct):
    """What this side reads of an event; the rest is passed over."""

    type: str
    item_id: str = ""
    delta: str = ""
    transcript: str = ""
    error: _Error | None = None


DECODER = msgspec.json.Decoder(_Event)


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """Say how the model is to behave in a call."""

    voice: str | None = None
    instructions: str | None = None
    is_patient: bool = False
    language: str | None = None


def dial(url: str, settings: Settings, *, model_id: str | None) -> ClientConnection:
    """Open a call with the server at an address.

    Raises:
        Unavailable: no server answers there, or none that takes calls.
        Unauthorized: it wants a key.
    """
    parts = urlsplit(url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    query = f"?{urlencode({'model': model_id})}" if model_id else ""
    key = settings.api_keys[0] if settings.api_keys else None
    try:
        return connect(
            f"{scheme}://{parts.netloc}/v1/realtime{query}",
            additional_headers={"Authorization": f"Bearer {key}"} if key else None,
            open_timeout=OPEN_S,
            max_size=MAX_EVENT_BYTES,
        )
    except (OSError, InvalidHandshake, InvalidURI) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 401:
            raise Unauthorized(f"{url} wants a key; MYNA_API_KEY sets it") from error
        raise Unavailable(
            f"no call can be made with {url}: {error}\n"
            "hint: `myna serve` starts a server; --url names another"
        ) from error


class VoiceCall:
    """Hold a call until the microphone ends, the server hangs up, or the user does.

    Args:
        socket: an open call; closed at the end.
        microphone: what is heard; closed at the end.
        loudspeaker: plays what is said; closed at the end.
        write: takes the words of answers as they come.
        pictures: what a camera sees, as files; slow, and read on a thread of its own.
    """

    def __init__(
        self,
        socket: ClientConnection,
        microphone: Microphone,
        loudspeaker: Loudspeaker,
        *,
        write: Callable[[str], None],
        pictures: Iterator[bytes] | None = None,
    ) -> None:
        self._socket = socket
        self._microphone = microphone
        self._loudspeaker = loudspeaker
        self._write = write
        self._pictures = pictures
        self._item_id: str | None = None
        self._is_over = threading.Event()

    def hold(self, wishes: Wishes) -> None:
        """Talk."""
        self._send("session.update", session=_session(wishes))
        threads = [threading.Thread(target=self._speak, daemon=True)]
        if self._pictures is not None:
            threads.append(threading.Thread(target=self._show, args=(self._pictures,), daemon=True))
        for thread in threads:
            thread.start()
        try:
            for message in self._socket:
                self._hear(DECODER.decode(message))
        finally:
            self._is_over.set()
            self._microphone.close()
            self._socket.close()
            self._loudspeaker.close()

    def _speak(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            for frame in self._microphone.frames():
                audio = base64.b64encode(frame).decode("ascii")
                self._send("input_audio_buffer.append", audio=audio)
            if not self._is_over.is_set():
                self._send("session.finish")

    def _show(self, pictures: Iterator[bytes]) -> None:
        with contextlib.suppress(ConnectionClosed):
            for picture in pictures:
                if self._is_over.is_set():
                    return
                image = base64.b64encode(picture).decode("ascii")
                self._send("input_image_buffer.append", image=image)

    def _hear(self, event: _Event) -> None:
        match event.type:
            case "response.output_audio.delta":
                if event.item_id != self._item_id:
                    self._item_id = event.item_id
                    self._loudspeaker.begin()
                with contextlib.suppress(binascii.Error):
                    self._loudspeaker.play(base64.b64decode(event.delta))
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                self._write(event.delta)
            case "response.output_audio_transcript.done" | "response.output_text.done":
                self._write("\n")
            case "conversation.item.input_audio_transcription.completed":
                note(f"> {event.transcript}")
            case "input_audio_buffer.speech_started":
                self._fall_silent()
            case "session.going_away":
                note("the server is about to stop")
            case "error" if event.error is not None:
                note(f"error: {event.error.message}")

    def _fall_silent(self) -> None:
        """Stop playing, and tell the server how much of its answer was heard."""
        heard_s = self._loudspeaker.silence()
        if self._item_id is not None:
            self._send(
                "conversation.item.truncate",
                item_id=self._item_id,
                content_index=0,
                audio_end_ms=int(heard_s * 1000),
            )
            self._item_id = None

    def _send(self, name: str, **fields: Any) -> None:  # Any: plain JSON values.
        self._socket.send(msgspec.json.encode({"type": name, **fields}).decode())


def _session(wishes: Wishes) -> dict[str, Any]:  # Any: plain JSON values.
    detection = {"type": "semantic_vad" if wishes.is_patient else "server_vad"}
    heard: dict[str, Any] = {"turn_detection": detection, "transcription": {}}
    if wishes.language:
        heard["transcription"] = {"language": wishes.language}
    said = {"voice": wishes.voice} if wishes.voice else {}
    session: dict[str, Any] = {"type": "realtime", "audio": {"input": heard, "output": said}}
    if wishes.instructions:
        session["instructions"] = wishes.instructions
    return session
