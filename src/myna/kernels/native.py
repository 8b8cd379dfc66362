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
from myna.kernels import structs

LIBRARY = "libmyna_kernels.so"
INTERFACE_VERSION = 10
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
        levels: the names of all that this machine runs, by their number, the best one last.
        split_tokens: positions that one task of `paged_attention` reads.
        linear_bf16: see linear.py for the order of its arguments.
        paged_attention: see attention.py.
        prompt_attention: see attention.py.
        prompt_attention_scratch: the bytes that it works in, by positions, key heads and width.
        packed_linear: see fused.py, like `decode`.
        packed_linear_scratch: the bytes that it works in, by rows and columns.
        block_scales: see scales.py, like `short_scales`.
        gather: see fused.py; it takes the level alone.
        feed_forward: see experts.py.
        feed_forward_scratch: the bytes that it works in.
        decode_stack: see stack.py.
        decode_stack_scratch: the bytes that it works in, by threads.
        depth_decode: see depth.py.
        depth_decode_scratch: the bytes that it works in, by threads.
        convolve: see convolve.py.
    """

    level: int
    name: str
    levels: MappingProxyType[int, str]
    split_tokens: int
    linear_bf16: Callable[..., None]
    paged_attention: Callable[..., None]
    prompt_attention: Callable[..., None]
    prompt_attention_scratch: Callable[..., int]
    packed_linear: Callable[..., None]
    packed_linear_scratch: Callable[..., int]
    feed_forward: Callable[..., None]
    feed_forward_scratch: Callable[..., int]
    decode_stack: Callable[..., None]
    decode_stack_scratch: Callable[..., int]
    depth_decode: Callable[..., None]
    depth_decode_scratch: Callable[..., int]
    convolve: Callable[..., None]
    decode: Callable[..., None]
    block_scales: Callable[..., None]
    short_scales: Callable[..., None]
    gather: Callable[..., None]

    def at_level(self, level: int) -> Native:
        """Give the same functions for another instruction set that this machine runs."""
        return replace(self, level=level, name=self.levels[level])


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
    for which, struct in enumerate(structs.ALL):
        assert _sized(library, "struct_bytes", INT)(which) == ctypes.sizeof(struct), struct
    levels = {
        level: level_name(level).decode()
        for level in range(library.myna_num_levels())
        if library.myna_can_run(level)
    }
    best_level = max(levels)
    return Native(
        level=best_level,
        name=levels[best_level],
        levels=MappingProxyType(levels),
        split_tokens=library.myna_split_tokens(),
        linear_bf16=_function(library, "linear_bf16", *[POINTER] * 4, *[SIZE] * 3),
        paged_attention=_function(
            library, "paged_attention", *[POINTER] * 7, *[SIZE] * 7, FLOAT, INT, INT
        ),
        prompt_attention=_function(library, "prompt_attention", *[POINTER] * 6, *[SIZE] * 7, FLOAT),
        prompt_attention_scratch=_sized(library, "prompt_attention_scratch", *[SIZE] * 3),
        packed_linear=_function(library, "packed_linear", *[POINTER] * 5, *[SIZE] * 6, INT),
        packed_linear_scratch=_sized(library, "packed_linear_scratch", SIZE, SIZE),
        feed_forward=_function(library, "feed_forward", POINTER),
        feed_forward_scratch=_sized(library, "feed_forward_scratch", INT, POINTER),
        decode_stack=_function(library, "decode_stack", POINTER),
        decode_stack_scratch=_sized(library, "decode_stack_scratch", INT, INT, POINTER),
        depth_decode=_function(library, "depth_decode", POINTER),
        depth_decode_scratch=_sized(library, "depth_decode_scratch", INT, INT, POINTER),
        convolve=_function(library, "convolve", POINTER),
        decode=_function(library, "decode", POINTER, POINTER, SIZE, SIZE, INT, INT),
        block_scales=_function(library, "block_scales", *[POINTER] * 3, SIZE, SIZE),
        short_scales=_function(library, "short_scales", *[POINTER] * 3, SIZE, SIZE),
        gather=_alone(library, "gather", *[POINTER] * 3, *[SIZE] * 4),
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


def _alone(library: ctypes.CDLL, name: str, *arguments: type) -> ctypes._NamedFuncPointer:
    """Declare a kernel that runs on the caller's thread: the level comes first."""
    function = library[f"myna_{name}"]
    function.argtypes = (INT, *arguments)
    function.restype = None
    return function


def _sized(library: ctypes.CDLL, name: str, *arguments: type) -> ctypes._NamedFuncPointer:
    """Declare a function that tells a size."""
    function = library[f"myna_{name}"]
    function.argtypes = arguments
    function.restype = SIZE
    return function
