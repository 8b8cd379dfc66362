"""`myna chat`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from myna.cli.client import HttpTalker
from myna.cli.compose import choose, model_id_of
from myna.cli.console import note
from myna.cli.conversation import load_talker, show_answer
from myna.cli.keeping import Keeper, open_history, owner_of
from myna.cli.options import (
    Dtype,
    DtypeOption,
    EchoOption,
    KeepPackedOption,
    KvInt8Option,
    KvMemoryOption,
    MaxContextOption,
    MaxTokensOption,
    SeedOption,
    SystemOption,
    TemperatureOption,
    ThinkingOption,
    TopKOption,
    TopPOption,
    UrlOption,
    YarnOption,
)
from myna.cli.remote_server import LOCAL_URL
from myna.cli.talker import Talker
from myna.core.errors import MynaError, NotFound
from myna.core.messages import Message, text_message
from myna.core.requests import ChatInput, SamplingParams
from myna.core.settings import Settings, read_settings

PROMPT = "> "
HELP = """\
/clear          forget the conversation
/system WORDS   begin anew under this system message
/help           show this
/exit           leave; Ctrl-D does too, Ctrl-C stops an answer"""


def command(
    model: Annotated[
        str | None, typer.Argument(help="A name of `myna list`, a folder or a GGUF file.")
    ] = None,
    url: UrlOption = None,
    system: SystemOption = None,
    max_tokens: MaxTokensOption = None,
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    top_k: TopKOption = None,
    seed: SeedOption = None,
    thinking: ThinkingOption = None,
    dtype: DtypeOption = Dtype.AUTO,
    max_context: MaxContextOption = None,
    keep_packed: KeepPackedOption = None,
    kv_memory: KvMemoryOption = None,
    kv_int8: KvInt8Option = False,
    yarn: YarnOption = None,
    is_continued: Annotated[
        bool, typer.Option("--continue", "-c", help="Go on with the latest conversation.")
    ] = False,
    is_kept: Annotated[
        bool, typer.Option("--keep/--no-keep", help="Keep the conversation on this machine.")
    ] = True,
    echo: EchoOption = False,
) -> None:
    """Talk with a model: with the one a local server serves, else with one loaded here."""
    settings = read_settings()
    talker: Talker | None = None
    if url is not None:
        talker = HttpTalker.to(url, settings, model_id=model)
    elif not echo:
        talker = _find_server(model, settings)
    if talker is None:
        choice = choose(
            model or settings.default_model,
            settings,
            dtype=dtype,
            max_context=max_context,
            keep_packed=keep_packed,
            kv_memory=kv_memory,
            kv_int8=kv_int8,
            yarn=yarn,
            is_echo=echo,
        )
        talker = load_talker(choice)
    sampling = SamplingParams(
        temperature=temperature, top_p=top_p, top_k=top_k, seed=seed, max_tokens=max_tokens
    )
    history = open_history(settings) if is_kept or is_continued else None
    try:
        keeper = None
        if history is not None:
            keeper = Keeper(history, owner=owner_of(settings), model=talker.model_id)
        chat = Chat(talker, sampling, settings, system=system, thinking=thinking, keeper=keeper)
        if is_continued:
            chat.resume()
        chat.run()
    finally:
        talker.close()
        if history is not None:
            history.close()


def _find_server(model: str | None, settings: Settings) -> Talker | None:
    """Connect to a server of this machine, if one answers and serves the model asked for."""
    try:
        talker = HttpTalker.to(LOCAL_URL, settings, model_id=None)
    except MynaError:
        return None
    if model is not None and model_id_of(model) not in talker.served:
        return None
    note(f"talking with {talker.model_id} at {LOCAL_URL}")
    return talker


class Chat:
    """Keep a conversation going until its user leaves."""

    def __init__(
        self,
        talker: Talker,
        sampling: SamplingParams,
        settings: Settings,
        *,
        system: str | None,
        thinking: bool | None,
        keeper: Keeper | None = None,
    ) -> None:
        self._talker = talker
        self._sampling = sampling
        self._settings = settings
        self._thinking = thinking
        self._messages: list[Message] = []
        self._keeper = keeper
        self._begin(system)

    def resume(self) -> None:
        """Go on where the latest conversation ended.

        Raises:
            NotFound: there is none.
        """
        if self._keeper is None:
            raise NotFound("no conversations are kept here, so none can be continued")
        title, self._messages = self._keeper.resume()
        note(f"going on with {title!r}")

    def run(self) -> None:
        """Read turns and answer them."""
        is_terminal = sys.stdin.isatty()
        if is_terminal:
            import readline  # noqa: F401, PLC0415 -- line editing, where Python was built with it

            note(f"{self._talker.model_id}: /help shows commands, Ctrl-D leaves")
        while (line := self._read(is_terminal=is_terminal)) is not None:
            if line.startswith("/"):
                if not self._obey(line):
                    return
            elif line:
                self._answer(line)

    def _read(self, *, is_terminal: bool) -> str | None:
        """Read one turn; `None` at the end."""
        while True:
            try:
                # The prompt belongs on stderr: stdout holds answers alone.
                if is_terminal:
                    sys.stderr.write(PROMPT)
                    sys.stderr.flush()
                return input().strip()
            except EOFError:
                return None
            except KeyboardInterrupt:
                note("\nCtrl-D or /exit leaves")

    def _answer(self, line: str) -> None:
        if self._keeper is not None:
            self._keeper.asked(line, system=self._system())
        question = ChatInput(
            messages=(*self._messages, text_message("user", line)), thinking=self._thinking
        )
        try:
            result = show_answer(
                self._talker.answer(question, self._sampling), settings=self._settings
            )
        except MynaError as error:
            note(f"error: {error.message}")
            return
        if result.reason is None:
            note("(stopped)")
        if self._keeper is not None:
            self._keeper.answered(result.text, is_whole=result.reason is not None)
        self._messages += [text_message("user", line), text_message("assistant", result.text)]

    def _obey(self, line: str) -> bool:
        """Carry out a command; returns whether the conversation goes on."""
        word, _, rest = line.partition(" ")
        match word:
            case "/exit" | "/quit" | "/bye":
                return False
            case "/clear":
                self._begin(None)
                note("the conversation is forgotten")
            case "/system":
                self._begin(rest.strip() or None)
                note("a new conversation begins")
            case "/help":
                note(HELP)
            case _:
                note(f"there is no command {word}; /help shows them")
        return True

    def _system(self) -> str | None:
        first = self._messages[0] if self._messages else None
        return first.text if first is not None and first.role == "system" else None

    def _begin(self, system: str | None) -> None:
        if self._keeper is not None:
            self._keeper.begin()
        self._messages = [] if system is None else [text_message("system", system)]
