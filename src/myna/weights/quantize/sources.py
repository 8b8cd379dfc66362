"""What can be quantized: a folder as it was released, one of GPTQ's or AWQ's, a GGUF file.

Each is a network of shards, and of what is to lie beside them.
Not here: writing (shard, job, folder).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from myna.core.errors import Unsupported
from myna.weights.checkpoint import TensorInfo
from myna.weights.gguf import GgufCheckpoint
from myna.weights.gguf_folder import METADATA, write_metadata
from myna.weights.grouped import CONFIG, SECTION, GroupedCheckpoint, is_grouped
from myna.weights.open import find_gguf
from myna.weights.quantize.shard import ShardSource
from myna.weights.quantize.slabs import Readable
from myna.weights.report import some_names
from myna.weights.safetensors_files import SINGLE, SafetensorsCheckpoint, has_safetensors

DESCRIPTION = "quantization.json"
# What lies beside the weights: configuration, tokenizer, templates, licence, notes.
SMALL_SUFFIXES = ("", ".json", ".jinja", ".md", ".model", ".tiktoken", ".txt")
INDEX_SUFFIX = ".safetensors.index.json"


@dataclass(frozen=True)
class Network:
    """Hold what is to be quantized.

    Attributes:
        shards: by the name of the file to be written.
        copy_rest: puts what is to lie beside them into a folder.
    """

    shards: Mapping[str, ShardSource]
    copy_rest: Callable[[Path], None]


def open_network(source: Path) -> Network:
    """Open what is to be quantized; no values are read.

    Raises:
        Unsupported: it is quantized already, in blocks like ours, or of no known form.
        BadCheckpoint: it is damaged.
    """
    gguf_file = find_gguf(source) if source.exists() else None
    if gguf_file is not None:
        return _open_gguf(gguf_file)
    if not source.is_dir() or not has_safetensors(source):
        raise Unsupported(
            f"{source} is neither a folder of safetensors files nor a GGUF file, and others cannot "
            "be quantized; take the model as it was released"
        )
    if is_grouped(source):
        return _open_grouped(source)
    checkpoint = SafetensorsCheckpoint(source)
    if packed := [name for name, info in checkpoint.tensors.items() if info.is_packed]:
        raise Unsupported(
            f"{source} holds {len(packed)} tensors that are quantized already, such as "
            f"{some_names(packed[:1])}; take the model as it was released"
        )
    files = dict.fromkeys(info.file for info in checkpoint.tensors.values())
    return Network(
        {file: _shard(checkpoint, file, stamp=_stamp(source / file)) for file in files},
        lambda target: copy_small_files(source, target),
    )


def copy_small_files(source: Path, target: Path) -> None:
    """Copy what lies beside the weights and is not written anew."""
    for path in sorted(source.iterdir()):
        is_ours = path.name == DESCRIPTION or path.name.endswith(INDEX_SUFFIX)
        is_hidden = path.name.startswith(".")
        if path.is_file() and path.suffix in SMALL_SUFFIXES and not (is_ours or is_hidden):
            shutil.copyfile(path, target / path.name)


def _open_grouped(source: Path) -> Network:
    """Open a folder of GPTQ's or AWQ's; parts of one matrix may lie in several shards."""
    checkpoint = GroupedCheckpoint(source)
    known = checkpoint.files.tensors
    files = dict.fromkeys(info.file for info in checkpoint.tensors.values())
    stamp = " ".join(_stamp(source / file) for file in sorted({i.file for i in known.values()}))
    shards = {file: _shard(checkpoint, file, stamp=stamp) for file in files}

    def copy_rest(target: Path) -> None:
        copy_small_files(source, target)
        config = json.loads((source / CONFIG).read_bytes())
        del config[SECTION]
        (target / CONFIG).write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n")

    return Network(shards, copy_rest)


def _open_gguf(source: Path) -> Network:
    """Open a GGUF file; what is made of it is one shard."""
    checkpoint = GgufCheckpoint(source)
    parts = {source.with_name(info.file) for info in checkpoint.tensors.values()} | {source}
    stamp = " ".join(_stamp(part) for part in sorted(parts))
    shard = _Shard(checkpoint.tensors, checkpoint.read, stamp, _sum(checkpoint.tensors))
    first = checkpoint.first
    return Network({SINGLE: shard}, lambda target: write_metadata(first, target / METADATA))


class _Shard:
    """Give some of the tensors of an open checkpoint, which is only read."""

    def __init__(
        self,
        tensors: Mapping[str, TensorInfo],
        read: Callable[[str], Readable],
        stamp: str,
        num_bytes: int,
    ) -> None:
        self.tensors, self.stamp, self.num_bytes = tensors, stamp, num_bytes
        self._read = read

    def read(self, name: str) -> Readable:
        """Read one tensor."""
        return self._read(name)

    def drop(self, num_left: int) -> None:
        """Do nothing: the source is only read."""


def _shard(
    checkpoint: SafetensorsCheckpoint | GroupedCheckpoint, file: str, *, stamp: str
) -> _Shard:
    """Give the tensors of one file of a folder."""
    tensors = {name: info for name, info in checkpoint.tensors.items() if info.file == file}
    if isinstance(checkpoint, SafetensorsCheckpoint):
        return _Shard(tensors, checkpoint.read, stamp, _sum(tensors))
    stored = {n: i for n, i in checkpoint.files.tensors.items() if i.file == file}
    return _Shard(tensors, checkpoint.read_stepped, stamp, _sum(stored))


def _stamp(path: Path) -> str:
    """Tell a file's bytes from others without reading them."""
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def _sum(tensors: Mapping[str, TensorInfo]) -> int:
    return sum(info.num_bytes for info in tensors.values())
