"""Show an answer while it is written: text on stdout, reasoning and remarks on stderr.

Not here: whom the answer comes from (talker, client).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TextIO

from myna.cli.compose import ModelChoice, load_here
from myna.cli.console import note, progress_bars
from myna.cli.sound import SoundFile
from myna.cli.talker import LocalTalker, Talker
from myna.core.errors import RemoteError
from myna.core.events import Event, Failed, Finished, ReasoningDelta, TextDelta, Usage
from myna.core.settings import Settings

EXIT_INTERRUPTED = 130
DIM, PLAIN = "\033[2m", "\033[0m"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Hold a complete answer; `reason` is `None` if it was interrupted."""

    text: str
    reasoning: str
    reason: str | None
    usage: Usage | None
    duration_s: float

    def document(self, model_id: str) -> dict[str, object]:
        """Write the answer for a program."""
        return {
            "model": model_id,
            "text": self.text,
            "reasoning": self.reasoning or None,
            "finish_reason": self.reason,
            "usage": self.usage,
            "duration_s": round(self.duration_s, 3),
        }


def load_talker(choice: ModelChoice) -> Talker:
    """Load a model into this process, showing how that goes on."""
    with progress_bars() as progress:
        return LocalTalker(load_here(choice, progress))


def show_answer(
    events: Generator[Event],
    *,
    settings: Settings,
    is_quiet: bool = False,
    sound: SoundFile | None = None,
) -> Answer:
    """Write an answer as it comes; Ctrl-C stops it and keeps what was written and spoken.

    Raises:
        RemoteError: the answer failed.
    """
    screen = _Screen(is_quiet=is_quiet, is_dim=settings.has_color and sys.stderr.isatty())
    started_s = time.monotonic()
    finished = None
    if sound is not None:
        events = sound.listen(events)
    try:
        with closing(events):
            for event in events:
                screen.show(event)
                if isinstance(event, Finished):
                    finished = event
    except KeyboardInterrupt:
        finished = None
    finally:
        screen.end()
    if sound is not None:
        note(sound.write())
    return Answer(
        text="".join(screen.text),
        reasoning="".join(screen.reasoning),
        reason=finished.reason if finished else None,
        usage=finished.usage if finished else None,
        duration_s=time.monotonic() - started_s,
    )


class _Screen:
    """Collect what is written, and show it unless it is to be quiet."""

    def __init__(self, *, is_quiet: bool, is_dim: bool) -> None:
        self._is_quiet = is_quiet
        self._is_dim = is_dim
        self.text: list[str] = []
        self.reasoning: list[str] = []

    def show(self, event: Event) -> None:
        match event:
            case TextDelta(text=text):
                if self.reasoning and not self.text:
                    self._write(sys.stderr, "\n\n")
                self.text.append(text)
                self._write(sys.stdout, text)
            case ReasoningDelta(text=text):
                self.reasoning.append(text)
                self._write(sys.stderr, f"{DIM}{text}{PLAIN}" if self._is_dim else text)
            case Failed(error=error):
                raise RemoteError(error)

    def end(self) -> None:
        if self.text:
            self._write(sys.stdout, "\n")
        elif self.reasoning:
            self._write(sys.stderr, "\n")

    def _write(self, sink: TextIO, text: str) -> None:
        if not self._is_quiet:
            sink.write(text)
            sink.flush()
