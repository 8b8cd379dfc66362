"""Fetching models on behalf of clients: one at a time, watched by as many as like.

A download goes on when its client leaves; it ends with the server, or when it is cancelled, and may
then be begun anew where it stopped.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Literal

from myna.core.errors import ErrorInfo, InternalError, MynaError, NotFound, Overloaded
from myna.hub.pull import Plan
from myna.server.library import Library

LOOK_S = 0.2
MAX_JOBS = 64
MAX_WAITING = 8

log = logging.getLogger("myna.server")

Status = Literal["downloading", "completed", "failed", "cancelled"]


class Cancelled(Exception):
    """Break off a download from within its progress."""


@dataclass
class Job:
    """Hold one download and how far it has come.

    Attributes:
        files: bytes that came of each step.
        started_s: when it began, in seconds since 1970.
    """

    id: str
    plan: Plan
    status: Status = "downloading"
    step: str = ""
    files: dict[str, int] = field(default_factory=dict)
    started_s: float = field(default_factory=time.time)
    ended_s: float | None = None
    error: ErrorInfo | None = None
    is_cancelled: bool = False

    @property
    def model_id(self) -> str:
        """Name the model."""
        return self.plan.entry.id

    @property
    def downloaded_bytes(self) -> int:
        """Add up what came."""
        return min(sum(self.files.values()), self.total_bytes)

    @property
    def total_bytes(self) -> int:
        """Tell how much is to come in all; files of unknown size count as they come."""
        return max(self.plan.num_bytes, 0) or sum(self.files.values())

    def advance(self, step: str, done: int, total: int) -> None:
        """Take progress, from the thread that fetches."""
        if self.is_cancelled:
            raise Cancelled
        self.step, self.files[step] = step, done

    def end(self, status: Status, error: ErrorInfo | None = None) -> None:
        """Note how it ended."""
        self.status, self.error, self.ended_s = status, error, time.time()


class Downloads:
    """Run downloads, one after another."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def open_jobs(self) -> tuple[Job, ...]:
        """List the downloads that have not ended."""
        return tuple(job for job in self._jobs.values() if job.status == "downloading")

    async def start(self, name: str, *, has_consent: bool = False) -> Job:
        """Begin to fetch a model; one that is being fetched already is joined.

        Raises:
            MynaError: it cannot be fetched; see `Library.plan`.
            Overloaded: too many downloads wait.
        """
        plan = await asyncio.to_thread(self._library.plan, name, has_consent=has_consent)
        for job in self.open_jobs:
            if job.model_id == plan.entry.id and not job.is_cancelled:
                return job
        if len(self.open_jobs) >= MAX_WAITING:
            raise Overloaded(
                f"{MAX_WAITING} downloads are open already; wait for one, or cancel it.",
                retry_after_s=60.0,
            )
        job = Job(id=f"job_{secrets.token_hex(12)}", plan=plan)
        self._jobs[job.id] = job
        while len(self._jobs) > MAX_JOBS:
            ended = next(key for key, old in self._jobs.items() if old.status != "downloading")
            del self._jobs[ended]
        if plan.is_complete:
            job.end("completed")
            return job
        task = asyncio.create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def job(self, job_id: str) -> Job:
        """Find a download.

        Raises:
            NotFound: there is none, or it ended long ago.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise NotFound(f"There is no download {job_id!r}.", param="job_id", code="no_such_job")
        return job

    async def watch(self, job: Job) -> AsyncGenerator[Job, None]:
        """Yield the download whenever it moved on, and once it has ended."""
        seen = None
        while True:
            state = (job.status, job.step, job.downloaded_bytes)
            if state != seen:
                yield job
            if job.status != "downloading":
                return
            seen = state
            await asyncio.sleep(LOOK_S)

    async def close(self) -> None:
        """Break all downloads off."""
        for job in self.open_jobs:
            job.is_cancelled = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, job: Job) -> None:
        try:
            async with self._turn:
                job.advance("waiting", 0, 0)
                await asyncio.to_thread(self._library.fetch, job.plan, job.advance)
            job.end("completed")
        except (Cancelled, asyncio.CancelledError):
            job.end("cancelled")
        except MynaError as error:
            job.end("failed", error.info())
        except Exception:
            log.exception("event=download_failed model=%s job=%s", job.model_id, job.id)
            fault = InternalError("Something broke while fetching; the server's log has the cause.")
            job.end("failed", fault.info())
