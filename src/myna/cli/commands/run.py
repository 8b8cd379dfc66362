"""`myna run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from myna.cli.attachments import read_attachments
from myna.cli.client import HttpTalker
from myna.cli.compose import choose
from myna.cli.console import answer_json, note
from myna.cli.conversation import EXIT_INTERRUPTED, load_talker, show_answer
from myna.cli.options import (
    AttachOption,
    Device,
    DeviceOption,
    Dtype,
    DtypeOption,
    EchoOption,
    JsonOption,
    KeepPackedOption,
    KvInt8Option,
    KvMemoryOption,
    ListenOption,
    MaxContextOption,
    MaxTokensOption,
    SeedOption,
    SystemOption,
    TemperatureOption,
    ThinkingOption,
    TopKOption,
    TopPOption,
    UrlOption,
    VoiceOption,
    YarnOption,
)
from myna.cli.sound import SoundFile
from myna.cli.talker import Talker
from myna.core.errors import InvalidRequest
from myna.core.messages import Message, Part, TextPart, text_message
from myna.core.requests import ChatInput, Input, SamplingParams, Speech, TextInput
from myna.core.settings import read_settings
from myna.hub.cache import path_of
from myna.hub.catalogue import catalogue


def command(
    model: Annotated[str, typer.Argument(help="A name of `myna list`, a folder or a GGUF file.")],
    prompt: Annotated[
        str | None, typer.Argument(help="What to say; read from stdin if left out or -.")
    ] = None,
    attach: AttachOption = None,
    listen: ListenOption = False,
    speak: Annotated[
        Path | None, typer.Option(help="Speak the answer, too, into this WAV file.")
    ] = None,
    voice: VoiceOption = None,
    url: UrlOption = None,
    system: SystemOption = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Continue the text as it is, without a chat template.")
    ] = False,
    max_tokens: MaxTokensOption = None,
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    top_k: TopKOption = None,
    seed: SeedOption = None,
    thinking: ThinkingOption = None,
    dtype: DtypeOption = Dtype.AUTO,
    max_context: MaxContextOption = None,
    keep_packed: KeepPackedOption = None,
    device: DeviceOption = Device.CPU,
    kv_memory: KvMemoryOption = None,
    kv_int8: KvInt8Option = False,
    yarn: YarnOption = None,
    echo: EchoOption = False,
    json: JsonOption = False,
) -> None:
    """Answer one prompt: the answer goes to stdout, reasoning to stderr.

    A single argument that names no model is the prompt, and the default model answers.
    """
    settings = read_settings()
    name, prompt = _sort_arguments(model, prompt, settings.default_model)
    parts = read_attachments(attach or (), is_listening=listen)
    question = _question(prompt, parts, system=system, is_raw=raw, thinking=thinking)
    if voice is not None and speak is None:
        raise InvalidRequest("--voice needs --speak: say into which file to speak")
    sound = None if speak is None else SoundFile(speak)
    speech = None if speak is None else Speech(voice=voice.lower() if voice else None)
    sampling = SamplingParams(
        temperature=temperature, top_p=top_p, top_k=top_k, seed=seed, max_tokens=max_tokens
    )
    talker: Talker
    if url is not None:
        talker = HttpTalker.to(url, settings, model_id=name)
    else:
        choice = choose(
            name or settings.default_model,
            settings,
            dtype=dtype,
            max_context=max_context,
            keep_packed=keep_packed,
            device=device,
            kv_memory=kv_memory,
            kv_int8=kv_int8,
            yarn=yarn,
            is_echo=echo,
        )
        talker = load_talker(choice)
    try:
        events = talker.answer(question, sampling, speech=speech)
        result = show_answer(events, settings=settings, is_quiet=json, sound=sound)
    finally:
        talker.close()
    if json:
        answer_json(result.document(talker.model_id))
    elif result.reason == "length":
        note("the answer was cut at its length limit; --max-tokens sets it")
    if result.reason is None:
        raise typer.Exit(EXIT_INTERRUPTED)


def _sort_arguments(first: str, second: str | None, default: str) -> tuple[str | None, str]:
    """Tell model and prompt apart; returns `None` for a model that was not named."""
    name: str | None = first
    if second is None and not _names_a_model(first, default):
        name, second = None, first
    if second is None or second == "-":
        second = sys.stdin.read()
    if not second.strip():
        raise InvalidRequest("the prompt is empty; give it after the model, or on stdin")
    return name, second


def _names_a_model(word: str, default: str) -> bool:
    return word == default or word in catalogue() or path_of(word) is not None


def _question(
    prompt: str,
    parts: tuple[Part, ...],
    *,
    system: str | None,
    is_raw: bool,
    thinking: bool | None,
) -> Input:
    if is_raw and parts:
        raise InvalidRequest("--raw takes no --attach: raw text has no place for media")
    if is_raw:
        if system is not None:
            raise InvalidRequest("--raw takes no --system: there is no conversation to put it in")
        return TextInput(prompt=prompt)
    user = Message(role="user", content=(*parts, TextPart(prompt)))
    messages = (user,) if system is None else (text_message("system", system), user)
    return ChatInput(messages=messages, thinking=thinking)
