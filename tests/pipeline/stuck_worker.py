"""A worker whose engine hangs on long prompts; run by test_worker.py as a program."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import msgspec
from torch import Tensor

from myna.core.progress import Progress
from myna.core.service import Service
from myna.core.worker import run_worker
from myna.layers.cache import PackedBatch
from myna.pipeline.load import load_model
from myna.pipeline.service import LocalService
from myna.pipeline.worker import WorkerOptions

HANGS_FROM = 64  # tokens in a step


def load(options: WorkerOptions, progress: Progress) -> Service:
    model = load_model(Path(options.path), options.load, progress)
    decoder = model.decoder
    forward = decoder.forward

    def hang(batch: PackedBatch, caches: list[object]) -> Tensor:
        if len(batch.token_ids) >= HANGS_FROM:
            threading.Event().wait()
        return forward(batch, caches)

    decoder.forward = hang
    return LocalService(model)


if __name__ == "__main__":
    spoken, socket_fd = sys.argv[1:]
    asked = msgspec.json.decode(spoken, type=WorkerOptions)
    run_worker(lambda progress: load(asked, progress), socket_fd=int(socket_fd))
