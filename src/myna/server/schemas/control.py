"""`/api/v1/models/...` on the wire, with LM Studio's names."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from myna.server.schemas.sampling import Name

ModelName = Annotated[str, Meta(min_length=1, max_length=256)]


class LoadRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /api/v1/models/load`; with `stream`, progress comes as events."""

    model: ModelName
    stream: bool | None = None


class UnloadRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /api/v1/models/unload`."""

    instance_id: ModelName


class DownloadRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /api/v1/models/download`."""

    model: ModelName
    accept_licence: bool | None = None


class CancelRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /api/v1/models/download/cancel`."""

    job_id: Name


class FitRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /api/v1/models/fit`."""

    model: ModelName


class LoadedObject(msgspec.Struct, kw_only=True):
    """A model that was loaded."""

    type: str = "llm"
    instance_id: str
    load_time_seconds: float
    status: str = "loaded"


class UnloadedObject(msgspec.Struct, kw_only=True):
    """A model that was unloaded."""

    instance_id: str


class LoadEvent(msgspec.Struct, kw_only=True):
    """One event of a load that is watched."""

    type: str
    model_instance_id: str
    step: str | UnsetType = UNSET
    progress: float | UnsetType = UNSET
    load_time_seconds: float | UnsetType = UNSET


class JobObject(msgspec.Struct, kw_only=True):
    """How far a download has come; times are in seconds since 1970."""

    job_id: str
    model: str
    status: str
    total_size_bytes: int
    downloaded_bytes: int
    started_at: float
    bytes_per_second: float | None = None
    estimated_completion: float | None = None
    completed_at: float | None = None
    step: str = ""
    error: str | None = None


class InstanceObject(msgspec.Struct, kw_only=True):
    """A loaded instance of a model.

    `created` is in seconds since 1970; `memory_bytes` is what its process holds; `reason` says why
    a loaded one cannot answer now. Each is null where it is not known or does not apply.
    """

    id: str
    status: str
    progress: float | None
    context_length: int | None
    created: int | None = None
    memory_bytes: int | None = None
    num_running: int = 0
    num_waiting: int = 0
    reason: str | None = None


class FitObject(msgspec.Struct, kw_only=True):
    """What running a model takes on this machine, as measured by `myna fit`."""

    peak_bytes: int
    fits: bool
    context: int
    tokens_per_s: float | None


class TitleObject(msgspec.Struct, kw_only=True):
    """A model that is here or can be fetched; `fit` is there once it was measured.

    `fits` tells whether the machine's memory holds it as it comes, `fits_packed` once its weights
    have about four bits; they are null where its needs are not known.
    """

    type: str = "llm"
    key: str
    display_name: str
    size_bytes: int
    is_downloaded: bool
    licence: str | None
    loaded_instances: list[InstanceObject]
    needs_bytes: int | None = None
    packed_needs_bytes: int | None = None
    fits: bool | None = None
    fits_packed: bool | None = None
    fit: FitObject | None = None


class TitleList(msgspec.Struct, kw_only=True):
    """All models that are here or can be fetched, and the memory of this machine."""

    models: list[TitleObject]
    memory_bytes: int


class Memory(msgspec.Struct, kw_only=True):
    """What this server, its engines included, holds in memory now, and what the machine has."""

    used_bytes: int
    machine_bytes: int


class DepartureObject(msgspec.Struct, kw_only=True):
    """A request that left this machine; `at` is in seconds since 1970."""

    at: float
    purpose: str
    host: str
    path: str
    has_key: bool


class Ledger(msgspec.Struct, kw_only=True):
    """What left this machine, the newest first, and the folder in which all data stays."""

    folder: str
    data: list[DepartureObject]
