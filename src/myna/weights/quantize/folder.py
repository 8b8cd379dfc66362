"""Quantize a folder in Hugging Face's form: shard by shard, one tensor in memory at a time.

The shards keep their names and what they hold; each says in its own metadata which of its tensors
are blocks, so that one shard alone can be read, and made again. Nothing bears the target's name
until everything is written; what a killed run has written lies beside it, to be gone on with.

Not here: what becomes of each tensor (scheme), one shard (shard), the journal (job).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from myna.core.errors import InvalidRequest, Unavailable, Unsupported
from myna.core.progress import Progress
from myna.weights.checkpoint import TensorInfo
from myna.weights.quantize.job import JOURNAL, Job, QuantizeReport, locked
from myna.weights.quantize.scheme import EXEMPT, Bits, Exempt, Recipe
from myna.weights.report import some_names
from myna.weights.safetensors_files import INDEX, SafetensorsCheckpoint, has_safetensors
from myna.weights.safetensors_header import BLOCKS_VERSION, read_header

DESCRIPTION = "quantization.json"
# What lies beside the weights: configuration, tokenizer, templates, licence, notes.
SMALL_SUFFIXES = ("", ".json", ".jinja", ".md", ".model", ".tiktoken", ".txt")
INDEX_SUFFIX = ".safetensors.index.json"
CopyRest = Callable[[Path], None]


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

    A run that was interrupted is gone on with by the next one like it.

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
    recipe = Recipe(
        bits=bits, table_bits=table_bits, exempt=tuple(exempt), importance=importance or {}
    )
    networks = {"": open_plain(source)}
    return quantize_networks(
        networks,
        target,
        recipe,
        copy_rest=lambda to: copy_small_files(source, to),
        progress=progress,
    )


def quantize_networks(
    networks: Mapping[str, SafetensorsCheckpoint],
    target: Path,
    recipe: Recipe,
    *,
    copy_rest: CopyRest,
    progress: Progress,
) -> QuantizeReport:
    """Write networks anew, each below its prefix of the target ("" or "transformer/").

    Args:
        networks: by prefix; they are only read.
        target: where the new folder is to be; nothing may be there.
        recipe: what becomes of the tensors.
        copy_rest: copies what is to lie beside the weights into the folder that it is given.
        progress: told the bytes read.

    Raises:
        InvalidRequest, Unavailable, BadCheckpoint: as for `quantize_folder`.
    """
    work = target.with_name(f"{target.name}.part")
    whole = work / "whole"
    shards = {
        f"{prefix}{shard}": _FolderShard(checkpoint, shard)
        for prefix, checkpoint in networks.items()
        for shard in dict.fromkeys(info.file for info in checkpoint.tensors.values())
    }
    if target.exists() or target.is_symlink():
        if (work / JOURNAL).is_file() and not whole.exists():
            return _tidy(work, recipe)
        raise InvalidRequest(f"{target} is there already; delete it or name another folder")
    try:
        with locked(work):
            job = Job(work, whole, recipe)
            whole.mkdir(exist_ok=True)
            _check_room(whole, sum(job.left_bytes(path, shard) for path, shard in shards.items()))
            _pack_all(job, shards, progress)
            for prefix in networks:
                finish_network(job, whole, prefix, recipe.bits)
            copy_rest(whole)
            report = job.report()
            whole.rename(target)
        shutil.rmtree(work)
    except OSError as error:
        raise Unavailable(f"{target} cannot be written: {error.strerror}") from error
    return report


def _tidy(work: Path, recipe: Recipe) -> QuantizeReport:
    """End a run that was killed after everything had been written."""
    report = Job(work, work / "whole", recipe).report()
    shutil.rmtree(work)
    return report


class _FolderShard:
    """Give the tensors of one shard of an open folder."""

    def __init__(self, checkpoint: SafetensorsCheckpoint, shard: str) -> None:
        self._checkpoint = checkpoint
        found = (checkpoint.folder / shard).stat()
        self.stamp = f"{found.st_size} {found.st_mtime_ns}"
        self.tensors: Mapping[str, TensorInfo] = {
            name: info for name, info in checkpoint.tensors.items() if info.file == shard
        }

    def read(self, name: str) -> Tensor:
        """Read one tensor."""
        tensor = self._checkpoint.read(name)
        assert isinstance(tensor, Tensor), "the source was found to have no blocks"
        return tensor

    def drop(self, num_left: int) -> None:
        """Do nothing: the source is only read."""


def open_plain(source: Path) -> SafetensorsCheckpoint:
    """Open what is to be quantized.

    Raises:
        Unsupported: it cannot be.
    """
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


def finish_network(job: Job, whole: Path, prefix: str, bits: Bits) -> None:
    """Write what tells of a network's shards: the index, if there are several, and a description.

    Args:
        job: has written them.
        whole: the folder of the whole.
        prefix: of the network's paths within it.
        bits: of most matrices.
    """
    folder = whole / prefix
    report = job.report(prefix)
    shards = sorted(folder.glob("*.safetensors"))
    if len(shards) > 1:
        names = {name: shard.name for shard in shards for name in read_header(shard)}
        _write_json(
            folder / INDEX,
            {"metadata": {"total_size": report.bytes_after}, "weight_map": names},
        )
    _write_json(folder / DESCRIPTION, _description(report, bits))


def copy_small_files(source: Path, target: Path) -> None:
    """Copy what lies beside the weights and is not written anew."""
    for path in sorted(source.iterdir()):
        is_ours = path.name == DESCRIPTION or path.name.endswith(INDEX_SUFFIX)
        is_hidden = path.name.startswith(".")
        if path.is_file() and path.suffix in SMALL_SUFFIXES and not (is_ours or is_hidden):
            shutil.copyfile(path, target / path.name)


def _pack_all(job: Job, shards: Mapping[str, _FolderShard], progress: Progress) -> None:
    total_bytes = sum(info.num_bytes for item in shards.values() for info in item.tensors.values())
    done_bytes = 0

    def advance(num_bytes: int) -> None:
        nonlocal done_bytes
        done_bytes += num_bytes
        progress("quantizing", done_bytes, total_bytes)

    for path, shard in shards.items():
        job.pack(path, shard, advance)


def _check_room(folder: Path, num_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if num_bytes > free_bytes:
        raise Unavailable(
            f"{folder.parent.parent} has {free_bytes / 1e9:.1f} GB free, but "
            f"{num_bytes / 1e9:.1f} GB are to be written; make room or name a folder on another "
            "disk"
        )


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


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
