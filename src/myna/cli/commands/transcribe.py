"""`myna transcribe`."""

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
    LanguageOption,
    MaxTokensOption,
    ModelOption,
    UrlOption,
)
from myna.core.errors import InvalidRequest
from myna.core.messages import AudioPart, Message, TextPart
from myna.core.requests import ChatInput
from myna.core.settings import read_settings
from myna.text.instructions import transcribe_prompt, translate_prompt


def command(
    file: Annotated[Path, typer.Argument(help="A sound.")],
    model: ModelOption = None,
    language: LanguageOption = None,
    translate: Annotated[
        bool, typer.Option("--translate", help="Write it in English, whatever is spoken.")
    ] = False,
    context: Annotated[
        str | None, typer.Option(help="Text that helps, such as names that occur.")
    ] = None,
    url: UrlOption = None,
    max_tokens: MaxTokensOption = None,
    dtype: DtypeOption = Dtype.AUTO,
    kv_memory: KvMemoryOption = None,
    echo: EchoOption = False,
    json: JsonOption = False,
) -> None:
    """Write down what is said in a sound; it takes a model that hears."""
    settings = read_settings()
    (part,) = read_attachments([file])
    if not isinstance(part, AudioPart):
        raise InvalidRequest(f"{file} is no sound; `myna caption` describes pictures and clips")
    prompt = (
        translate_prompt(context=context)
        if translate
        else transcribe_prompt(language=language, context=context)
    )
    turn = Message(role="user", content=(part, TextPart(prompt)))
    talker = find_talker(model, settings, url=url, dtype=dtype, kv_memory=kv_memory, is_echo=echo)
    question = ChatInput(messages=(turn,))
    ask_once(talker, question, settings=settings, is_json=json, max_tokens=max_tokens)
