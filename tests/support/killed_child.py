"""A child that kills itself in front of a chosen change of the disk.

To be used in an interpreter of its own, which has one thread when it forks.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable

CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}


def run_child(work: Callable[[], None], kill_at: int | None) -> bool:
    """Do work in a child.

    Args:
        work: changes the disk.
        kill_at: the number of the change in front of which the child dies, from 1; `None` is none.

    Returns:
        Whether it died; otherwise all work was done.

    Raises:
        AssertionError: the work failed.
    """
    pid = os.fork()
    if pid:
        status = os.waitpid(pid, 0)[1]
        was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert was_killed or status == 0, status
        return was_killed
    num_changes = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal num_changes
        if event in CHANGES or (event == "open" and arguments[1] not in ("r", "rb", None)):
            num_changes += 1
            if num_changes == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    status = 1
    try:
        work()
        status = 0
    finally:
        if status:
            traceback.print_exc()
        os._exit(status)
