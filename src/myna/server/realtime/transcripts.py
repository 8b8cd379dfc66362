"""The words of what a user says: asked of the service, told to the client, used to judge pauses."""

from __future__ import annotations

from dataclasses import dataclass

from myna.core import events as core
from myna.core.requests import Request
from myna.server.realtime.conversation import Conversation
from myna.server.realtime.effects import Ask, Output, Stop
from myna.server.realtime.server_events import (
    TranscriptionDelta,
    TranscriptionDone,
    TranscriptionFailed,
    TranscriptUsage,
    error_object,
)


@dataclass(kw_only=True)
class _Hearing:
    """Gather the words of one sound; without an item, of a turn that is still open."""

    item_id: str | None
    seconds: float
    text: str = ""


class Transcripts:
    """Follow what is being written down, each under a key of its own."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._hearings: dict[str, _Hearing] = {}

    def __len__(self) -> int:
        return len(self._hearings)

    def __contains__(self, key: str) -> bool:
        return key in self._hearings

    def ask(self, key: str, request: Request, *, item_id: str | None, seconds: float) -> Ask:
        """Begin to write a sound down.

        Args:
            key: what its words will come under.
            request: asks for them.
            item_id: the item they belong to; `None` for a turn that is still open.
            seconds: the length of the sound.
        """
        self._hearings[key] = _Hearing(item_id=item_id, seconds=seconds)
        return Ask(key=key, request=request)

    def take(self, key: str, event: core.Event) -> tuple[list[Output], str | None]:
        """Take what the service answers.

        Returns:
            What to tell the client; and the words of an open turn, once they are all there.
        """
        hearing = self._hearings[key]
        item_id = hearing.item_id
        match event:
            case core.TextDelta(text=text):
                hearing.text += text
                if item_id is not None:
                    delta = TranscriptionDelta(item_id=item_id, content_index=0, delta=text)
                    return [delta], None
            case core.Finished():
                del self._hearings[key]
                if item_id is None:
                    return [], hearing.text
                return [self._write_down(item_id, hearing)], None
            case core.Failed(error=error):
                del self._hearings[key]
                if item_id is not None:
                    failed = TranscriptionFailed(
                        item_id=item_id, content_index=0, error=error_object(error)
                    )
                    return [failed], None
        return [], None

    def drop(self, *, open_only: bool) -> list[Output]:
        """Stop writing down: turns that are still open, or everything."""
        keys = [
            key
            for key, hearing in self._hearings.items()
            if hearing.item_id is None or not open_only
        ]
        for key in keys:
            del self._hearings[key]
        return [Stop(key=key) for key in keys]

    def _write_down(self, item_id: str, hearing: _Hearing) -> TranscriptionDone:
        text = hearing.text.strip()
        for item in self._conversation.items:
            for part in item.parts:
                if item.id == item_id and part.kind == "input_audio":
                    part.text = text
        usage = TranscriptUsage(seconds=round(hearing.seconds, 3))
        return TranscriptionDone(item_id=item_id, content_index=0, transcript=text, usage=usage)
