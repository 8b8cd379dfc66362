"""`myna run` and `myna chat`, in this process and as a process."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from myna.cli import conversation
from myna.cli.commands import chat, run
from myna.cli.compose import ModelChoice, load_here, model_id_of
from myna.cli.conversation import show_answer
from myna.cli.talker import LocalTalker
from myna.core.echo import EchoService
from myna.core.errors import RemoteError, Unavailable
from myna.core.events import Event, Failed, Finished, ReasoningDelta, TextDelta, Usage
from myna.core.messages import text_message
from myna.core.progress import silent
from myna.core.requests import ChatInput, Request, SamplingParams
from myna.core.settings import Settings

SETTINGS = Settings(home=Path("/nowhere"), has_color=True)
FINISHED = Finished(index=0, reason="stop", usage=Usage(prompt_tokens=1, completion_tokens=1))


def events(*sequence: Event | BaseException) -> Generator[Event]:
    for event in sequence:
        if isinstance(event, BaseException):
            raise event
        yield event


def feed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_the_answer_goes_to_stdout_alone(myna: Any) -> None:
    assert myna("run", "--echo", "smollm2-135m", "good morning") == (0, "good morning\n", "")


def test_a_single_argument_is_the_prompt_if_it_names_no_model(myna: Any) -> None:
    assert myna("run", "--echo", "good morning")[1] == "good morning\n"


def test_a_prompt_comes_from_stdin_if_left_out_or_a_dash(
    myna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for argv in (["smollm2-135m"], ["smollm2-135m", "-"], ["-"]):
        feed(monkeypatch, "from a pipe")
        assert myna("run", "--echo", *argv)[1] == "from a pipe\n"


def test_an_empty_prompt_is_refused(myna: Any) -> None:
    code, out, err = myna("run", "--echo", "smollm2-135m", " ")
    assert (code, out) == (2, "")
    assert "the prompt is empty" in err


def test_raw_text_is_continued_without_a_template(myna: Any) -> None:
    assert myna("run", "--echo", "--raw", "once upon")[1] == "once upon\n"
    code, _, err = myna("run", "--echo", "--raw", "--system", "x", "once upon")
    assert code == 2
    assert "--raw takes no --system" in err


def test_reasoning_goes_to_stderr(myna: Any) -> None:
    code, out, err = myna("run", "--echo", "/think deep thoughts\nhello")
    assert (code, out) == (0, "hello\n")
    assert "deep thoughts" in err


def test_json_holds_the_whole_answer(myna: Any) -> None:
    code, out, err = myna("run", "--echo", "--json", "/think hm\nhello")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["text"] == "hello"
    assert answer["reasoning"].strip() == "hm"
    assert answer["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] > 0


def test_a_cut_answer_says_how_to_get_more(myna: Any) -> None:
    code, out, err = myna("run", "--echo", "--max-tokens", "2", "one two three")
    assert (code, out.split()) == (0, ["one", "two"])
    assert "--max-tokens sets it" in err


def test_a_refused_request_has_an_exit_code_of_its_own(myna: Any) -> None:
    code, out, err = myna("run", "--echo", "/refuse too busy")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")


def test_an_interrupted_answer_keeps_what_was_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = events(TextDelta(index=0, text="so far"), KeyboardInterrupt())
    answer = show_answer(stream, settings=SETTINGS)
    assert (answer.text, answer.reason) == ("so far", None)
    assert capsys.readouterr().out == "so far\n"


def test_run_that_is_interrupted_exits_with_130(myna: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: object, **__: object) -> Generator[Event]:
        return events(TextDelta(index=0, text="so far"), KeyboardInterrupt())

    monkeypatch.setattr(LocalTalker, "answer", answer)
    assert myna("run", "--echo", "hello") == (130, "so far\n", "")


def test_reasoning_is_dim_on_a_terminal_that_has_colors(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    thought, text = ReasoningDelta(index=0, text="hm"), TextDelta(index=0, text="so")
    show_answer(events(thought, text, FINISHED), settings=SETTINGS)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("so\n", "\033[2mhm\033[0m\n\n")
    show_answer(events(thought, FINISHED), settings=SETTINGS)
    assert capsys.readouterr().err == "\033[2mhm\033[0m\n"


def test_a_failure_is_raised_after_what_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    failed = Failed(error=Unavailable("gone").info())
    with pytest.raises(RemoteError, match="gone"):
        show_answer(events(TextDelta(index=0, text="so far"), failed), settings=SETTINGS)
    assert capsys.readouterr().out == "so far\n"


def test_chat_keeps_the_conversation_and_obeys_commands(
    myna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    real = LocalTalker.answer

    def answer(self: LocalTalker, question: Any, sampling: SamplingParams) -> Generator[Event]:
        asked.append(tuple(message.text for message in question.messages))
        return real(self, question, sampling)

    monkeypatch.setattr(LocalTalker, "answer", answer)
    feed(
        monkeypatch,
        "one\n\ntwo\n/clear\nthree\n/system be brief\nfour\n/help\n/nonsense\n/exit\nfive\n",
    )
    code, out, err = myna("chat", "--echo", "--system", "be kind")
    assert (code, out) == (0, "one\ntwo\nthree\nfour\n")
    assert asked == [
        ("be kind", "one"),
        ("be kind", "one", "one", "two"),
        ("three",),
        ("be brief", "four"),
    ]
    assert "Ctrl-D does too, Ctrl-C stops an answer" in err
    assert "there is no command /nonsense" in err


def test_chat_goes_on_after_a_failed_or_stopped_answer(
    myna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [
        events(Failed(error=Unavailable("gone").info())),
        events(TextDelta(index=0, text="half"), KeyboardInterrupt()),
        events(TextDelta(index=0, text="whole"), FINISHED),
    ]
    monkeypatch.setattr(LocalTalker, "answer", lambda *_: answers.pop(0))
    feed(monkeypatch, "one\ntwo\nthree\n")
    code, out, err = myna("chat", "--echo")
    assert (code, out) == (0, "half\nwhole\n")
    assert "error: gone" in err
    assert "(stopped)" in err


def test_ctrl_c_at_the_prompt_does_not_leave(myna: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str | BaseException] = [KeyboardInterrupt(), "hello", EOFError()]

    def read() -> str:
        line = lines.pop(0)
        if isinstance(line, BaseException):
            raise line
        return line

    feed(monkeypatch, "")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", read)
    code, out, err = myna("chat", "--echo")
    assert (code, out) == (0, "hello\n")
    assert "Ctrl-D or /exit leaves" in err
    assert "> " in err


def test_chat_takes_the_server_of_this_machine_only_if_it_serves_the_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Server:
        model_id = "qwq-32b"
        served = ("qwq-32b",)

    monkeypatch.setattr(chat.HttpTalker, "to", lambda *_, **__: Server())
    assert isinstance(chat._find_server(None, SETTINGS), Server)
    assert "talking with qwq-32b at http://127.0.0.1:8000" in capsys.readouterr().err
    assert isinstance(chat._find_server("qwq-32b", SETTINGS), Server)
    assert chat._find_server("smollm2-135m", SETTINGS) is None


def test_chat_without_a_server_loads_the_model(myna: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise Unavailable("nobody there")

    loaded: list[ModelChoice] = []

    def load(choice: ModelChoice) -> LocalTalker:
        loaded.append(choice)
        return LocalTalker(EchoService())

    monkeypatch.setattr(chat.HttpTalker, "to", refuse)
    monkeypatch.setattr(chat, "load_talker", load)
    monkeypatch.setattr("myna.cli.compose.find_or_fetch", lambda *_: Path("/m.gguf"))
    feed(monkeypatch, "hello\n")
    assert myna("chat")[:2] == (0, "hello\n")
    assert loaded[0].path == Path("/m.gguf")
    assert loaded[0].model_id == "smollm2-135m"


def test_a_server_that_is_named_must_answer(myna: Any) -> None:
    for command in (["run", "hello"], ["chat"]):
        code, _, err = myna(command[0], "--url", "http://127.0.0.1:1", *command[1:])
        assert code == 1
        assert "no server answers at http://127.0.0.1:1" in err


def test_a_model_that_is_not_here_is_not_found(myna: Any) -> None:
    code, _, err = myna("run", "qwq-32b", "hello")
    assert code == 3
    assert "hint: myna pull qwq-32b" in err


def test_closing_an_answer_cancels_it() -> None:
    service = EchoService(delay_s=0.01)
    talker = LocalTalker(service)
    question = ChatInput(messages=(text_message("user", "word " * 1000),))
    stream = talker.answer(question, SamplingParams())
    next(stream)
    stream.close()
    for _ in range(100):
        if service.num_running == 0:
            break
        time.sleep(0.01)
    assert service.num_running == 0
    talker.close()
    assert not talker._thread.is_alive()


def test_closing_a_talker_ends_what_is_open() -> None:
    talker = LocalTalker(EchoService(delay_s=0.01))
    stream = talker.answer(
        ChatInput(messages=(text_message("user", "word " * 1000),)), SamplingParams()
    )
    next(stream)
    talker.close()
    assert not talker._thread.is_alive()
    stream.close()


def test_a_fault_of_the_service_is_a_failure() -> None:
    class Faulty(EchoService):
        async def generate(self, request: Request) -> Any:
            yield TextDelta(index=0, text="so far")
            raise ZeroDivisionError("secret")

    talker = LocalTalker(Faulty())
    *_, last = talker.answer(ChatInput(messages=()), SamplingParams())
    assert isinstance(last, Failed)
    assert last.error.message == "the model met a fault of its own"
    talker.close()


def test_ctrl_c_stops_the_answer_of_a_real_process_and_not_the_program(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "myna", "chat", "--echo"],
        env={**os.environ, "MYNA_HOME": str(tmp_path)},
        # What runs in a shell's background has Ctrl-C ignored, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("word " * 10_000 + "\n")
    assert process.stdout.read(4) == "word"
    process.send_signal(signal.SIGINT)
    process.stdin.write("still here\n")
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out.endswith("still here\n")
    assert out.count("word") < 9_000
    assert "(stopped)" in err


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("smollm2-135m", "smollm2-135m"),
        ("/models/Small.Q4_1.gguf", "Small.Q4_1"),
        ("/models/qwen/", "qwen"),
        ("./qwen", "qwen"),
        ("/", "/"),
    ],
)
def test_a_model_is_served_under_the_name_of_its_file(name: str, model_id: str) -> None:
    assert model_id_of(name) == model_id


def test_loading_here_hands_every_option_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("myna.pipeline.service.load_service", lambda *args: seen.append(args))
    choice = ModelChoice(path=tmp_path, model_id="m", dtype="float32", keep_packed=False)
    load_here(choice, silent)
    ((path, options, _),) = seen
    assert path == tmp_path
    assert (options.model_id, options.dtype, options.keep_packed) == ("m", "float32", False)


def test_load_talker_loads_what_was_chosen() -> None:
    talker = conversation.load_talker(ModelChoice(path=None, model_id="echo"))
    assert talker.model_id == "echo"
    talker.close()
    assert run.EXIT_INTERRUPTED == 130
