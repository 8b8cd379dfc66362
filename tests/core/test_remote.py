"""A service in a process of its own: answers, deaths, silence, leaks."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from myna.core import frames
from myna.core.calls import MAX_UNREAD_BYTES
from myna.core.echo import EchoService
from myna.core.errors import RemoteError
from myna.core.events import Event, Failed, Finished, TextDelta
from myna.core.frames import Channel, Command, Reply
from myna.core.messages import text_message
from myna.core.remote import ProcessService, Supervision
from myna.core.requests import ChatInput, Request, RequestId

ODD_WORKER = str(Path(__file__).parent / "odd_worker.py")
HASTY = Supervision(first_delay_s=0.05, close_s=2.0)


def echo(delay_s: float = 0.0) -> list[str]:
    return [sys.executable, "-m", "myna.core.echo_worker", str(delay_s)]


def odd(mode: str) -> list[str]:
    return [sys.executable, ODD_WORKER, mode]


def chat(text: str) -> Request:
    return Request(id=RequestId("r"), input=ChatInput(messages=(text_message("user", text),)))


async def collect(events: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


def num_open_fds() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(condition: Callable[[], bool], *, limit_s: float = 60.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.02)


async def until_ready(service: ProcessService, *, limit_s: float = 60.0) -> None:
    async with asyncio.timeout(limit_s):
        while not (await service.health()).ready:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(
    command: list[str], supervision: Supervision = HASTY
) -> AsyncIterator[ProcessService]:
    service = ProcessService(command, supervision=supervision)
    await service.start()
    try:
        await service.wait_ready()
        yield service
    finally:
        await service.close()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_answers_equal_those_of_the_service_itself() -> None:
    request = chat("three little words")
    async with running(echo()) as service:
        assert await collect(service.generate(request)) == await collect(
            EchoService().generate(request)
        )
        assert await service.models() == await EchoService().models()
        assert await service.tokenize("a b") == await EchoService().tokenize("a b")
        assert await service.detokenize((3, 4)) == "3 4"
        assert await service.render(ChatInput(messages=(text_message("user", "a"),))) == "user: a\n"
        assert (await service.health()).ready


async def test_many_requests_are_answered_at_once() -> None:
    async with running(echo(0.02)) as service:
        started_s = time.monotonic()
        answers = await asyncio.gather(
            *(collect(service.generate(chat(f"number {i} of many"))) for i in range(50))
        )
        assert time.monotonic() - started_s < 2
    for i, events in enumerate(answers):
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        assert text == f"number {i} of many"
        assert isinstance(events[-1], Finished)


async def test_a_service_that_was_not_started_refuses() -> None:
    service = ProcessService(echo())
    (event,) = await collect(service.generate(chat("hello")))
    assert isinstance(event, Failed)
    assert event.error.code == "unavailable"
    assert "has not been started" in event.error.message
    with pytest.raises(RemoteError, match="has not been started"):
        await service.tokenize("hello")
    assert not (await service.health()).ready
    await service.close()


async def test_loading_is_not_ready_and_reports_progress() -> None:
    seen: list[tuple[str, int, int]] = []
    service = ProcessService(
        odd("progress"), on_progress=lambda step, done, total: seen.append((step, done, total))
    )
    await service.start()
    health = await service.health()
    assert not health.ready
    assert "loading" in health.reason
    assert await service.models() == ()
    await service.wait_ready()
    await until_ready(service)
    await service.close()
    assert seen[0] == ("weights", 0, 100)
    assert seen[-1] == ("weights", 100, 100)


async def test_kill_9_fails_every_open_request_within_two_seconds_and_is_ready_again() -> None:
    async with running(echo(0.05)) as service:
        streams = [service.generate(chat("word " * 1000)) for _ in range(20)]
        for stream in streams:
            await anext(stream)
        killed_s = time.monotonic()
        os.kill(service.pid or 0, signal.SIGKILL)
        for stream in streams:
            events = await collect(stream)
            assert isinstance(events[-1], Failed)
            assert events[-1].error.code == "engine_died"
            assert "killed (SIGKILL" in events[-1].error.message
        assert time.monotonic() - killed_s < 2
        (refused,) = await collect(service.generate(chat("hello")))
        assert isinstance(refused, Failed)
        assert refused.error.status == 503
        assert refused.error.retry_after_s is not None
        assert not (await service.health()).ready
        await until_ready(service)
        assert isinstance((await collect(service.generate(chat("hello"))))[-1], Finished)


async def test_death_is_noticed_while_a_grandchild_holds_the_socket() -> None:
    async with running(odd("grandchild")) as service:
        killed_s = time.monotonic()
        pending = asyncio.create_task(collect(service.generate(chat("word " * 1_000_000))))
        await asyncio.sleep(0.05)
        os.kill(service.pid or 0, signal.SIGKILL)
        assert isinstance((await pending)[-1], Failed)
        assert time.monotonic() - killed_s < 2


async def test_a_silent_worker_is_not_ready_and_refuses_until_it_speaks_again() -> None:
    async with running(echo(), Supervision(stale_s=1.0)) as service:
        os.kill(service.pid or 0, signal.SIGSTOP)
        await asyncio.sleep(1.6)
        health = await service.health()
        assert not health.ready
        assert health.heartbeat_age_s > 1.0
        assert "silent for" in health.reason
        (refused,) = await collect(service.generate(chat("hello")))
        assert isinstance(refused, Failed)
        assert "silent for" in refused.error.message
        os.kill(service.pid or 0, signal.SIGCONT)
        await until_ready(service)
        assert isinstance((await collect(service.generate(chat("hello"))))[-1], Finished)


async def test_a_worker_that_stays_silent_is_killed_and_started_again() -> None:
    supervision = Supervision(first_delay_s=0.05, stale_s=0.8, hang_s=1.2)
    async with running(echo(0.05), supervision) as service:
        stream = service.generate(chat("word " * 1000))
        await anext(stream)
        stopped = service.pid or 0
        os.kill(stopped, signal.SIGSTOP)
        events = await collect(stream)
        assert isinstance(events[-1], Failed)
        assert events[-1].error.code == "engine_died"
        assert "was silent for 1.2 s and was stopped" in events[-1].error.message
        await until_ready(service)
        assert service.pid != stopped


async def test_a_worker_that_speaks_but_makes_no_progress_is_killed_and_started_again(
    capfd: pytest.CaptureFixture[str],
) -> None:
    supervision = Supervision(first_delay_s=0.05, stuck_s=1.0)
    async with running(odd("stuck"), supervision) as service:
        stuck = service.pid or 0
        _, failed = await collect(service.generate(chat("hello")))
        assert isinstance(failed, Failed)
        assert failed.error.code == "engine_died"
        assert "made no progress for 1 s and was stopped" in failed.error.message
        await until_ready(service)
        assert service.pid != stuck
        assert not is_alive(stuck)
    assert "most recent call first" in capfd.readouterr().err  # where its threads were


async def test_a_service_that_cannot_tell_its_health_is_silent() -> None:
    async with running(odd("speechless"), Supervision(stale_s=0.3, hang_s=0.6)) as service:
        pid = service.pid
        assert (await service.health()).ready
        await until(lambda: service.pid != pid)


async def test_deaths_long_ago_are_forgotten() -> None:
    supervision = Supervision(first_delay_s=0.01, max_deaths=2, window_s=0.01)
    async with running(echo(), supervision) as service:
        for _ in range(3):
            await until_ready(service)
            os.kill(service.pid or 0, signal.SIGTERM)
            await until(lambda: not service._channel)
        await until_ready(service)


async def test_a_listener_of_progress_that_fails_ends_the_load(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    service = ProcessService(odd("progress"), on_progress=fail, supervision=HASTY)
    await service.start()
    with pytest.raises(RemoteError, match="while the model was loading"):
        await service.wait_ready()
    assert "event=listening_failed" in caplog.text
    await service.close()


async def test_after_too_many_deaths_it_stays_down_and_says_so() -> None:
    supervision = Supervision(first_delay_s=0.01, max_deaths=3)
    async with running(echo(), supervision) as service:
        for death in range(3):
            if death:
                await until_ready(service)
            victim = service.pid or 0
            os.kill(victim, signal.SIGKILL)
            await until(lambda victim=victim: service.pid != victim)
        async with asyncio.timeout(10.0):
            while "died 3 times" not in (await service.health()).reason:
                await asyncio.sleep(0.02)
        assert not (await service.health()).ready
        (refused,) = await collect(service.generate(chat("hello")))
        assert isinstance(refused, Failed)
        assert refused.error.retry_after_s is None


@pytest.mark.parametrize(
    ("mode", "message", "exit_code"),
    [
        ("bad_checkpoint", "model.safetensors is cut short; download it again", 4),
        ("fault", "loading the model failed; see the log", 1),
        ("no_memory", "memory ran out", 1),
        ("killed", "was killed .SIGKILL.* while the model was loading", 1),
        ("nonsense", "sent nonsense .a frame of 4 bytes is no message", 1),
        ("claims_too_much", "sent nonsense .a frame claims 2147483648 bytes", 1),
    ],
)
async def test_a_model_that_cannot_load_is_told_once(
    mode: str, message: str, exit_code: int
) -> None:
    service = ProcessService(odd(mode), supervision=HASTY)
    await service.start()
    with pytest.raises(RemoteError, match=message) as caught:
        await service.wait_ready()
    assert caught.value.exit_code == exit_code
    assert "secret" not in caught.value.message
    await asyncio.sleep(0.2)
    assert service.pid is None  # It is not started again.
    (refused,) = await collect(service.generate(chat("hello")))
    assert isinstance(refused, Failed)
    await service.close()


async def test_a_command_that_is_not_there_is_an_error() -> None:
    service = ProcessService(["/nowhere/worker"])
    await service.start()
    with pytest.raises(RemoteError, match="could not be started"):
        await service.wait_ready()
    await service.close()


async def test_a_fault_of_the_service_fails_its_request_only() -> None:
    async with running(odd("faulty")) as service:
        for _ in range(2):
            delta, failed = await collect(service.generate(chat("hello")))
            assert delta == TextDelta(index=0, text="so far")
            assert isinstance(failed, Failed)
            assert failed.error.code == "internal_error"
            assert "secret" not in failed.error.message
        with pytest.raises(RemoteError, match="tokenizing met a fault"):
            await service.tokenize("hello")


async def test_a_reader_that_stops_reading_loses_its_answer_not_our_memory() -> None:
    async with running(odd("flood")) as service:
        stream = service.generate(chat("hello"))
        await anext(stream)
        await asyncio.sleep(1.0)  # Long enough for hundreds of megabytes.
        num_bytes = 0
        async for event in stream:
            if isinstance(event, TextDelta):
                num_bytes += len(event.text)
        assert isinstance(event, Failed)
        assert event.error.code == "slow_reader"
        assert num_bytes <= MAX_UNREAD_BYTES


async def test_a_request_too_large_for_a_frame_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(echo()) as service:
        monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 10_000)
        (refused,) = await collect(service.generate(chat("x" * 20_000)))
        assert isinstance(refused, Failed)
        assert refused.error.status == 413
        assert "10000 fit; shorten it" in refused.error.message
        assert isinstance((await collect(service.generate(chat("hello"))))[-1], Finished)


async def test_a_thousand_cancels_leave_nothing_behind() -> None:
    async with running(echo(0.001)) as service:
        num_fds, num_tasks = num_open_fds(), len(asyncio.all_tasks())
        for _ in range(20):
            streams = [service.generate(chat("word " * 1000)) for _ in range(50)]
            for stream in streams:
                await anext(stream)
            for stream in streams:
                await stream.aclose()
        async with asyncio.timeout(30):
            while (await service.health()).num_running:
                await asyncio.sleep(0.05)
        assert len(service._calls) == 0
        assert num_open_fds() == num_fds
        assert len(asyncio.all_tasks()) == num_tasks


async def test_cancelling_the_reading_task_cancels_the_request() -> None:
    async with running(echo(0.01)) as service:
        reading = asyncio.create_task(collect(service.generate(chat("word " * 1000))))
        await asyncio.sleep(0.2)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        async with asyncio.timeout(30):
            while (await service.health()).num_running:
                await asyncio.sleep(0.05)


async def test_close_ends_open_requests_and_leaves_no_process_file_or_task() -> None:
    num_fds, num_tasks = num_open_fds(), len(asyncio.all_tasks())
    async with running(echo(0.05)) as service:
        pid = service.pid or 0
        async with aclosing(service.generate(chat("word " * 1000))) as stream:
            await anext(stream)
            await service.close()
            failed = (await collect(stream))[-1]
            assert isinstance(failed, Failed)
            assert "shutting down" in failed.error.message
    await service.close()
    assert not is_alive(pid)
    assert num_open_fds() == num_fds
    assert len(asyncio.all_tasks()) == num_tasks


async def test_closing_while_loading_ends_the_wait() -> None:
    service = ProcessService(odd("slow"), supervision=HASTY)
    await service.start()
    waiting = asyncio.create_task(service.wait_ready())
    await until(lambda: service.pid is not None)
    pid = service.pid or 0
    await service.close()
    with pytest.raises(RemoteError, match="shutting down"):
        await waiting
    assert not is_alive(pid)


@pytest.mark.parametrize("mode", ["echo", "slow"])
async def test_the_worker_ends_when_its_parent_is_killed(mode: str) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import asyncio, sys\n"
            "from myna.core.remote import ProcessService\n"
            "async def main():\n"
            "    service = ProcessService(sys.argv[1:])\n"
            "    await service.start()\n"
            "    while service.pid is None: await asyncio.sleep(0.01)\n"
            "    print(service.pid, flush=True)\n"
            "    await asyncio.sleep(60)\n"
            "asyncio.run(main())\n",
            *odd(mode),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    await asyncio.sleep(0.5)
    assert is_alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    await until(lambda: not is_alive(pid))


async def test_closing_between_start_and_connection_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrived = asyncio.Event()
    started: list[asyncio.subprocess.Process] = []
    spawn = asyncio.create_subprocess_exec

    async def note(*args: object, **options: object) -> asyncio.subprocess.Process:
        started.append(await spawn(*args, **options))
        return started[-1]

    async def connect(sock: socket.socket) -> Channel[Reply, Command]:
        arrived.set()
        await asyncio.sleep(0.05)
        return await frames.to_worker(sock)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", note)
    monkeypatch.setattr("myna.core.remote.to_worker", connect)
    # A worker that never looks at its socket: one that did might end by itself, before the kill.
    service = ProcessService([sys.executable, "-c", "import time; time.sleep(60)"])
    await service.start()
    await arrived.wait()
    await service.close()
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize("num_steps", range(6))
async def test_closing_while_a_stuck_worker_is_put_away_waits_for_its_end(num_steps: int) -> None:
    num_fds, num_tasks = num_open_fds(), len(asyncio.all_tasks())
    service = ProcessService(odd("speechless"), supervision=Supervision(stale_s=0.1, hang_s=0.2))
    await service.start()
    await service.wait_ready()
    pid = service.pid or 0
    while service.pid == pid:
        await asyncio.sleep(0)
    for _ in range(num_steps):
        await asyncio.sleep(0)
    await asyncio.gather(service.close(), service.close())
    assert not Path(f"/proc/{pid}").exists()
    assert num_open_fds() == num_fds
    assert len(asyncio.all_tasks()) == num_tasks
