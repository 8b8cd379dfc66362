"""The engine's own process, with a real (tiny) model: serve, die, come back."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from myna.core.errors import MynaError
from myna.core.events import Accepted, Failed, Finished, TextDelta
from myna.core.remote import ProcessService, Supervision
from myna.pipeline.load import LoadOptions
from myna.pipeline.worker import worker_command

TYPED_ERROR_S = 2.0
READY_AGAIN_S = 120.0  # a busy machine takes most of a minute to import torch
STUCK_WORKER = str(Path(__file__).parent / "stuck_worker.py")


@pytest.fixture
async def process(tiny_folder: Path, options: LoadOptions) -> AsyncIterator[ProcessService]:
    service = ProcessService(worker_command(tiny_folder, options))
    await service.start()
    await service.wait_ready()
    yield service
    await service.close()


def text_of(events) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_a_worker_answers_as_the_service_in_this_process(process, service, ask, chat):
    near, far = await ask(service, chat()), await ask(process, chat())
    assert text_of(far) == text_of(near)
    assert isinstance(far[-1], Finished)
    assert await process.models() == await _as_created(service, process)
    assert await process.tokenize("hello") == await service.tokenize("hello")


async def test_a_killed_engine_gives_a_typed_error_and_comes_back(process, ask, chat, complete):
    canary = text_of(await ask(process, chat("canary")))
    descriptors = _num_descriptors()
    stream = process.generate(complete("abc", max_tokens=250, ignore_eos=True))
    async for event in stream:
        if isinstance(event, TextDelta):
            break
    (worker_pid,) = _children()
    os.kill(worker_pid, signal.SIGKILL)
    killed_s = time.monotonic()
    rest = [event async for event in stream]
    assert time.monotonic() - killed_s < TYPED_ERROR_S
    assert isinstance(rest[-1], Failed)
    assert rest[-1].error.code == "engine_died"
    await asyncio.wait_for(_until_ready(process), READY_AGAIN_S)
    assert text_of(await ask(process, chat("canary"))) == canary
    assert _num_descriptors() == descriptors
    assert worker_pid not in _children()


async def test_an_engine_that_hangs_fails_its_requests_and_comes_back(
    tiny_folder, options, ask, chat, complete, capfd
):
    command = (sys.executable, STUCK_WORKER, worker_command(tiny_folder, options)[-1])
    rules = Supervision(first_delay_s=0.05, stuck_s=2.0)
    service = ProcessService(command, supervision=rules)
    await service.start()
    await service.wait_ready()
    canary = text_of(await ask(service, chat("canary")))
    other = service.generate(complete("abc", max_tokens=250, ignore_eos=True))
    assert isinstance(await anext(other), Accepted)
    stuck = service.pid
    (*_, hung), (*_, beside) = await asyncio.gather(
        ask(service, complete("x" * 200, request_id="hung")),
        ask(service, complete("y" * 200, request_id="beside")),
    )
    rest = [event async for event in other]
    for failed in (hung, beside, rest[-1]):
        assert isinstance(failed, Failed)
        assert "made no progress for 2 s and was stopped" in failed.error.message
    await asyncio.wait_for(_until_ready(service), READY_AGAIN_S)
    assert service.pid != stuck
    assert text_of(await ask(service, chat("canary"))) == canary
    await service.close()
    assert "stuck_worker.py" in capfd.readouterr().err  # the log tells where it hung


async def test_a_model_that_cannot_load_says_why(tmp_path: Path, options: LoadOptions):
    (tmp_path / "config.json").write_text("{")
    service = ProcessService(worker_command(tmp_path, options))
    await service.start()
    with pytest.raises(MynaError, match=r"safetensors|config\.json"):
        await service.wait_ready()
    await service.close()
    assert _children() == []


async def _until_ready(service: ProcessService) -> None:
    while not (await service.health()).ready:
        await asyncio.sleep(0.05)


async def _as_created(service, process):
    (near,), (far,) = await service.models(), await process.models()
    return (msgspec.structs.replace(near, created_s=far.created_s),)


def _num_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _children() -> list[int]:
    """List the engine processes this one has started."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"myna.pipeline.worker" in command:
                found.append(int(pid))
    return found
