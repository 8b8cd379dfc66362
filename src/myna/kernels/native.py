"""The compiled kernels: find the library, choose the instruction set, give its functions.

Not here: shapes, types and twins (linear, attention, packed); those check what a kernel is handed,
since C does not. Where no compiler was there at installation the library is missing, and every
kernel runs as its pure-torch twin.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

# torch is loaded before the library, which then shares torch's OpenMP runtime.
import torch

import myna.kernels

LIBRARY = "libmyna_kernels.so"
INTERFACE_VERSION = 2
# The library's own names of element types.
DTYPES = MappingProxyType({torch.float32: 0, torch.bfloat16: 1})
POINTER, SIZE, INT, FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_float

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Native:
    """Hold the library's functions; each takes the level and the number of threads first.

    Attributes:
        level: which of the library's instruction sets to use.
        name: its name, such as `avx512_bf16`.
        level_name: gives the name of a level.
        split_tokens: positions that one task of `paged_attention` reads.
        linear_bf16: see linear.py for the order of its arguments.
        paged_attention: see attention.py.
        packed_linear: see fused.py, like `decode`.
    """

    level: int
    name: str
    level_name: Callable[[int], bytes]
    split_tokens: int
    linear_bf16: Callable[..., None]
    paged_attention: Callable[..., None]
    packed_linear: Callable[..., None]
    decode: Callable[..., None]

    def at_level(self, level: int) -> Native:
        """Give the same functions for a lower instruction set."""
        assert 0 <= level <= self.level, (level, self.level)
        return replace(self, level=level, name=self.level_name(level).decode())


@functools.cache
def native() -> Native | None:
    """Give the compiled kernels; `None`, said once in the log, where there are none."""
    path = library_path()
    if path is None:
        logger.warning("kernels=none hint: with a C++ compiler, installing myna again speeds it up")
        return None
    return load_library(path)


def library_path() -> Path | None:
    """Find the library beside this package, wherever that was installed or is edited."""
    for folder in myna.kernels.__path__:
        path = Path(folder) / LIBRARY
        if path.is_file():
            return path
    return None


def load_library(path: Path) -> Native | None:
    """Load the library; `None`, with the reason in the log, if it is broken or does not fit."""
    try:
        library = ctypes.CDLL(str(path))
        found = library.myna_interface_version()
    except (OSError, AttributeError) as error:
        logger.warning("kernels=none path=%s error=%s hint: install myna again", path, error)
        return None
    if found != INTERFACE_VERSION:
        wanted = f"interface {found}, not {INTERFACE_VERSION}"
        logger.warning("kernels=none path=%s found=%r hint: install myna again", path, wanted)
        return None
    level_name = library.myna_level_name
    level_name.restype = ctypes.c_char_p
    library.myna_split_tokens.restype = SIZE
    best_level: int = library.myna_best_level()
    return Native(
        level=best_level,
        name=level_name(best_level).decode(),
        level_name=level_name,
        split_tokens=library.myna_split_tokens(),
        linear_bf16=_function(library, "linear_bf16", *[POINTER] * 4, *[SIZE] * 3),
        paged_attention=_function(
            library, "paged_attention", *[POINTER] * 7, *[SIZE] * 7, FLOAT, INT
        ),
        packed_linear=_function(library, "packed_linear", *[POINTER] * 4, *[SIZE] * 3, INT, INT),
        decode=_function(library, "decode", POINTER, POINTER, SIZE, INT, INT),
    )


def is_plain(tensor: torch.Tensor) -> bool:
    """Tell whether a kernel may read its address: on the CPU, contiguous, no gradient wanted."""
    return tensor.is_cpu and tensor.is_contiguous() and not tensor.requires_grad


def _function(library: ctypes.CDLL, name: str, *arguments: type) -> ctypes._NamedFuncPointer:
    """Declare a kernel: the level and the number of threads come before its own arguments."""
    function = library[f"myna_{name}"]
    function.argtypes = (INT, INT, *arguments)
    function.restype = None
    return function
