"""A worker process without a model: `python -m myna.core.echo_worker DELAY_S SOCKET_FD`.

It stands in for a real engine wherever the path through a second process is what matters.
"""

from __future__ import annotations

import sys

from myna.core.echo import EchoService
from myna.core.worker import run_worker


def main(delay_s: str, socket_fd: str) -> None:
    """Serve echoes until the asking process leaves."""
    run_worker(lambda _: EchoService(delay_s=float(delay_s)), socket_fd=int(socket_fd))


if __name__ == "__main__":
    main(*sys.argv[1:])
