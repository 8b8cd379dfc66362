"""A job: shards that are written one after another, and a journal that outlives a killed process.

The journal and the shard at work lie in one folder, finished shards in another. What a step needs
to be gone on with is on disk before anything of its source is given up.

Not here: one shard (shard), what lies beside the shards (folder), where they come from.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from myna.core.errors import BadCheckpoint, InvalidRequest, Unavailable
from myna.weights.quantize.scheme import Recipe
from myna.weights.quantize.shard import ShardSource, ShardState, new_state, write_shard

JOURNAL, LOCK = "journal.json", "lock"
CHUNK_BYTES = 1 << 20


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


class _Journal(msgspec.Struct):
    """Hold all that is kept between two runs; shards are named by their paths."""

    recipe: str
    shards: dict[str, ShardState]


class Job:
    """Write shards; nothing that was finished is done twice.

    Args:
        work: a folder of its own, which is made; it may hold what an earlier run left.
        whole: where finished shards go, under their own paths.
        recipe: what becomes of their tensors.

    Raises:
        InvalidRequest: what is there was begun with another recipe.
        BadCheckpoint: the journal is damaged.
    """

    def __init__(self, work: Path, whole: Path, recipe: Recipe) -> None:
        self._work, self._whole, self._recipe = work, whole, recipe
        self._journal = _read_journal(work / JOURNAL) or _Journal(recipe.key(), {})
        if self._journal.recipe != recipe.key():
            raise InvalidRequest(
                f"{work} holds a model that was begun with other options; go on with those, or "
                "delete it"
            )

    def state(self, path: str) -> ShardState | None:
        """Tell how far a shard is; `None` if nothing of it is to be gone on with."""
        state = self._journal.shards.get(path)
        if state is None or self._unfinished(path).is_file():
            return state
        return state if state.num_left == 0 and (self._whole / path).is_file() else None

    def left_bytes(self, path: str, source: ShardSource) -> int:
        """Tell how much is still to be written of a shard."""
        return self._begun(path, source).left_bytes

    def pack(self, path: str, source: ShardSource, advance: Callable[[int], None]) -> ShardState:
        """Write a shard, or what is left of it.

        Args:
            path: of the shard, below the folder of whole ones.
            source: its tensors.
            advance: told the bytes read.

        Raises:
            BadCheckpoint: a tensor holds values that no block can spell.
        """
        state = self._begun(path, source)
        target, unfinished = self._whole / path, self._unfinished(path)
        advance(_read_bytes(source, state))
        if state.sha256 is not None:
            return state
        if state.num_left > 0 or unfinished.is_file() or not target.is_file():
            self._journal.shards[path] = state
            write_shard(
                unfinished, source, self._recipe, state=state, save=self.save, advance=advance
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished.replace(target)
        state.num_bytes, state.sha256 = target.stat().st_size, _sha256(target)
        self.save()
        return state

    def save(self) -> None:
        """Keep the journal: it is there whole or as it was before."""
        path = self._work / JOURNAL
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(self._journal))
        part.replace(path)

    def sums(self) -> dict[str, str]:
        """Give the SHA-256 of each finished shard by its path."""
        return {
            path: state.sha256
            for path, state in sorted(self._journal.shards.items())
            if state.sha256 is not None
        }

    def report(self, prefix: str = "") -> QuantizeReport:
        """Sum up the shards whose paths begin so."""
        shards = sorted(self._journal.shards.items())
        found = [state for path, state in shards if path.startswith(prefix)]
        squares: dict[str, tuple[float, float]] = {}
        for state in found:
            for kind, (error, weight) in state.squares.items():
                before = squares.get(kind, (0.0, 0.0))
                squares[kind] = (before[0] + error, before[1] + weight)
        return QuantizeReport(
            num_tensors=_sum(state.num_tensors for state in found),
            bytes_before=sum(state.bytes_before for state in found),
            bytes_after=sum(state.bytes_after for state in found),
            error={
                kind: (error / weight) ** 0.5 if weight else 0.0
                for kind, (error, weight) in squares.items()
            },
            reasons=_sum(state.reasons for state in found),
        )

    def _unfinished(self, path: str) -> Path:
        return self._work / f"{path.replace('/', '-')}.unfinished"

    def _begun(self, path: str, source: ShardSource) -> ShardState:
        """Go on with a shard if its source is what it was, or begin."""
        state = self.state(path)
        if state is not None and state.stamp == source.stamp:
            return state
        return new_state(source, self._recipe)


@contextmanager
def locked(work: Path) -> Iterator[None]:
    """Keep a second process out of a folder that two must not work in.

    Raises:
        Unavailable: another process is there.
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / LOCK).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"another process writes to {work}; wait for its end") from None
        yield


def _read_journal(path: Path) -> _Journal | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Journal)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise BadCheckpoint(f"{path} is damaged ({error}); delete {path.parent}") from error


def _read_bytes(source: ShardSource, state: ShardState) -> int:
    """Count what was read of a source before."""
    infos = list(source.tensors.values())
    return sum(info.num_bytes for info in infos[state.num_left :])


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _sum(counts: Iterator[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)
