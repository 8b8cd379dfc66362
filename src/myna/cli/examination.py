"""What `myna doctor` looks at, each look a small function that says what it found.

Not here: how it is shown.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from myna.cli.console import size_text
from myna.core.errors import MynaError
from myna.core.memory import available_memory_bytes
from myna.core.settings import Settings
from myna.hub.cache import installed
from myna.hub.pull import nearest_folder

CPUINFO = Path("/proc/cpuinfo")
# What the compiled kernels and torch make use of, the best last.
USEFUL_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
SMALL_MEMORY_BYTES = 4 * 10**9
SMALL_DISK_BYTES = 2 * 10**9


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Say what was found: `good`, `poor` (it works, slowly or for small models) or `fail`."""

    what: str
    mark: Literal["good", "poor", "fail"]
    found: str
    hint: str | None = None


def examine(settings: Settings) -> tuple[Finding, ...]:
    """Look at everything."""
    looks: tuple[Callable[[Settings], Finding], ...] = (
        _python,
        _torch,
        _processor,
        _kernels,
        _memory,
        _disk,
        _models,
    )
    return tuple(look(settings) for look in looks)


def _python(_: Settings) -> Finding:
    return Finding(
        what="python", mark="good", found=f"{platform.python_version()} {sys.executable}"
    )


def _torch(_: Settings) -> Finding:
    try:
        # Takes seconds to load, and may be missing or broken; that is what is being asked.
        import torch  # noqa: PLC0415
    except (ImportError, OSError) as error:
        return Finding(
            what="torch",
            mark="fail",
            found=str(error),
            hint="install it: python -m pip install torch==2.13.0",
        )
    device = "CUDA" if torch.cuda.is_available() else "no CUDA"
    found = f"{torch.__version__}, {torch.get_num_threads()} threads, {device}"
    return Finding(what="torch", mark="good", found=found)


def _processor(_: Settings) -> Finding:
    flags: set[str] = set()
    name = platform.processor() or platform.machine()
    if CPUINFO.is_file():
        for line in CPUINFO.read_text().splitlines():
            key, value = (line + ":").split(":")[:2]
            if key.strip() in ("flags", "Features"):
                flags = set(value.split())
            elif key.strip() == "model name":
                name = value.strip()
    useful = [flag for flag in USEFUL_FLAGS if flag in flags]
    is_good = "avx2" in useful or platform.machine() in ("aarch64", "arm64")
    return Finding(
        what="processor",
        mark="good" if is_good else "poor",
        found=f"{name}, {os.cpu_count()} cores; {' '.join(useful) or 'no vector extensions known'}",
        hint=None if is_good else "without AVX2 answers come slowly; small models do best",
    )


def _kernels(_: Settings) -> Finding:
    try:
        # Loads torch; see _torch.
        from myna.kernels.native import native  # noqa: PLC0415
    except (ImportError, OSError) as error:
        return Finding(what="kernels", mark="fail", found=str(error))
    kernels = native()
    if kernels is None:
        return Finding(
            what="kernels",
            mark="poor",
            found="not compiled; torch alone is used",
            hint="install a C++ compiler, then install myna again",
        )
    return Finding(what="kernels", mark="good", found=f"compiled, {kernels.name}")


def _memory(_: Settings) -> Finding:
    free_bytes = available_memory_bytes()
    is_small = free_bytes < SMALL_MEMORY_BYTES
    return Finding(
        what="memory",
        mark="poor" if is_small else "good",
        found=f"{size_text(free_bytes)} can be used",
        hint="close other programs, or use small models" if is_small else None,
    )


def _disk(settings: Settings) -> Finding:
    folder = nearest_folder(settings.models_dir)
    free_bytes = shutil.disk_usage(folder).free
    found = f"{size_text(free_bytes)} free at {settings.models_dir}"
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding(
            what="disk",
            mark="fail",
            found=f"{folder} cannot be written to ({error.strerror})",
            hint="set MYNA_HOME to a folder of yours",
        )
    is_small = free_bytes < SMALL_DISK_BYTES
    return Finding(
        what="disk",
        mark="poor" if is_small else "good",
        found=found,
        hint="make room, or set MYNA_HOME to another disk" if is_small else None,
    )


def _models(settings: Settings) -> Finding:
    try:
        models = installed(settings.models_dir)
    except MynaError as error:
        return Finding(what="models", mark="fail", found=error.message)
    if not models:
        return Finding(what="models", mark="poor", found="none", hint="myna pull smollm2-135m")
    total = size_text(sum(model.num_bytes for model in models))
    names = ", ".join(model.id for model in models)
    return Finding(what="models", mark="good", found=f"{names} ({total})")
