"""Which files make a model, according to the hub's listing and to what the catalogue knows.

Two layouts of addresses: the hub's, whose listing tells sizes and checksums, and the mirror's, of
which the catalogue's list alone is used. Not here: fetching them (hub.download, hub.pull).
"""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote

import msgspec

from myna.core.errors import BadCheckpoint, Unavailable
from myna.hub.catalogue import CatalogueFile, Entry
from myna.hub.download import Connection, RemoteFile, check_path, read_small

WANTED_SUFFIXES = (".safetensors", ".json", ".txt", ".jinja")
FIXED_REVISION_LENGTH = 40


class _Lfs(msgspec.Struct):
    sha256: str | None = None
    size: int | None = None


class _Sibling(msgspec.Struct, rename={"path": "rfilename", "blob_id": "blobId"}):
    path: str
    size: int | None = None
    blob_id: str | None = None
    lfs: _Lfs | None = None


class _Listing(msgspec.Struct):
    sha: str
    siblings: tuple[_Sibling, ...] = ()


def list_hub(
    entry: Entry, *, endpoint: str, connection: Connection
) -> tuple[str, tuple[RemoteFile, ...]]:
    """Ask the hub for a model's files.

    Returns:
        The revision, which is the pinned one if the catalogue pins one, and the files.

    Raises:
        BadCheckpoint: the listing contradicts what is known for certain.
    """
    wish = entry.revision or "main"
    address = f"{endpoint}/api/models/{entry.repository}/revision/{wish}?blobs=true"
    try:
        listing = msgspec.json.decode(read_small(address, connection=connection), type=_Listing)
    except msgspec.MsgspecError as error:
        raise Unavailable(f"{address} answered with something else than a listing ({error})") from (
            error
        )
    if entry.revision is not None and listing.sha != entry.revision:
        raise BadCheckpoint(
            f"revision {entry.revision} of {entry.repository} was asked for, and {listing.sha} "
            "came; it is refused"
        )
    if len(listing.sha) != FIXED_REVISION_LENGTH or not listing.sha.isalnum():
        raise BadCheckpoint(f"{address} names the revision {listing.sha!r}, which is no commit")
    known = {file.path: file for file in entry.files}
    missing = [
        path
        for path, file in known.items()
        if file.certainty != "unknown" and path not in {found.path for found in listing.siblings}
    ]
    if missing:
        raise BadCheckpoint(
            f"{entry.repository} lacks {', '.join(missing[:3])} ({len(missing)} of {len(known)} "
            "files); it may have been renamed"
        )
    return listing.sha, tuple(
        _merge(found, known.get(found.path), entry=entry, endpoint=endpoint, revision=listing.sha)
        for found in listing.siblings
        if found.path in known or _is_wanted(found.path, entry)
    )


def list_mirror(entry: Entry, *, endpoint: str) -> tuple[RemoteFile, ...]:
    """Give the catalogue's files at a mirror, whose own revisions we do not know."""
    return tuple(
        RemoteFile(
            path=file.path,
            url=mirror_address(entry, file.path, endpoint=endpoint),
            num_bytes=file.num_bytes,
            sha256=file.sha256,
            is_optional=file.certainty == "unknown",
        )
        for file in entry.files
    )


def hub_address(entry: Entry, path: str, *, endpoint: str, revision: str) -> str:
    """Give the address of a file at the hub."""
    return f"{endpoint}/{entry.repository}/resolve/{revision}/{quote(check_path(path))}"


def mirror_address(entry: Entry, path: str, *, endpoint: str) -> str:
    """Give the address of a file at a mirror."""
    return f"{endpoint}/models/{entry.repository}/resolve/master/{quote(check_path(path))}"


def _is_wanted(path: str, entry: Entry) -> bool:
    """Tell whether a file that the catalogue does not list belongs to the model."""
    pure = PurePosixPath(path)
    if entry.kind == "lora":
        return False  # Its repository holds many models, of which the catalogue names ours.
    if any(part.startswith(".") for part in pure.parts):
        return False
    is_nested = len(pure.parts) > 1 and entry.kind != "image_edit"
    return pure.suffix in WANTED_SUFFIXES and not is_nested


def _merge(
    found: _Sibling, known: CatalogueFile | None, *, entry: Entry, endpoint: str, revision: str
) -> RemoteFile:
    """Unite what the hub says of a file with what the catalogue knows of it."""
    sha256 = found.lfs.sha256 if found.lfs else None
    num_bytes = found.lfs.size if found.lfs and found.lfs.size is not None else found.size
    if known is not None and known.certainty == "confirmed":
        for what, theirs, ours in (
            ("size", num_bytes, known.num_bytes),
            ("SHA-256", sha256, known.sha256),
        ):
            if theirs is not None and ours is not None and theirs != ours:
                raise BadCheckpoint(
                    f"the hub gives {found.path} of {entry.repository} the {what} {theirs}, but "
                    f"{ours} is known for certain; it is refused"
                )
        sha256, num_bytes = sha256 or known.sha256, num_bytes or known.num_bytes
    return RemoteFile(
        path=check_path(found.path),
        url=hub_address(entry, found.path, endpoint=endpoint, revision=revision),
        num_bytes=num_bytes,
        sha256=sha256,
        git_blob=None if found.lfs else found.blob_id,
    )
