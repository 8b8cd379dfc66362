"""`/api/v1/models/...`: which models there are; loading, unloading and fetching them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core.errors import NotFound, Unsupported
from myna.core.fleet import Fleet, Member
from myna.core.memory import machine_memory_bytes, used_memory_bytes
from myna.server.body import read_wire
from myna.server.context import context_of, request_key
from myna.server.downloads import Downloads, Job
from myna.server.fits import Fit
from myna.server.library import Title, path_here
from myna.server.render import encode
from myna.server.schemas.control import (
    CancelRequest,
    DownloadRequest,
    FitObject,
    FitRequest,
    InstanceObject,
    JobObject,
    LoadedObject,
    LoadEvent,
    LoadRequest,
    TitleList,
    TitleObject,
    UnloadedObject,
    UnloadRequest,
)
from myna.server.sse import EventStream, Framing, WholeAnswer, named_frame

LOAD = msgspec.json.Decoder(LoadRequest)
UNLOAD = msgspec.json.Decoder(UnloadRequest)
DOWNLOAD = msgspec.json.Decoder(DownloadRequest)
FIT = msgspec.json.Decoder(FitRequest)
CANCEL = msgspec.json.Decoder(CancelRequest)
LOOK_S = 0.2
LOAD_TIMEOUT_S = 3600.0


async def list_titles(request: Request) -> Response:
    """List all models, loaded or not."""
    control = context_of(request).control()
    titles = await asyncio.to_thread(control.library.titles)
    members = {member.model_id: member for member in control.fleet.members}
    known = {title.id for title in titles}
    titles += tuple(Title(id=name, num_bytes=0) for name in members if name not in known)
    sizes = {title.id: title.num_bytes for title in titles}
    fits = {} if control.fits is None else await asyncio.to_thread(control.fits.known, sizes)
    instances = {member.model_id: await _instance(member) for member in members.values()}
    listed = [_title(title, instances.get(title.id), fits.get(title.id)) for title in titles]
    return _json(TitleList(models=listed, memory_bytes=machine_memory_bytes()))


async def fit_model(request: Request) -> Response:
    """Tell whether a model will run here and how fast; measured once, which takes a while."""
    control = context_of(request).control()
    wire = await read_wire(request, FIT)
    if control.fits is None:
        raise Unsupported("This server has no data folder to keep measurements in.")
    fits = control.fits
    titles = {title.id: title for title in await asyncio.to_thread(control.library.titles)}
    title = titles.get(wire.model)
    if title is None:
        raise NotFound(f"There is no model {wire.model!r} to measure.", param="model")

    async def measure() -> bytes:
        return encode(_fit(await fits.measure(title.id, num_bytes=title.num_bytes)))

    return WholeAnswer(measure, timeout_s=LOAD_TIMEOUT_S)


async def load_model(request: Request) -> Response:
    """Load a model, and answer when it is there; or tell how it comes along."""
    control = context_of(request).control()
    wire = await read_wire(request, LOAD)
    await asyncio.to_thread(path_here, control.library, wire.model)
    if wire.stream:
        return EventStream(
            load_events(control.fleet, wire.model),
            ping_s=context_of(request).settings.ping_s,
            timeout_s=LOAD_TIMEOUT_S,
            request_id=f"req_{request_key(request)}",
            framing=Framing(frame=named_frame),
        )

    async def load() -> bytes:
        member = await control.fleet.load(wire.model)
        return encode(LoadedObject(instance_id=member.model_id, load_time_seconds=member.load_s))

    return WholeAnswer(load, timeout_s=LOAD_TIMEOUT_S)


async def unload_model(request: Request) -> Response:
    """Unload a model; its open requests end."""
    wire = await read_wire(request, UNLOAD)
    await context_of(request).control().fleet.unload(wire.instance_id)
    return _json(UnloadedObject(instance_id=wire.instance_id))


async def download_model(request: Request) -> Response:
    """Begin to fetch a model."""
    wire = await read_wire(request, DOWNLOAD)
    downloads = context_of(request).control().downloads
    job = await downloads.start(wire.model, has_consent=wire.accept_licence is True)
    return _json(job_object(job))


async def download_status(request: Request) -> Response:
    """Tell how a download comes along; as events, if they are asked for."""
    context = context_of(request)
    downloads = context.control().downloads
    job = downloads.job(request.path_params["job_id"])
    if "text/event-stream" not in request.headers.get("accept", ""):
        return _json(job_object(job))
    return EventStream(
        job_events(downloads, job),
        ping_s=context.settings.ping_s,
        timeout_s=LOAD_TIMEOUT_S,
        request_id=f"req_{request_key(request)}",
        framing=Framing(),
    )


async def cancel_download(request: Request) -> Response:
    """Break a download off; what came of it is kept for the next time."""
    wire = await read_wire(request, CANCEL)
    job = context_of(request).control().downloads.job(wire.job_id)
    job.is_cancelled = True
    return _json(job_object(job))


async def load_events(fleet: Fleet, name: str) -> AsyncGenerator[bytes, None]:
    """Load a model; whoever hangs up meanwhile gives it up."""
    loading = asyncio.create_task(fleet.load(name))
    seen = None
    try:
        await asyncio.sleep(0)
        while not loading.done():
            for member in fleet.members:
                if member.model_id == name and (state := (member.step, member.done)) != seen:
                    seen = state
                    yield encode(
                        LoadEvent(
                            type="model_load.progress",
                            model_instance_id=name,
                            step=member.step,
                            progress=_share(member),
                        )
                    )
            await asyncio.wait({loading}, timeout=LOOK_S)
        member = loading.result()
        yield encode(
            LoadEvent(
                type="model_load.end",
                model_instance_id=name,
                load_time_seconds=member.load_s,
            )
        )
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)


async def job_events(downloads: Downloads, job: Job) -> AsyncGenerator[bytes, None]:
    """Watch a download."""
    async with aclosing(downloads.watch(job)) as states:
        async for state in states:
            yield encode(job_object(state))


def job_object(job: Job) -> JobObject:
    """Write down how far a download has come."""
    spent_s = (job.ended_s or time.time()) - job.started_s
    pace = job.downloaded_bytes / spent_s if spent_s > 0 else 0.0
    left_bytes = job.total_bytes - job.downloaded_bytes
    is_open = job.status == "downloading"
    return JobObject(
        job_id=job.id,
        model=job.model_id,
        status="already_downloaded" if job.plan.is_complete else job.status,
        total_size_bytes=job.total_bytes,
        downloaded_bytes=job.downloaded_bytes,
        started_at=job.started_s,
        bytes_per_second=round(pace, 1),
        estimated_completion=time.time() + left_bytes / pace if is_open and pace else None,
        completed_at=job.ended_s,
        step=job.step,
        error=job.error.message if job.error else None,
    )


def _fits(needs_bytes: int | None) -> bool | None:
    return None if needs_bytes is None else needs_bytes <= machine_memory_bytes()


def _fit(fit: Fit) -> FitObject:
    return FitObject(
        peak_bytes=fit.peak_bytes,
        fits=fit.peak_bytes <= machine_memory_bytes(),
        context=fit.context,
        tokens_per_s=fit.tokens_per_s,
    )


async def _instance(member: Member) -> InstanceObject:
    """Tell what a model of the fleet does and holds."""
    health, pid = await member.service.health(), member.service.pid
    held_bytes = None if pid is None else await asyncio.to_thread(used_memory_bytes, pid)
    cards = await member.service.models()
    return InstanceObject(
        id=member.model_id,
        status="loaded" if member.is_ready else "loading",
        progress=None if member.is_ready else _share(member),
        context_length=cards[0].context_length if cards else None,
        created=(cards[0].created_s or None) if cards else None,
        memory_bytes=held_bytes or None,
        num_running=health.num_running,
        num_waiting=health.num_waiting,
        reason=health.reason or None if member.is_ready and not health.ready else None,
    )


def _title(title: Title, instance: InstanceObject | None, fit: Fit | None) -> TitleObject:
    return TitleObject(
        key=title.id,
        display_name=title.summary or title.id,
        size_bytes=title.num_bytes,
        is_downloaded=title.path is not None,
        licence=title.licence,
        loaded_instances=[] if instance is None else [instance],
        needs_bytes=title.needs_bytes,
        packed_needs_bytes=title.packed_needs_bytes,
        fits=_fits(title.needs_bytes if fit is None else fit.peak_bytes),
        fits_packed=_fits(title.packed_needs_bytes),
        fit=None if fit is None else _fit(fit),
    )


def _share(member: Member) -> float:
    return round(member.done / member.total, 4) if member.total else 0.0


def _json(body: TitleList | UnloadedObject | JobObject) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


routes = [
    Route("/api/v1/models", list_titles),
    Route("/api/v1/models/fit", fit_model, methods=["POST"]),
    Route("/api/v1/models/load", load_model, methods=["POST"]),
    Route("/api/v1/models/unload", unload_model, methods=["POST"]),
    Route("/api/v1/models/download", download_model, methods=["POST"]),
    Route("/api/v1/models/download/cancel", cancel_download, methods=["POST"]),
    Route("/api/v1/models/download/status/{job_id}", download_status),
]
