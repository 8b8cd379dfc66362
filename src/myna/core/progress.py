"""How a long step tells that it moves on: loading weights, downloading, compiling.

Not here: how it is drawn (cli) or carried between processes (core.remote).
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as `progress(step, done, total)`, from any thread and often; done == total ends a step."""


def silent(step: str, done: int, total: int) -> None:
    """Take progress and show nothing."""
