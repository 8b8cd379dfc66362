"""Random calls over real sockets, many of them broken off: nothing may be left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from call_scripts import Script
from myna.core.echo import EchoService
from myna.server.settings import ServerSettings

NUM_SCRIPTS = int(os.environ.get("MYNA_TEST_CALL_SCRIPTS", "60"))
PATHS = ("/v1/realtime?model=echo", "/api-ws/v1/realtime?model=echo")
DEADLINE_S = 10.0


@pytest.fixture(scope="module")
def quick(serve: Callable[..., Any]) -> Iterator[Any]:
    """Answer a word every two milliseconds."""
    with serve(EchoService(delay_s=0.002), ServerSettings()) as live:
        yield live


def num_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def num_tasks(live: Any) -> int:
    """Count the tasks of the server's loop."""
    loop = live.server.servers[0].get_loop()

    async def count() -> int:
        return len(asyncio.all_tasks())

    return asyncio.run_coroutine_threadsafe(count(), loop).result(DEADLINE_S)


def hear_what_is_there(socket: ClientConnection, script: Script) -> None:
    """Read all that waits to be read."""
    with contextlib.suppress(TimeoutError):
        while True:
            script.hear(json.loads(socket.recv(timeout=0.001)))


def perform(live: Any, seed: int) -> None:
    """Hold one call, and end it in one of the ways in which calls end."""
    script, rng = Script(seed), random.Random(f"end {seed}")
    url = f"ws://127.0.0.1:{live.port}{rng.choice(PATHS)}"
    with contextlib.suppress(ConnectionClosed), connect(url, close_timeout=2.0) as socket:
        for _ in range(rng.randrange(3, 25)):
            socket.send(script.next())
            if rng.random() < 0.5:
                hear_what_is_there(socket, script)
        match rng.randrange(4):
            case 0:
                socket.socket.shutdown(2)  # Both ways, without a word.
            case 1:
                socket.send('{"type": "session.finish"}')
                for message in socket:
                    script.hear(json.loads(message))
            case 2:
                hear_what_is_there(socket, script)


def test_random_calls_leave_nothing_behind(quick: Any, caplog: pytest.LogCaptureFixture) -> None:
    perform(quick, -1)
    base_descriptors, base_tasks = num_descriptors(), num_tasks(quick)
    with caplog.at_level(logging.ERROR):
        for seed in range(NUM_SCRIPTS):
            perform(quick, seed)
    # The client that breaks off complains, too; what counts is the server.
    told = [record for record in caplog.records if record.name != "websockets.client"]
    assert [record.getMessage() for record in told] == []
    deadline_s = time.monotonic() + DEADLINE_S
    calls = quick.app.context.calls
    while calls.num_open or num_tasks(quick) > base_tasks or num_descriptors() > base_descriptors:
        assert time.monotonic() < deadline_s, "a call, a task or a descriptor is left"
        time.sleep(0.01)
    quick.wait_idle()
    assert quick.canary()
