"""A tiny model on disk, and ways to ask a service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from myna.core.events import Event
from myna.core.messages import text_message
from myna.core.progress import silent
from myna.core.requests import ChatInput, Request, RequestId, SamplingParams, TextInput
from myna.core.service import Service
from myna.models.tiny import write_tiny_checkpoint
from myna.pipeline.load import LoadOptions
from myna.pipeline.service import LocalService, load_local_service
from scripted import Told, told_service

TEMPLATES = Path(__file__).parents[1] / "text/templates"
Ask = Callable[[Service, Request], Awaitable[list[Event]]]

OPTIONS = LoadOptions(model_id="tiny", dtype="float32", max_context=256, kv_memory_bytes=2**20)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_tiny_checkpoint(folder, "qwen2", seed=0)
    return folder


@pytest.fixture
def options() -> LoadOptions:
    return OPTIONS


@pytest.fixture
async def service(tiny_folder: Path) -> AsyncIterator[LocalService]:
    loaded = load_local_service(tiny_folder, OPTIONS, silent)
    yield loaded
    await loaded.close()


@pytest.fixture
def ask() -> Ask:
    async def collect(service: Service, request: Request) -> list[Event]:
        return [event async for event in service.generate(request)]

    return collect


@pytest.fixture
def chat() -> Callable[..., Request]:
    def make(text: str = "hello", *, request_id: str = "r", **sampling: object) -> Request:
        params = SamplingParams(**{"temperature": 0.0, "max_tokens": 8} | sampling)
        asked = ChatInput(messages=(text_message("user", text),))
        return Request(id=RequestId(request_id), input=asked, sampling=params)

    return make


@pytest.fixture
def complete() -> Callable[..., Request]:
    def make(prompt: str, *, request_id: str = "r", **sampling: object) -> Request:
        params = SamplingParams(**{"temperature": 0.0, "max_tokens": 8} | sampling)
        return Request(id=RequestId(request_id), input=TextInput(prompt=prompt), sampling=params)

    return make


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Callable[[str], Told]]:
    """Make a service with one of the templates, whose answers are told to it."""
    async with AsyncExitStack() as stack:

        def make(template: str) -> Told:
            source = (TEMPLATES / f"{template}.jinja").read_text()
            made = told_service(tmp_path / template, source)
            stack.push_async_callback(made.service.close)
            return made

        yield make
