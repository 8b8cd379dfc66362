"""`myna say`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from myna.cli.media_talk import ask_once, find_talker
from myna.cli.options import (
    Dtype,
    DtypeOption,
    EchoOption,
    KvMemoryOption,
    ModelOption,
    UrlOption,
    VoiceOption,
)
from myna.cli.sound import SoundFile
from myna.core.errors import InvalidRequest
from myna.core.requests import SayInput, Speech
from myna.core.settings import read_settings


def command(
    output: Annotated[Path, typer.Option("--output", "-o", help="The WAV file to write.")],
    text: Annotated[
        str | None, typer.Argument(help="What to say; read from stdin if left out or -.")
    ] = None,
    model: ModelOption = None,
    voice: VoiceOption = None,
    url: UrlOption = None,
    dtype: DtypeOption = Dtype.AUTO,
    kv_memory: KvMemoryOption = None,
    echo: EchoOption = False,
) -> None:
    """Speak exactly this text into a file; it takes a model that speaks."""
    settings = read_settings()
    if text is None or text == "-":
        text = sys.stdin.read()
    if not text.strip():
        raise InvalidRequest("there is nothing to say; give a text, or write it to stdin")
    sound = SoundFile(output)
    speech = Speech(voice=voice.lower() if voice else None)
    talker = find_talker(model, settings, url=url, dtype=dtype, kv_memory=kv_memory, is_echo=echo)
    ask_once(talker, SayInput(text=text), settings=settings, sound=sound, speech=speech)
