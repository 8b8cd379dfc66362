"""The engine's process: `python -m myna.pipeline.worker OPTIONS-AS-JSON SOCKET-FD`.

Started by `core.remote.ProcessService`, which appends the socket's number to the command.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from myna.core.worker import run_worker
from myna.pipeline.load import LoadOptions
from myna.pipeline.service import load_service


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Say what the process is to load."""

    path: str
    load: LoadOptions


def worker_command(path: Path, options: LoadOptions) -> tuple[str, ...]:
    """Write the command that starts a worker for this model."""
    spoken = msgspec.json.encode(WorkerOptions(path=str(path), load=options)).decode()
    return (sys.executable, "-m", "myna.pipeline.worker", spoken)


def main() -> None:
    """Load and serve until the asking process leaves."""
    spoken, socket_fd = sys.argv[1:]
    options = msgspec.json.decode(spoken, type=WorkerOptions)
    run_worker(
        lambda progress: load_service(Path(options.path), options.load, progress),
        socket_fd=int(socket_fd),
    )


if __name__ == "__main__":
    main()
