"""The clock of a connection drops it once, and only when it is late."""

from __future__ import annotations

import asyncio

from myna.server.clock import Clock


class Line(asyncio.Transport):
    """Count how often the connection was dropped."""

    num_aborts = 0

    def abort(self) -> None:
        self.num_aborts += 1


async def test_a_connection_that_is_late_is_dropped() -> None:
    line, clock = Line(), Clock(0.05)
    clock.start(line)
    await asyncio.sleep(0.03)
    clock.start(line)  # does not begin anew
    await asyncio.sleep(0.04)
    assert line.num_aborts == 1


async def test_a_stopped_clock_drops_nothing_until_it_is_started_again() -> None:
    line, clock = Line(), Clock(0.01)
    clock.stop()
    clock.start(line)
    clock.stop()
    await asyncio.sleep(0.03)
    assert line.num_aborts == 0
    clock.start(line)
    await asyncio.sleep(0.03)
    assert line.num_aborts == 1
