"""`myna serve` as a process: what it prints works, and it ends as it should."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from myna.cli.commands import serve
from myna.cli.compose import ModelChoice, worker_command
from myna.core.errors import InvalidRequest, Unavailable

START_S = 20.0
AGAIN_S = 60.0


class Serving:
    """Hold a running server and what it printed until it was ready."""

    def __init__(self, process: subprocess.Popen[str], said: list[str]) -> None:
        self.process = process
        self.said = said
        (self.url,) = re.findall(r"is served at (\S+)", "".join(said))
        self.worker_pid = int(
            Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
        )

    def end(self, sign: signal.Signals) -> tuple[int, float]:
        """Send a signal; returns the exit code and how long the end took."""
        started_s = time.monotonic()
        self.process.send_signal(sign)
        return self.process.wait(START_S), time.monotonic() - started_s


@contextmanager
def serving(*argv: str) -> Iterator[Serving]:
    """Run `myna serve` until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "myna", "serve", "--port", "0", *argv],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    said: list[str] = []
    try:
        for line in process.stderr:
            said.append(line)
            if " chat --url " in line:
                break
        yield Serving(process, said)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@contextmanager
def asking(url: str, text: str) -> Iterator[subprocess.Popen[str]]:
    """Run `myna run` until the block ends; its answer has begun."""
    with subprocess.Popen(
        [sys.executable, "-m", "myna", "run", "--url", url, text],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            # No more than that: `communicate` does not see what a file of ours has read ahead.
            assert os.read(process.stdout.fileno(), 1) == text[:1].encode()
            yield process
        finally:
            process.kill()


def ask(url: str, text: str) -> str:
    body = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
    request = urllib.request.Request(url + "/v1/chat/completions", data=body)
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(json.load(response)["choices"][0]["message"]["content"])


def test_the_printed_lines_work_as_printed() -> None:
    with serving("--echo") as server:
        curl, chat = (line.strip() for line in server.said if line.startswith("  "))
        assert curl.startswith("curl http://127.0.0.1:")
        words = shlex.split(curl)
        assert json.loads(words[words.index("-d") + 1])["messages"]
        assert ask(server.url, "Hello") == "Hello"
        talked = subprocess.run(
            chat, shell=True, input="good day\n", capture_output=True, text=True, check=True
        )
        assert talked.stdout == "good day\n"
        code, duration_s = server.end(signal.SIGTERM)
    assert code == 0
    assert duration_s < 5


def test_ctrl_c_lets_an_open_answer_finish() -> None:
    with serving("--echo") as server:
        with asking(server.url, "word " * 60) as client:
            code, _ = server.end(signal.SIGINT)
            rest, _ = client.communicate()
        assert rest.count("ord") == 60
        assert (client.returncode, code) == (0, 0)
        assert server.process.stderr is not None
        assert "open answers may finish now" in server.process.stderr.read()


def test_a_second_ctrl_c_ends_open_answers() -> None:
    with serving("--echo") as server, asking(server.url, "word " * 10_000) as client:
        server.process.send_signal(signal.SIGINT)
        assert server.process.stderr is not None
        assert any("open answers may finish now" in line for line in server.process.stderr)
        _, duration_s = server.end(signal.SIGINT)
        assert duration_s < 6
        _, complaint = client.communicate()
        assert client.returncode == 1
        assert complaint.startswith("error: ")


def test_kill_9_of_the_engine_is_a_typed_error_and_then_ready_again() -> None:
    with serving("--echo") as server:
        with asking(server.url, "word " * 10_000) as client:
            killed_s = time.monotonic()
            os.kill(server.worker_pid, signal.SIGKILL)
            _, complaint = client.communicate(timeout=10)
            assert time.monotonic() - killed_s < 2
        assert client.returncode == 1
        assert "the engine process was killed (SIGKILL" in complaint
        end_s = time.monotonic() + AGAIN_S
        while time.monotonic() < end_s:
            try:
                assert ask(server.url, "again") == "again"
                break
            except urllib.error.HTTPError as error:
                error.close()
                time.sleep(0.1)
        else:
            pytest.fail("it did not come back")


def test_no_process_is_left_when_the_server_is_killed() -> None:
    with serving("--echo") as server:
        server.end(signal.SIGKILL)
        end_s = time.monotonic() + START_S
        while Path(f"/proc/{server.worker_pid}").exists():
            assert time.monotonic() < end_s, "the engine process outlives its server"
            time.sleep(0.05)


def test_a_damaged_model_ends_with_its_error_and_exit_code(tmp_path: Path) -> None:
    model = tmp_path / "broken.gguf"
    model.write_bytes(b"GGUF but not really")
    done = subprocess.run(
        [sys.executable, "-m", "myna", "serve", "--port", "0", str(model)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 4
    assert "error: " in done.stderr
    assert "broken.gguf" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_while_the_model_loads_is_an_interruption() -> None:
    worker = str(Path(__file__).parents[1] / "core" / "odd_worker.py")
    code = (
        "import sys\n"
        "from myna.cli import main\n"
        "from myna.cli.commands import serve\n"
        f"serve.worker_command = lambda choice: (sys.executable, {worker!r}, 'slow')\n"
        "main.main(['serve', '--echo', '--port', '0'])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    end_s = time.monotonic() + START_S
    while not children.read_text():
        assert time.monotonic() < end_s, "no engine process was started"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert process.stderr is not None
    process.stderr.close()


def test_a_taken_port_is_told_before_anything_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"port {port}: .* in use\nhint: choose another"):
            serve.listen("127.0.0.1", port)


def test_a_host_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'no such host' is no address to listen on"):
        serve.listen("no such host", 0)


def test_where_it_is_served_is_told_for_every_kind_of_host(
    capsys: pytest.CaptureFixture[str],
) -> None:
    serve._tell_ready("m", "0.0.0.0", 80, has_keys=False)
    told = capsys.readouterr().err
    assert "m is served at http://127.0.0.1:80" in told
    assert "warning: whoever reaches this machine may use it" in told
    serve._tell_ready("m", "::1", 80, has_keys=True)
    told = capsys.readouterr().err
    assert "http://[::1]:80" in told
    assert '-H "Authorization: Bearer $MYNA_API_KEY"' in told
    assert "warning" not in told


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("bin/myna", "bin/myna"),
        ("{cwd}/.venv/bin/myna", ".venv/bin/myna"),
        ("/opt/with space/myna", "'/opt/with space/myna'"),
        ("/x/__main__.py", f"{shlex.quote(sys.executable)} -m myna"),
    ],
)
def test_the_chat_line_names_the_running_program(
    monkeypatch: pytest.MonkeyPatch, program: str, expected: str
) -> None:
    monkeypatch.setattr(sys, "argv", [program.format(cwd=Path.cwd())])
    assert serve.own_command() == expected


def test_the_worker_command_is_the_one_the_pipeline_writes() -> None:
    import msgspec  # noqa: PLC0415 -- beside those that read what it writes

    from myna.pipeline.load import LoadOptions  # noqa: PLC0415 -- loads torch
    from myna.pipeline.worker import WorkerOptions  # noqa: PLC0415 -- loads torch

    choice = ModelChoice(
        path=Path("/m"),
        model_id="m",
        dtype="float32",
        max_context=5,
        keep_packed=True,
        kv_memory_bytes=7,
        yarn_factor=2.0,
    )
    *start, spoken = worker_command(choice)
    assert start == [sys.executable, "-m", "myna.pipeline.worker"]
    assert msgspec.json.decode(spoken, type=WorkerOptions) == WorkerOptions(
        path="/m",
        load=LoadOptions(
            model_id="m",
            dtype="float32",
            max_context=5,
            keep_packed=True,
            kv_memory_bytes=7,
            yarn_factor=2.0,
        ),
    )
