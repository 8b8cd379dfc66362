"""One file over HTTP: resumed, checked, named last; and every way it can go wrong."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from myna.core.errors import BadCheckpoint, NotFound, Unavailable
from myna.core.ledger import NAME, departures
from myna.hub import download
from myna.hub.download import Connection, RemoteFile, check_path, fetch, read_small

DATA = bytes(range(256)) * 5000  # 1.28 MB: more than one chunk
SHA256 = hashlib.sha256(DATA).hexdigest()
GIT_BLOB = hashlib.sha1(b"blob %d\0" % len(DATA) + DATA, usedforsecurity=False).hexdigest()
PATH = "/file.bin"


def file_of(hub: Any, **known: Any) -> RemoteFile:  # Any: the conftest's own class
    return RemoteFile(path="file.bin", url=hub.endpoint + PATH, **known)


def get(hub: Any, folder: Path, connection: Connection, **known: Any) -> tuple[int, str]:
    return fetch(file_of(hub, **known), folder, connection=connection, advance=lambda _: None)


def test_a_file_comes_whole_and_is_named_last(
    hub: Any, tmp_path: Path, connection: Connection
) -> None:
    hub.files[PATH] = DATA
    seen: list[int] = []

    def advance(done: int) -> None:
        seen.append(done)
        assert not (tmp_path / "file.bin").exists()

    file = file_of(hub, num_bytes=len(DATA), sha256=SHA256, git_blob=GIT_BLOB)
    assert fetch(file, tmp_path, connection=connection, advance=advance) == (len(DATA), SHA256)
    assert (tmp_path / "file.bin").read_bytes() == DATA
    assert seen[0] == 0
    assert seen[-1] == len(DATA)
    assert list(tmp_path.iterdir()) == [tmp_path / "file.bin"]


def test_what_is_not_known_is_not_checked(hub: Any, tmp_path: Path, connection: Connection) -> None:
    hub.files[PATH] = DATA
    assert get(hub, tmp_path, connection) == (len(DATA), SHA256)


@pytest.mark.parametrize("knows_size", [True, False])
def test_a_download_cut_at_ten_points_goes_on_from_each(
    hub: Any, tmp_path: Path, connection: Connection, knows_size: bool
) -> None:
    hub.files[PATH] = DATA
    hub.cuts[PATH] = [1, 1000, 0, 65_536, 100_001, 0, 0, 200_000, 5, 12_345]
    known = {"num_bytes": len(DATA), "sha256": SHA256} if knows_size else {}
    assert get(hub, tmp_path, connection, **known) == (len(DATA), SHA256)
    ranges = hub.ranges_of(PATH)
    assert len(ranges) == 11
    assert ranges[:4] == [None, "bytes=1-", "bytes=1001-", "bytes=1001-"]


def test_a_part_of_an_earlier_attempt_is_not_fetched_again(
    hub: Any, tmp_path: Path, connection: Connection
) -> None:
    hub.files[PATH] = DATA
    (tmp_path / "file.bin.part").write_bytes(DATA[:1_000_000])
    get(hub, tmp_path, connection, num_bytes=len(DATA), sha256=SHA256)
    assert hub.ranges_of(PATH) == ["bytes=1000000-"]


def test_a_complete_part_is_checked_without_a_connection(
    hub: Any, tmp_path: Path, connection: Connection
) -> None:
    (tmp_path / "file.bin.part").write_bytes(DATA)
    get(hub, tmp_path, connection, num_bytes=len(DATA), sha256=SHA256)
    assert hub.requests == []


def test_an_empty_file_is_a_file(hub: Any, tmp_path: Path, connection: Connection) -> None:
    assert get(hub, tmp_path, connection, num_bytes=0)[0] == 0
    assert (tmp_path / "file.bin").read_bytes() == b""


@pytest.mark.parametrize("part", [DATA + b"more", DATA[:-1] + b"mo"])
def test_a_part_longer_than_the_file_is_dropped(
    hub: Any, tmp_path: Path, connection: Connection, part: bytes
) -> None:
    hub.files[PATH] = DATA
    (tmp_path / "file.bin.part").write_bytes(part)
    assert get(hub, tmp_path, connection, num_bytes=len(DATA), sha256=SHA256)[1] == SHA256


def test_a_part_as_long_as_a_file_of_unknown_size_is_fetched_anew(
    hub: Any, tmp_path: Path, connection: Connection
) -> None:
    hub.files[PATH] = DATA
    (tmp_path / "file.bin.part").write_bytes(DATA)
    assert get(hub, tmp_path, connection) == (len(DATA), SHA256)
    assert hub.ranges_of(PATH) == [f"bytes={len(DATA)}-", None]


def test_a_server_without_ranges_makes_it_start_over(
    hub: Any, tmp_path: Path, connection: Connection
) -> None:
    hub.files[PATH] = DATA
    hub.ignores_ranges = True
    (tmp_path / "file.bin.part").write_bytes(b"old")
    assert get(hub, tmp_path, connection, sha256=SHA256)[1] == SHA256


def test_another_range_than_asked_for_makes_it_start_over(
    hub: Any, tmp_path: Path, connection: Connection
) -> None:
    hub.answers[PATH] = (206, {"Content-Range": "bytes 0-2/3"}, b"abc")
    (tmp_path / "file.bin.part").write_bytes(b"old")
    with pytest.raises(Unavailable, match=r"3 of 10 bytes came|failed 5 times"):
        get(hub, tmp_path, connection, num_bytes=10)
    assert hub.ranges_of(PATH)[:2] == ["bytes=3-", None]


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"num_bytes": len(DATA) + 1}, "1280000 of 1280001 bytes came"),
        ({"num_bytes": len(DATA) - 1}, "longer than the 1279999 bytes it should have"),
        ({"sha256": "0" * 64}, f"the SHA-256 of file.bin is {SHA256}, expected 0000"),
        ({"git_blob": "0" * 40}, f"the git id of file.bin is {GIT_BLOB}, expected 0000"),
    ],
)
def test_wrong_bytes_never_get_the_name(
    hub: Any, tmp_path: Path, connection: Connection, known: dict[str, Any], message: str
) -> None:
    hub.files[PATH] = DATA
    with pytest.raises((BadCheckpoint, Unavailable), match=message):
        get(hub, tmp_path, connection, **known)
    assert not (tmp_path / "file.bin").exists()


def test_a_file_of_wrong_size_without_announcement_is_caught(
    hub: Any, tmp_path: Path, connection: Connection
) -> None:
    (tmp_path / "file.bin.part").write_bytes(DATA)
    with pytest.raises(BadCheckpoint, match="deleted\nhint: pull again"):
        get(hub, tmp_path, connection, num_bytes=len(DATA), sha256="1" * 64)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "headers", "kind", "message"),
    [
        (404, {}, NotFound, "/file.bin does not exist"),
        (401, {}, Unavailable, "refused .401 .*\nhint: the model may ask you to log in"),
        (403, {}, Unavailable, "refused .403"),
        (500, {}, Unavailable, "failed 5 times .*answered 500.*\nhint: pull again"),
        (429, {}, Unavailable, "answered 429"),
        (200, {"Content-Type": "text/html"}, BadCheckpoint, "a web page instead of file.bin"),
        (302, {"Location": "file:///etc/passwd"}, Unavailable, "not allowed"),
    ],
)
def test_refusals_say_what_to_do(
    hub: Any,
    tmp_path: Path,
    connection: Connection,
    status: int,
    headers: dict[str, str],
    kind: type[Exception],
    message: str,
) -> None:
    hub.answers[PATH] = (status, headers, b"<html>sign in</html>")
    with pytest.raises(kind, match=message):
        get(hub, tmp_path, connection)
    assert not (tmp_path / "file.bin").exists()


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path, connection: Connection) -> None:
    file = RemoteFile(path="file.bin", url="http://127.0.0.1:1/file.bin")
    with pytest.raises(Unavailable, match=r"failed 5 times .*0 bytes are kept"):
        fetch(file, tmp_path, connection=connection, advance=lambda _: None)


def test_our_key_is_not_shown_to_another_host(
    hub: Any, tmp_path: Path, connection: Connection
) -> None:
    port = hub.endpoint.rpartition(":")[2]
    hub.files["/elsewhere"] = DATA
    hub.answers[PATH] = (302, {"Location": f"http://localhost:{port}/elsewhere"}, b"")
    keyed = Connection(headers={"Authorization": "Bearer secret"}, first_pause_s=0.001)
    get(hub, tmp_path, keyed, sha256=SHA256)
    shown = {path: headers.get("Authorization") for path, headers in hub.requests}
    assert shown == {PATH: "Bearer secret", "/elsewhere": None}


def test_our_key_goes_on_to_the_same_host(hub: Any, tmp_path: Path, connection: Connection) -> None:
    hub.files["/elsewhere"] = DATA
    hub.answers[PATH] = (302, {"Location": "/elsewhere"}, b"")
    keyed = Connection(headers={"Authorization": "Bearer secret"}, first_pause_s=0.001)
    get(hub, tmp_path, keyed, sha256=SHA256)
    assert all(headers.get("Authorization") for _, headers in hub.requests)


def test_every_request_is_noted_before_it_leaves(hub: Any, tmp_path: Path) -> None:
    port = hub.endpoint.rpartition(":")[2]
    hub.files["/elsewhere"] = DATA
    hub.answers[PATH] = (302, {"Location": f"http://localhost:{port}/elsewhere"}, b"")
    home = tmp_path / "home"
    keyed = Connection(headers={"Authorization": "Bearer secret"}, first_pause_s=0.001, home=home)
    get(hub, tmp_path / "model", keyed, sha256=SHA256)
    noted = [(left.host, left.path, left.has_key) for left in departures(home, limit=9)]
    assert noted == [("localhost", "/elsewhere", False), ("127.0.0.1", PATH, True)]


def test_nothing_leaves_that_cannot_be_noted(hub: Any, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(Unavailable, match=r"so nothing is asked of 127\.0\.0\.1"):
        get(hub, tmp_path, Connection(home=tmp_path))
    assert hub.requests == []


def test_a_full_disk_keeps_what_came(
    hub: Any, tmp_path: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    hub.files[PATH] = DATA
    monkeypatch.setattr(download.os, "fsync", fail)
    with pytest.raises(Unavailable, match="No space left on device; 1280000 bytes are kept\nhint"):
        get(hub, tmp_path, connection)


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/etc/passwd",
        "a/../../x",
        "a//b",
        "./a",
        "",
        ".myna.json",
        "a/.hidden",
        "a\\b",
        "a\0b",
        "a\nb",
        "C:x",
        "x.part",
        "é",
        "..",
        "a/",
    ],
)
def test_a_path_that_leaves_or_hides_is_refused(path: str) -> None:
    with pytest.raises(BadCheckpoint, match="which is no plain path; it is refused"):
        check_path(path)


@pytest.mark.parametrize("path", ["config.json", "a/b/c.safetensors", "x-1_2.3.txt"])
def test_a_plain_path_passes(path: str) -> None:
    assert check_path(path) == path


def test_a_listing_of_any_size_is_not_read(
    hub: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_LISTING_BYTES", 100)
    hub.files["/listing"] = b"x" * 101
    with pytest.raises(BadCheckpoint, match="answered with more than 100 bytes"):
        read_small(hub.endpoint + "/listing", connection=connection)


def test_a_listing_that_cannot_be_had_is_unavailable(connection: Connection) -> None:
    with pytest.raises(
        Unavailable, match=r"127.0.0.1:1 cannot be reached .*\nhint: check the conn"
    ):
        read_small("http://127.0.0.1:1/listing", connection=connection)
