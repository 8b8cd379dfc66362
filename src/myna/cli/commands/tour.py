"""`myna tour`."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from myna import embedded
from myna.cli.attachments import read_attachments
from myna.cli.blocks import show_file
from myna.cli.console import answer, note, table
from myna.cli.conversation import EXIT_INTERRUPTED, show_answer
from myna.cli.media_talk import find_talker
from myna.cli.options import Dtype, ModelOption
from myna.cli.sound import SoundFile
from myna.cli.talker import Talker
from myna.core.errors import NotFound
from myna.core.events import AudioDelta, Event, TextDelta
from myna.core.messages import Message, TextPart
from myna.core.requests import ChatInput, SamplingParams, Speech
from myna.core.settings import Settings, read_settings

STOPS = "tour.json"
COLUMNS = 40
MAX_TOKENS = 48


class Stop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Describe one stop of the tour.

    Attributes:
        title: what is about to happen.
        files: that are shown or played to the model, beside the script.
        text: typed to the model, if anything is.
        shown: a picture for the terminal; a clip's is one of its frames.
        is_spoken: whether the answer is to be spoken too.
    """

    title: str
    files: tuple[str, ...] = ()
    text: str | None = None
    shown: str | None = None
    is_spoken: bool = False


class Times(msgspec.Struct):
    """Count seconds from the question to the first text, the first sound and the end."""

    text_s: float | None = None
    sound_s: float | None = None
    end_s: float = 0.0
    spoken_s: float = 0.0


def command(
    model: ModelOption = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the spoken answers.")
    ] = Path("myna-tour"),
) -> None:
    """See, hear and ask, hands off: a picture, a clip, a line of text, a limit."""
    settings = read_settings()
    place = _place()
    stops = msgspec.json.decode((place / STOPS).read_bytes(), type=tuple[Stop, ...])
    output.mkdir(parents=True, exist_ok=True)
    started_s = time.monotonic()
    talker = find_talker(model, settings, url=None, dtype=Dtype.AUTO, kv_memory=None, is_echo=False)
    rows: list[tuple[str, ...]] = [("", "first text", "first sound", "spoken", "all")]
    try:
        loaded_s = time.monotonic() - started_s
        for number, stop in enumerate(stops, start=1):
            times = _visit(talker, stop, place, output / f"{number}.wav", settings)
            rows.append((stop.title, *_cells(times)))
    finally:
        talker.close()
    answer(f"\n{table(rows)}\n\n{talker.model_id} was loaded in {loaded_s:.1f} s")


def _place() -> Path:
    """Find the tour's files.

    Raises:
        NotFound: this copy of the package has none.
    """
    box = embedded.folder()
    place = None if box is None else box.parent / "tour"
    if place is None or not (place / STOPS).is_file():
        raise NotFound("this copy of Myna was built without the model in the box and its tour")
    return place


def _visit(talker: Talker, stop: Stop, place: Path, path: Path, settings: Settings) -> Times:
    """Show, ask, and tell the answer.

    Raises:
        RemoteError: the answer failed.
        typer.Exit: it was interrupted.
    """
    answer(f"\n== {stop.title}")
    if stop.shown is not None and settings.has_color and sys.stdout.isatty():
        answer(show_file(place / stop.shown, columns=COLUMNS))
    parts = list(read_attachments([place / name for name in stop.files]))
    if stop.text is not None:
        parts.append(TextPart(text=stop.text))
        answer(f"> {stop.text}")
    times = Times()
    sound = SoundFile(path) if stop.is_spoken else None
    sampling = SamplingParams(temperature=0.0, max_tokens=MAX_TOKENS)
    question = ChatInput(messages=(Message(role="user", content=tuple(parts)),))
    events = talker.answer(question, sampling, speech=Speech() if stop.is_spoken else None)
    result = show_answer(_timed(events, times), settings=settings, sound=sound)
    if result.reason is None:
        note("the tour was interrupted")
        raise typer.Exit(EXIT_INTERRUPTED)
    return times


def _timed(events: Generator[Event], times: Times) -> Generator[Event]:
    """Pass events on, and note when they came."""
    started_s = time.monotonic()
    try:
        for event in events:
            passed_s = time.monotonic() - started_s
            if isinstance(event, TextDelta) and times.text_s is None:
                times.text_s = passed_s
            if isinstance(event, AudioDelta):
                times.sound_s = passed_s if times.sound_s is None else times.sound_s
                times.spoken_s += len(event.pcm) / 2 / event.rate_hz
            times.end_s = passed_s
            yield event
    finally:
        events.close()


def _cells(times: Times) -> tuple[str, ...]:
    """Write times as cells of a table."""
    seconds = (times.text_s, times.sound_s, times.spoken_s or None, times.end_s)
    return tuple("-" if value is None else f"{value:.2f} s" for value in seconds)
