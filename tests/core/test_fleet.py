"""Several services as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from myna.core.echo import EchoService
from myna.core.errors import BadCheckpoint, Conflict, NotFound, Unavailable
from myna.core.events import Failed, Finished, TextDelta
from myna.core.fleet import Fleet
from myna.core.messages import text_message
from myna.core.progress import Progress
from myna.core.requests import ChatInput, Request, RequestId


class SlowEcho(EchoService):
    """Load when told to, as a process does."""

    pid: int | None = None

    def __init__(self, name: str, progress: Progress) -> None:
        super().__init__(model=name)
        self.progress = progress
        self.may_load = asyncio.Event()
        self.has_started = False

    async def start(self) -> None:
        self.has_started = True

    async def wait_ready(self) -> None:
        self.progress("loading", 1, 2)
        await self.may_load.wait()
        if self.card.id == "broken":
            raise BadCheckpoint("it is broken")


class Yard:
    """Remember every service that was opened; none waits unless it is named `slow`."""

    def __init__(self) -> None:
        self.opened: list[SlowEcho] = []

    def open(self, name: str, progress: Progress) -> SlowEcho:
        if name == "unknown":
            raise NotFound("no such model")
        service = SlowEcho(name, progress)
        if name != "slow":
            service.may_load.set()
        self.opened.append(service)
        return service


@pytest.fixture
def yard() -> Yard:
    return Yard()


@pytest.fixture
async def fleet(yard: Yard) -> AsyncIterator[Fleet]:
    made = Fleet(yard.open, max_models=2)
    yield made
    await made.close()


def chat(model: str | None) -> Request:
    turns = (text_message("user", "hello"),)
    return Request(id=RequestId("r"), input=ChatInput(messages=turns), model=model)


async def test_each_model_answers_under_its_name(fleet: Fleet) -> None:
    await fleet.load("a")
    await fleet.load("b")
    assert [card.id for card in await fleet.models()] == ["a", "b"]
    for model in ("a", "b", None):
        events = [event async for event in fleet.generate(chat(model))]
        assert isinstance(events[-1], Finished)
        assert any(isinstance(event, TextDelta) for event in events)
    assert len(await fleet.tokenize("a b", model="b")) == 2
    assert await fleet.detokenize((1, 2), model="b") == "1 2"
    assert await fleet.render(chat("a").input, model="a") == "user: hello\n"


async def test_a_model_is_loaded_once(fleet: Fleet, yard: Yard) -> None:
    steps: list[tuple[str, int, int]] = []
    first = await fleet.load("a", lambda *step: steps.append(step))
    assert await fleet.load("a") is first
    assert steps == [("loading", 1, 2)]
    assert (first.step, first.done, first.total, first.is_ready) == ("loading", 1, 2, True)
    assert len(yard.opened) == 1


async def test_too_many_models_are_refused_until_one_is_unloaded(fleet: Fleet) -> None:
    await fleet.load("a")
    await fleet.load("b")
    with pytest.raises(Conflict, match="'c' cannot be loaded beside a, b: 2 may be loaded at once"):
        await fleet.load("c")
    await fleet.unload("a")
    await fleet.load("c")
    assert [member.model_id for member in fleet.members] == ["b", "c"]


async def test_what_is_not_loaded_is_told(fleet: Fleet) -> None:
    (failed,) = [event async for event in fleet.generate(chat(None))]
    assert isinstance(failed, Failed)
    assert (failed.error.status, failed.error.message) == (503, "No model is loaded.")
    with pytest.raises(NotFound, match="'a' is not loaded; nothing is loaded"):
        await fleet.unload("a")
    await fleet.load("a")
    (failed,) = [event async for event in fleet.generate(chat("b"))]
    assert isinstance(failed, Failed)
    assert failed.error.message == "The model 'b' is not loaded; loaded are a."


@pytest.mark.parametrize(("name", "kind"), [("broken", BadCheckpoint), ("unknown", NotFound)])
async def test_what_cannot_be_loaded_leaves_nothing(
    fleet: Fleet, yard: Yard, name: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        await fleet.load(name)
    assert fleet.members == ()
    assert all(service.closed.is_set() for service in yard.opened)


async def test_a_load_that_nobody_waits_for_is_given_up(fleet: Fleet, yard: Yard) -> None:
    loading = asyncio.create_task(fleet.load("slow"))
    await asyncio.sleep(0)
    assert not (await fleet.health()).ready or yard.opened
    loading.cancel()
    await asyncio.gather(loading, return_exceptions=True)
    assert fleet.members == ()
    assert yard.opened[0].closed.is_set()


async def test_health_is_that_of_all(fleet: Fleet) -> None:
    state = await fleet.health()
    assert (state.ready, state.reason) == (False, "no model is loaded")
    await fleet.load("a")
    assert (await fleet.health()).ready


async def test_a_closed_fleet_loads_nothing(fleet: Fleet, yard: Yard) -> None:
    await fleet.load("a")
    await fleet.close()
    assert yard.opened[0].closed.is_set()
    with pytest.raises(Unavailable, match="shutting down"):
        await fleet.load("b")
