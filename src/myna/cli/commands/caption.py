"""`myna caption`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from myna.cli.attachments import read_attachments
from myna.cli.media_talk import ask_once, find_talker
from myna.cli.options import (
    Dtype,
    DtypeOption,
    EchoOption,
    JsonOption,
    KvMemoryOption,
    ListenOption,
    MaxTokensOption,
    ModelOption,
    UrlOption,
)
from myna.core.messages import Message, TextPart
from myna.core.requests import ChatInput
from myna.core.settings import read_settings


def command(
    file: Annotated[Path, typer.Argument(help="A picture, a sound or a clip.")],
    model: ModelOption = None,
    prompt: Annotated[
        str, typer.Option(help="What to ask; empty for models that are made to describe.")
    ] = "Describe it in detail.",
    listen: ListenOption = False,
    url: UrlOption = None,
    max_tokens: MaxTokensOption = None,
    dtype: DtypeOption = Dtype.AUTO,
    kv_memory: KvMemoryOption = None,
    echo: EchoOption = False,
    json: JsonOption = False,
) -> None:
    """Describe a picture, a sound or a clip; it takes a model that sees or hears."""
    settings = read_settings()
    parts = read_attachments([file], is_listening=listen)
    words = (TextPart(prompt),) if prompt else ()
    turn = Message(role="user", content=(*parts, *words))
    talker = find_talker(model, settings, url=url, dtype=dtype, kv_memory=kv_memory, is_echo=echo)
    question = ChatInput(messages=(turn,))
    ask_once(talker, question, settings=settings, is_json=json, max_tokens=max_tokens)
