"""Finding the model that a client means."""

from __future__ import annotations

import pytest

from myna.core.echo import EchoService
from myna.core.errors import NotFound, Unavailable
from myna.core.service import ModelCard
from myna.server.context import Context
from myna.server.limits import Gate
from myna.server.settings import ServerSettings


class LoadingService(EchoService):
    """Serve nothing yet."""

    async def models(self) -> tuple[ModelCard, ...]:
        return ()


def context(service: EchoService) -> Context:
    settings = ServerSettings(aliases={"gpt-4o": "echo"})
    return Context(service=service, settings=settings, gate=Gate(settings.limits))


@pytest.mark.parametrize("name", ["echo", "gpt-4o", None])
async def test_a_model_is_found_by_id_by_alias_or_as_the_first(name: str | None) -> None:
    assert (await context(EchoService()).model(name)).id == "echo"


async def test_an_unknown_model_is_answered_with_those_that_are_served() -> None:
    with pytest.raises(NotFound) as error:
        await context(EchoService()).model("gpt-9")
    assert error.value.message == "The model 'gpt-9' is not served here; ask for: echo, gpt-4o."


async def test_while_loading_callers_are_told_to_come_back() -> None:
    with pytest.raises(Unavailable, match=r"The model is still loading") as error:
        await context(LoadingService()).model("echo")
    assert error.value.retry_after_s == 5.0
