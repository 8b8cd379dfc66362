"""Fetch one file over HTTP: resumed where it broke off, checked, and named only when whole.

Bytes go to `NAME.part`; the file gets its name after its size and checksum were found right.
Not here: which files make a model (hub.repository) and in which order they come (hub.pull).
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from myna.core.errors import BadCheckpoint, NotFound, Unavailable
from myna.core.ledger import note_departure
from myna.hub.cache import PART_SUFFIX

CHUNK_BYTES = 2**20
TIMEOUT_S = 30.0
MAX_FAILURES = 5  # in a row, none of which brought a byte
MAX_LISTING_BYTES = 16 * 2**20
NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)
SAFE_PATH = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")

Advance = Callable[[int], None]
"""Told how many bytes of the file are here by now."""


@dataclass(frozen=True)
class RemoteFile:
    """Say where a file is, and what is known of it; `git_blob` is git's own SHA-1 of it."""

    path: str
    url: str
    num_bytes: int | None = None
    sha256: str | None = None
    git_blob: str | None = None
    is_optional: bool = False


@dataclass(frozen=True)
class Connection:
    """Say how to ask: with which headers, and how patiently.

    Each request is noted in the ledger of `home`, if that is given, before it leaves.
    """

    headers: dict[str, str] = field(default_factory=dict)
    timeout_s: float = TIMEOUT_S
    first_pause_s: float = 1.0
    home: Path | None = None

    def note(self, url: str, *, has_key: bool) -> None:
        """Note a request that is about to leave."""
        if self.home is not None:
            parts = urlsplit(url)
            host = parts.hostname or ""
            note_departure(self.home, purpose="model", host=host, path=parts.path, has_key=has_key)


def check_path(path: str) -> str:
    """Return a path of a file list if it stays inside its folder.

    Raises:
        BadCheckpoint: it does not, or it hides, or it collides with our own files.
    """
    parts = path.split("/")
    is_safe = SAFE_PATH.fullmatch(path) and all(not part.startswith(".") for part in parts)
    if not is_safe or path.endswith(PART_SUFFIX):
        raise BadCheckpoint(f"the file list names {path!r}, which is no plain path; it is refused")
    return path


def fetch(
    file: RemoteFile, folder: Path, *, connection: Connection, advance: Advance
) -> tuple[int, str]:
    """Bring a file into a folder, going on where an earlier attempt broke off.

    Returns:
        Its size and its SHA-256.

    Raises:
        BadCheckpoint: what came is not what was expected; nothing of it is kept.
        NotFound: the address has no such file.
        Unavailable: the connection failed; what came is kept, to go on from.
    """
    target = folder / check_path(file.path)
    part = target.with_name(target.name + PART_SUFFIX)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch_patiently(file, part, connection=connection, advance=advance)
        found = _verify(file, part)
        part.replace(target)
    except OSError as error:
        raise Unavailable(
            f"writing {target} failed: {error.strerror}; {_size(part)} bytes are kept\n"
            "hint: make room, then pull again to go on from there"
        ) from error
    return found


def read_small(url: str, *, connection: Connection) -> bytes:
    """Fetch a small document whole.

    Raises:
        NotFound, Unavailable: as `fetch`.
    """
    try:
        with _open(url, connection=connection, offset=0) as response:
            data = bytes(response.read(MAX_LISTING_BYTES + 1))
    except NETWORK_ERRORS as error:
        raise Unavailable(
            f"{urlsplit(url).netloc} cannot be reached ({error})\n"
            "hint: check the connection, or choose another source with --source"
        ) from error
    if len(data) > MAX_LISTING_BYTES:
        raise BadCheckpoint(f"{url} answered with more than {MAX_LISTING_BYTES} bytes")
    return data


def _fetch_patiently(
    file: RemoteFile, part: Path, *, connection: Connection, advance: Advance
) -> None:
    """Bring the part file to its full length, over as many connections as it takes."""
    num_failures = 0
    furthest = _size(part)
    while True:
        try:
            _fetch_rest(file, part, connection=connection, advance=advance)
            return
        except NETWORK_ERRORS as error:
            # Further than ever, that is: a server may make us begin anew each time.
            num_failures = 1 if _size(part) > furthest else num_failures + 1
            furthest = max(furthest, _size(part))
            if num_failures >= MAX_FAILURES:
                raise Unavailable(
                    f"fetching {file.path} failed {num_failures} times ({error}); "
                    f"{_size(part)} bytes are kept\nhint: pull again to go on from there"
                ) from error
            time.sleep(connection.first_pause_s * 2 ** (num_failures - 1))


def _fetch_rest(file: RemoteFile, part: Path, *, connection: Connection, advance: Advance) -> None:
    """Append what is missing to the part file, over one connection."""
    offset = _size(part)
    if file.num_bytes is not None and offset > file.num_bytes:
        part.unlink()
        offset = 0
    if offset == file.num_bytes:
        part.touch()
        advance(offset)
        return
    try:
        response = _open(file.url, connection=connection, offset=offset)
    except _RangeRefused:
        part.unlink()
        raise
    with response:
        if response.headers.get_content_type() == "text/html":
            raise BadCheckpoint(
                f"{file.url} answered with a web page instead of {file.path}; a proxy or a log-in "
                "page may be in between"
            )
        start = offset if response.status == http.client.PARTIAL_CONTENT else 0
        announced = response.headers.get("Content-Length")
        expected = file.num_bytes
        if expected is None and announced is not None:
            expected = start + int(announced)
        with part.open("ab" if start else "wb") as sink:
            _copy(file, response, sink, start=start, expected=expected, advance=advance)


def _copy(
    file: RemoteFile,
    response: http.client.HTTPResponse,
    sink: IO[bytes],
    *,
    start: int,
    expected: int | None,
    advance: Advance,
) -> None:
    position = start
    advance(position)
    while chunk := response.read(CHUNK_BYTES):
        position += len(chunk)
        if expected is not None and position > expected:
            sink.truncate(0)
            raise BadCheckpoint(
                f"{file.path} is longer than the {expected} bytes it should have; nothing is kept"
            )
        sink.write(chunk)
        advance(position)
    sink.flush()
    os.fsync(sink.fileno())
    if expected is not None and position < expected:
        raise http.client.HTTPException(f"{position} of {expected} bytes came")


def _verify(file: RemoteFile, part: Path) -> tuple[int, str]:
    """Compare what came with what is known; a mismatch deletes it."""
    num_bytes = _size(part)
    sha256 = hashlib.sha256()
    git_blob = hashlib.sha1(b"blob %d\0" % num_bytes, usedforsecurity=False)
    with part.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            sha256.update(chunk)
            if file.git_blob is not None:
                git_blob.update(chunk)
    for what, found, expected in (
        ("size", num_bytes, file.num_bytes),
        ("SHA-256", sha256.hexdigest(), file.sha256),
        ("git id", git_blob.hexdigest(), file.git_blob),
    ):
        if expected is not None and found != expected:
            part.unlink()
            raise BadCheckpoint(
                f"the {what} of {file.path} is {found}, expected {expected}; the file was deleted\n"
                "hint: pull again; if it happens twice, choose another source with --source"
            )
    return num_bytes, sha256.hexdigest()


class _RangeRefused(http.client.HTTPException):
    """Tell that the server has no such range: the part file does not fit the file."""


class _KeepSecrets(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but show our key to nobody else than whom it is for."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Make the next request, without our key if it goes to another host."""
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            new.remove_header("Authorization")
        if new is not None:
            self.connection.note(newurl, has_key=new.has_header("Authorization"))
        return new


def _open(url: str, *, connection: Connection, offset: int) -> http.client.HTTPResponse:
    """Ask for a file from an offset on; refusals become errors that say what to do."""
    headers = {**connection.headers, "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    opener = urllib.request.build_opener(_KeepSecrets(connection))
    connection.note(url, has_key="Authorization" in headers)
    try:
        response: http.client.HTTPResponse = opener.open(
            urllib.request.Request(url, headers=headers), timeout=connection.timeout_s
        )
    except urllib.error.HTTPError as refusal:
        with refusal:
            status, reason = refusal.code, refusal.reason
        if status == http.client.NOT_FOUND:
            raise NotFound(f"{url} does not exist", code="file_not_found") from None
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            raise Unavailable(
                f"{url} is refused ({status} {reason})\n"
                "hint: the model may ask you to log in at the hub and accept its terms first"
            ) from None
        if status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _RangeRefused(f"{url} does not go on at byte {offset}") from None
        raise http.client.HTTPException(f"{url} answered {status} {reason}") from None
    if response.status == http.client.PARTIAL_CONTENT:
        answered = response.headers.get("Content-Range", "")
        if not answered.startswith(f"bytes {offset}-"):
            response.close()
            raise _RangeRefused(f"{url} was asked from byte {offset} on, and sent {answered!r}")
    return response


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
