"""Quantize a model: shard by shard, one tensor in memory at a time.

The shards keep their names and what they hold; each says in its own metadata which of its tensors
are blocks, so that one shard alone can be read, and made again. Nothing bears the target's name
until everything is written; what a killed run has written lies beside it, to be gone on with.

Not here: what can be quantized (sources), what becomes of each tensor (scheme), one shard (shard),
the journal (job).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from myna.core.errors import InvalidRequest, Unavailable
from myna.core.progress import Progress
from myna.weights.quantize.job import JOURNAL, Job, QuantizeReport, locked
from myna.weights.quantize.scheme import EXEMPT, Bits, Exempt, Recipe
from myna.weights.quantize.shard import ShardSource
from myna.weights.quantize.sources import DESCRIPTION, Network, open_network
from myna.weights.safetensors_files import INDEX
from myna.weights.safetensors_header import BLOCKS_VERSION, read_header


def quantize_folder(
    source: Path,
    target: Path,
    *,
    bits: Bits,
    progress: Progress,
    table_bits: Bits = 8,
    importance: Mapping[str, Tensor] | None = None,
    moments: Mapping[str, Tensor] | None = None,
    exempt: Sequence[Exempt] = EXEMPT,
) -> QuantizeReport:
    """Write a folder's model anew, its large matrices in blocks of few bits.

    A run that was interrupted is gone on with by the next one like it.

    Args:
        source: a folder of safetensors files, which may be GPTQ's or AWQ's, or a GGUF file; it is
            only read.
        target: where the new folder is to be; nothing may be there.
        bits: of most matrices.
        progress: told the bytes read.
        table_bits: of embeddings and heads.
        importance: by tensor, (columns,) float32: what an error in each column weighs; a tensor
            without any weighs all alike.
        moments: by tensor, (columns, columns) float32: mean products of what columns multiply; such
            tensors are rounded so that columns make up for one another's errors.
        exempt: which tensors get another format than most, or none.

    Raises:
        InvalidRequest: something is at the target already.
        Unsupported: the source is quantized already in blocks like ours, or of no known form.
        Unavailable: the disk has no room.
        BadCheckpoint: the source is damaged.
    """
    recipe = Recipe(
        bits=bits,
        table_bits=table_bits,
        exempt=tuple(exempt),
        importance=importance or {},
        moments=moments or {},
    )
    return quantize_networks({"": open_network(source)}, target, recipe, progress=progress)


def quantize_networks(
    networks: Mapping[str, Network],
    target: Path,
    recipe: Recipe,
    *,
    progress: Progress,
    copy_rest: Callable[[Path], None] = lambda _: None,
) -> QuantizeReport:
    """Write networks anew, each below its prefix of the target ("" or "transformer/").

    Args:
        networks: by prefix; they are only read.
        target: where the new folder is to be; nothing may be there.
        recipe: what becomes of the tensors.
        progress: told the bytes read.
        copy_rest: puts what belongs to no network into the folder that it is given.

    Raises:
        InvalidRequest, Unavailable, BadCheckpoint: as for `quantize_folder`.
    """
    work = target.with_name(f"{target.name}.part")
    whole = work / "whole"
    shards = {
        f"{prefix}{name}": shard
        for prefix, network in networks.items()
        for name, shard in network.shards.items()
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
            for prefix, network in networks.items():
                finish_network(job, whole, prefix, recipe.bits)
                network.copy_rest(whole / prefix)
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


def note_quality(folder: Path, quality: Mapping[str, float]) -> None:
    """Keep what a text told of a quantized model in its description.

    Args:
        folder: the model's.
        quality: what was measured, by name.
    """
    path = folder / DESCRIPTION
    part = path.with_suffix(".part")
    _write_json(part, {**json.loads(path.read_bytes()), "quality": dict(quality)})
    part.replace(path)


def _pack_all(job: Job, shards: Mapping[str, ShardSource], progress: Progress) -> None:
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
