"""Requests made up from the description of all addresses: never a fault of ours, never unlocked.

No part of the usual run, for making them up takes minutes: `python -m pytest
tests/protocol/described_suite.py`. `MYNA_TEST_EXAMPLES` sets how many are made for each address.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error

from myna.core.fleet import Fleet
from myna.server.app import App, create_app
from myna.server.auth import is_public
from myna.server.settings import ServerSettings
from shelf import EchoProcess, Shelf

KEY = {"Authorization": "Bearer a-good-key"}
NUM_EXAMPLES = int(os.environ.get("MYNA_TEST_EXAMPLES", "20"))


def fleet_app() -> App:
    """Serve a fleet with a library, so that no address is closed."""
    library = Shelf(Path("/nowhere"))
    fleet = Fleet(lambda name, progress: EchoProcess(name, progress))
    asyncio.run(fleet.load("one"))
    settings = ServerSettings(api_keys=("a-good-key",))
    return create_app(fleet, settings=settings, library=library)


schema = schemathesis.openapi.from_asgi("/openapi.json", fleet_app(), headers=KEY)
few = settings(
    max_examples=NUM_EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@schema.parametrize()
@few
def test_nothing_that_is_described_breaks_the_server(case: schemathesis.Case) -> None:
    answer = case.call(headers=KEY)
    case.validate_response(answer, checks=[not_a_server_error])


@schema.parametrize()
@settings(few, max_examples=2)
def test_nothing_is_open_without_a_key(case: schemathesis.Case) -> None:
    answer = case.call(headers={})
    if is_public(case.path):
        assert answer.status_code != 401
    else:
        assert answer.status_code in (400, 401, 403, 431)
