"""Pack a model while it arrives: each shard is used up from its end as its blocks are written.

Not here: fetching (hub.pull, whose `Packer` this is), one shard (shard), the journal (job).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Set
from pathlib import Path

from torch import Tensor

from myna.core.progress import Progress
from myna.weights.checkpoint import TensorInfo
from myna.weights.quantize import shard
from myna.weights.quantize.folder import finish_network
from myna.weights.quantize.job import Job
from myna.weights.quantize.pipeline import KEPT
from myna.weights.quantize.scheme import Recipe
from myna.weights.quantize.sources import DESCRIPTION, INDEX_SUFFIX
from myna.weights.safetensors_files import read_plain, tensor_info
from myna.weights.safetensors_header import read_header

SUFFIX = ".safetensors"
Look = Callable[[Path], None]


class ArrivingModel:
    """Pack the shards of a model that is being fetched.

    Args:
        whole: the model's folder: where packed shards go.
        fetched: where files arrive, under the same paths.
        work: for the journal.
        recipe: what becomes of the tensors.
        look: looks at the folder of small files, and raises if the model could not be loaded.
    """

    def __init__(
        self, whole: Path, *, fetched: Path, work: Path, recipe: Recipe, look: Look
    ) -> None:
        self._whole, self._fetched, self._recipe, self._look = whole, fetched, recipe, look
        self._job = Job(work, whole, recipe)

    @property
    def bits(self) -> int:
        """Give the bits of most weights."""
        return self._recipe.bits

    @property
    def step_bytes(self) -> int:
        """Give the bytes that may be written before what they were made of is given up."""
        return shard.STEP_BYTES

    def packs(self, path: str) -> bool:
        """Tell whether a file is a shard of a network that is packed."""
        return path.endswith(SUFFIX) and path.partition("/")[0] not in KEPT

    def is_done(self, path: str, sha256: str | None) -> bool:
        """Tell whether a shard, of this checksum if it is known, is packed."""
        state = self._job.state(path)
        return (
            state is not None
            and state.sha256 is not None
            and (sha256 is None or state.stamp == sha256)
        )

    def is_begun(self, path: str, sha256: str | None) -> bool:
        """Tell whether what is left of a shard is here, checked, to be gone on with."""
        state = self._job.state(path)
        is_same = state is not None and (sha256 is None or state.stamp == sha256)
        is_left = state is not None and (state.num_left == 0 or (self._fetched / path).is_file())
        return is_same and is_left

    def begin(self) -> None:
        """Look at the small files."""
        self._look(self._fetched)

    def pack(self, path: str, sha256: str | None, *, progress: Progress) -> None:
        """Pack a fetched shard and delete it.

        Raises:
            BadCheckpoint: it holds values that no block can spell, or is no safetensors file.
        """
        state = self._job.state(path)
        stamp = state.stamp if sha256 is None and state is not None else sha256 or ""
        source = _ArrivedShard(self._fetched / path, stamp)
        total_bytes = sum(info.num_bytes for info in source.tensors.values())
        done_bytes = 0

        def advance(num_bytes: int) -> None:
            nonlocal done_bytes
            done_bytes += num_bytes
            progress(f"packing {path}", done_bytes, total_bytes)

        self._job.pack(path, source, advance)
        (self._fetched / path).unlink()

    def finish(self) -> Mapping[str, str]:
        """Write indexes and descriptions, copy the rest; give the packed shards' checksums."""
        sums = self._job.sums()
        prefixes = {name[: name.rfind("/") + 1] for name in sums}
        for path in sorted(self._fetched.rglob("*")):
            name = str(path.relative_to(self._fetched))
            if path.is_file() and not self._is_written_anew(name, prefixes):
                (self._whole / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, self._whole / name)
        for prefix in prefixes:
            finish_network(self._job, self._whole, prefix, self._recipe.bits)
        return sums

    def _is_written_anew(self, name: str, prefixes: Set[str]) -> bool:
        folder, _, own = name.rpartition("/")
        is_ours = own.endswith(INDEX_SUFFIX) or own == DESCRIPTION
        return self.packs(name) or (is_ours and (folder and f"{folder}/") in prefixes)


class _ArrivedShard:
    """Give the tensors of one fetched file, which is cut short as they are used."""

    def __init__(self, path: Path, stamp: str) -> None:
        self.stamp = stamp
        self._path = path
        self._entries = read_header(path, may_be_cut=True)
        self.tensors: Mapping[str, TensorInfo] = {
            name: tensor_info(name, entry, path.name) for name, entry in self._entries.items()
        }

    @property
    def num_bytes(self) -> int:
        """Count the bytes of the tensors."""
        return sum(info.num_bytes for info in self.tensors.values())

    def read(self, name: str) -> Tensor:
        """Read one tensor."""
        return read_plain(self._path, name, self._entries[name])

    def drop(self, num_left: int) -> None:
        """Give up what lies behind the first tensors."""
        for entry in list(self._entries.values())[num_left : num_left + 1]:
            os.truncate(self._path, entry.start)
