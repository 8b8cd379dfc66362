"""Quantize a folder in Hugging Face's form: shard by shard, one tensor in memory at a time.

Not here: what becomes of each tensor (scheme) and how (encode). The shards keep their names and
what they hold; each says in its own metadata which of its tensors are blocks, so that one shard
alone can be read, and made again. Nothing bears the target's name until everything is written.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from myna.core.errors import BadCheckpoint, InvalidRequest, Unavailable, Unsupported
from myna.core.progress import Progress
from myna.kernels.blocks import FORMATS, decode_rows
from myna.kernels.tiles import TILE_ROWS
from myna.weights.checkpoint import TensorInfo
from myna.weights.quantize.encode import encode_rows
from myna.weights.quantize.scheme import EXEMPT, Bits, Choice, Exempt, choose, flat_shape
from myna.weights.report import some_names
from myna.weights.safetensors_files import INDEX, SafetensorsCheckpoint, has_safetensors
from myna.weights.safetensors_header import BLOCKS_KEY, BLOCKS_VERSION

SLAB_VALUES = 1 << 18  # one megabyte of floats: the search for scales stays in the cache
HEADER_ALIGNMENT = 64  # of what follows it: a vector read from a mapped file lies in one line
DESCRIPTION = "quantization.json"
# What lies beside the weights: configuration, tokenizer, templates, licence, notes.
SMALL_SUFFIXES = ("", ".json", ".jinja", ".md", ".model", ".tiktoken", ".txt")
INDEX_SUFFIX = ".safetensors.index.json"


@dataclass(frozen=True)
class QuantizeReport:
    """Sum up what was done.

    Attributes:
        num_tensors: by format; what was kept is under its dtype.
        bytes_before: of all tensors.
        bytes_after: of all tensors.
        error: root mean square of what rounding changed, as a share of the weights', by format.
        reasons: why tensors became what they are, and of how many that is true.
    """

    num_tensors: dict[str, int]
    bytes_before: int
    bytes_after: int
    error: dict[str, float]
    reasons: dict[str, int]


def quantize_folder(
    source: Path,
    target: Path,
    *,
    bits: Bits,
    progress: Progress,
    table_bits: Bits = 8,
    importance: Mapping[str, Tensor] | None = None,
    exempt: Sequence[Exempt] = EXEMPT,
) -> QuantizeReport:
    """Write a folder's model anew, its large matrices in blocks of few bits.

    Args:
        source: a folder of safetensors files, which is only read.
        target: where the new folder is to be; nothing may be there.
        bits: of most matrices.
        progress: told the bytes read.
        table_bits: of embeddings and heads.
        importance: by tensor, (columns,) float32: what an error in each column weighs; a tensor
            without any weighs all alike.
        exempt: which tensors get another format than most, or none.

    Raises:
        InvalidRequest: something is at the target already.
        Unsupported: the source is quantized already, or not in safetensors form.
        Unavailable: the disk has no room.
        BadCheckpoint: the source is damaged.
    """
    checkpoint = _open(source)
    part = target.with_name(f"{target.name}.part")
    for path in (target, part):
        if path.exists() or path.is_symlink():
            raise InvalidRequest(f"{path} is there already; delete it or name another folder")
    choices = {
        name: choose(name, info, bits, table_bits, exempt)
        for name, info in checkpoint.tensors.items()
    }
    job = _Job(checkpoint, choices, progress, importance or {})
    try:
        part.mkdir(parents=True)
        _check_room(part, job.bytes_after)
        for shard in dict.fromkeys(info.file for info in checkpoint.tensors.values()):
            job.write_shard(part / shard, shard)
        report = job.report()
        _write_json(part / DESCRIPTION, _description(report, bits))
        _write_index(part, checkpoint, total_bytes=job.bytes_after)
        _copy_small_files(source, part)
        part.rename(target)
    except OSError as error:
        raise Unavailable(f"{target} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return report


class _Job:
    """Quantize tensors one by one, and count."""

    def __init__(
        self,
        checkpoint: SafetensorsCheckpoint,
        choices: Mapping[str, Choice],
        progress: Progress,
        importance: Mapping[str, Tensor],
    ) -> None:
        self._checkpoint = checkpoint
        self._choices = choices
        self._progress = progress
        self._importance = importance
        self._done_bytes = 0
        self._squares: dict[str, list[float]] = {}  # by format: of the errors, of the weights
        after = [_after(info, choices[name]) for name, info in checkpoint.tensors.items()]
        self.bytes_before = sum(info.num_bytes for info in checkpoint.tensors.values())
        self.bytes_after = sum(info.num_bytes for info in after)
        self._num_tensors = Counter(info.dtype for info in after)

    def report(self) -> QuantizeReport:
        """Sum up; errors are of what was written so far."""
        return QuantizeReport(
            num_tensors=dict(self._num_tensors),
            bytes_before=self.bytes_before,
            bytes_after=self.bytes_after,
            error={
                kind: (errors / weights) ** 0.5 if weights else 0.0
                for kind, (errors, weights) in self._squares.items()
            },
            reasons=dict(Counter(choice.reason for choice in self._choices.values())),
        )

    def write_shard(self, path: Path, shard: str) -> None:
        """Write one shard: its header, which the choices settle, then its tensors."""
        infos = {name: i for name, i in self._checkpoint.tensors.items() if i.file == shard}
        with path.open("xb") as file:
            file.write(_header(infos, self._choices))
            for name, info in infos.items():
                self._write_tensor(file, name, self._choices[name])
                self._done_bytes += info.num_bytes
                self._progress("quantizing", self._done_bytes, self.bytes_before)

    def _write_tensor(self, file: BinaryIO, name: str, choice: Choice) -> None:
        tensor = self._checkpoint.read(name)
        assert isinstance(tensor, Tensor), "the source was found to have no blocks"
        if choice.kind is None:
            _write(file, tensor)
            return
        squares = self._squares.setdefault(choice.kind, [0.0, 0.0])
        for slab in _slabs(tensor.flatten(1)):
            values = slab.float()
            blocks = encode_rows(choice.kind, values, self._importance.get(name))
            decoded = decode_rows(choice.kind, blocks)
            error = float((decoded - values).square().sum(dtype=torch.float64))
            if not error < float("inf"):
                raise BadCheckpoint(
                    f"{self._checkpoint.tensors[name].file}: {name!r} holds values that are "
                    f"no numbers, or too large for {choice.kind}; download the model again"
                )
            squares[0] += error
            squares[1] += float(values.square().sum(dtype=torch.float64))
            _write(file, blocks)


def _open(source: Path) -> SafetensorsCheckpoint:
    """Open what is to be quantized, and refuse what cannot be."""
    if not source.is_dir() or not has_safetensors(source):
        raise Unsupported(
            f"{source} is no folder of safetensors files, and others cannot be quantized; "
            "take the model as it was released"
        )
    checkpoint = SafetensorsCheckpoint(source)
    if packed := [name for name, info in checkpoint.tensors.items() if info.is_packed]:
        raise Unsupported(
            f"{source} holds {len(packed)} tensors that are quantized already, such as "
            f"{some_names(packed[:1])}; take the model as it was released"
        )
    return checkpoint


def _check_room(folder: Path, num_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if num_bytes > free_bytes:
        raise Unavailable(
            f"{folder.parent} has {free_bytes / 1e9:.1f} GB free, but {num_bytes / 1e9:.1f} GB "
            "are to be written; make room or name a folder on another disk"
        )


def _after(info: TensorInfo, choice: Choice) -> TensorInfo:
    """Describe a tensor as it will be."""
    if choice.kind is None:
        return TensorInfo(info.dtype, info.shape, info.file)
    return TensorInfo(choice.kind, flat_shape(info.shape), info.file)


def _header(infos: Mapping[str, TensorInfo], choices: Mapping[str, Choice]) -> bytes:
    """Spell the header of a shard, blocks as bytes that the metadata call blocks."""
    formats = {name: kind for name in infos if (kind := choices[name].kind) is not None}
    blocks = json.dumps({"version": BLOCKS_VERSION, "formats": formats}, ensure_ascii=False)
    header: dict[str, object] = {"__metadata__": {"format": "pt", BLOCKS_KEY: blocks}}
    start = 0
    for name, info in infos.items():
        after = _after(info, choices[name])
        shape = list(after.shape)
        if after.is_packed:
            shape[-1] = FORMATS[after.dtype].row_bytes(shape[-1])
        stop = start + after.num_bytes
        dtype = "U8" if after.is_packed else after.dtype
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % HEADER_ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _slabs(matrix: Tensor) -> Iterator[Tensor]:
    """Cut a matrix into ranges of rows that are worked on at once."""
    step = -(-SLAB_VALUES // matrix.shape[1] // TILE_ROWS) * TILE_ROWS
    for start in range(0, len(matrix), step):
        yield matrix[start : start + step]


def _write(file: BinaryIO, tensor: Tensor) -> None:
    file.write(tensor.contiguous().flatten().view(torch.uint8).numpy().data)


def _description(report: QuantizeReport, bits: Bits) -> dict[str, object]:
    """Describe the whole for people and programs; loading needs the shards' own metadata only."""
    return {
        "version": BLOCKS_VERSION,
        "bits": bits,
        "tensors": report.num_tensors,
        "bytes_before": report.bytes_before,
        "bytes_after": report.bytes_after,
        "relative_error": {kind: round(error, 6) for kind, error in report.error.items()},
        "reasons": report.reasons,
    }


def _write_index(folder: Path, checkpoint: SafetensorsCheckpoint, *, total_bytes: int) -> None:
    """Write where each tensor is, if there is more than one place."""
    weight_map = {name: info.file for name, info in checkpoint.tensors.items()}
    if len(set(weight_map.values())) > 1:
        index = {"metadata": {"total_size": total_bytes}, "weight_map": weight_map}
        _write_json(folder / INDEX, index)


def _copy_small_files(source: Path, target: Path) -> None:
    """Copy what lies beside the weights and is not written anew."""
    for path in sorted(source.iterdir()):
        is_ours = path.name == DESCRIPTION or path.name.endswith(INDEX_SUFFIX)
        is_hidden = path.name.startswith(".")
        if path.is_file() and path.suffix in SMALL_SUFFIXES and not (is_ours or is_hidden):
            shutil.copyfile(path, target / path.name)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
