"""What `transcribe`, `say` and `caption` share: one question about a file, greedily answered."""

from __future__ import annotations

import typer

from myna.cli.client import HttpTalker
from myna.cli.compose import choose
from myna.cli.console import answer_json, note
from myna.cli.conversation import EXIT_INTERRUPTED, load_talker, show_answer
from myna.cli.sound import SoundFile
from myna.cli.talker import Talker
from myna.core.requests import Input, SamplingParams, Speech
from myna.core.settings import Settings


def find_talker(
    model: str | None,
    settings: Settings,
    *,
    url: str | None,
    dtype: str,
    kv_memory: str | None,
    is_echo: bool,
) -> Talker:
    """Connect to the server at `url`, or load a model here."""
    if url is not None:
        return HttpTalker.to(url, settings, model_id=model)
    choice = choose(
        model or settings.default_model,
        settings,
        dtype=dtype,
        max_context=None,
        keep_packed=None,
        kv_memory=kv_memory,
        yarn=None,
        is_echo=is_echo,
    )
    return load_talker(choice)


def ask_once(
    talker: Talker,
    question: Input,
    *,
    settings: Settings,
    is_json: bool = False,
    max_tokens: int | None = None,
    sound: SoundFile | None = None,
    speech: Speech | None = None,
) -> None:
    """Ask, show the answer, and end.

    Raises:
        RemoteError: the answer failed.
        typer.Exit: it was interrupted.
    """
    sampling = SamplingParams(temperature=0.0, max_tokens=max_tokens)
    try:
        events = talker.answer(question, sampling, speech=speech)
        result = show_answer(events, settings=settings, is_quiet=is_json, sound=sound)
    finally:
        talker.close()
    if is_json:
        answer_json(result.document(talker.model_id))
    elif result.reason == "length":
        note("the answer was cut at its length limit; --max-tokens sets it")
    if result.reason is None:
        raise typer.Exit(EXIT_INTERRUPTED)
