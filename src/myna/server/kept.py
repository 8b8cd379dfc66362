"""Answers that may be continued or read again: kept in memory, bounded, each for its owner only.

The oldest go first when there are too many; a restart forgets all. Not here: conversations that
must last (store).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from myna.core.errors import NotFound
from myna.core.messages import AudioPart, ImagePart, Message, TextPart, VideoPart
from myna.server.schemas.answers import ChatCompletion

MAX_KEPT = 1024
MAX_KEPT_BYTES = 128 * 2**20


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Hold one response.

    Attributes:
        owner: digest of the key it was asked with; nothing where no keys are set.
        body: the response, as JSON.
        past: all turns up to it, its own included; without instructions.
        num_new: how many of the turns, the answer aside, came with this request.
    """

    owner: str
    body: bytes
    past: tuple[Message, ...]
    num_new: int

    @property
    def num_bytes(self) -> int:
        """Weigh what this holds."""
        return len(self.body) + sum(_weigh(turn) for turn in self.past)


@dataclass(frozen=True, kw_only=True)
class KeptChat:
    """Hold one chat completion that was to be stored.

    Attributes:
        owner: digest of the key it was asked with; nothing where no keys are set.
        completion: the answer, with what the client notes about it.
        turns: what it answered.
    """

    owner: str
    completion: ChatCompletion
    turns: tuple[Message, ...]

    @property
    def num_bytes(self) -> int:
        """Weigh what this holds."""
        body = msgspec.json.encode(self.completion)
        return len(body) + sum(_weigh(turn) for turn in self.turns)


class Keepable(Protocol):
    """What can be kept."""

    @property
    def owner(self) -> str:
        """Tell whose it is."""
        ...

    @property
    def num_bytes(self) -> int:
        """Weigh it."""
        ...


Item = TypeVar("Item", bound=Keepable)


class Shelf(Generic[Item]):
    """Keep the newest things of one kind.

    Args:
        kind: what they are called.
    """

    def __init__(
        self, kind: str, *, max_kept: int = MAX_KEPT, max_bytes: int = MAX_KEPT_BYTES
    ) -> None:
        self._kind = kind
        self._max_kept = max_kept
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Item] = OrderedDict()
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, item_id: str, kept: Item) -> None:
        """Keep a thing, forgetting older ones where there is no room for it."""
        known = self._kept.get(item_id)
        self.held_bytes += kept.num_bytes - (known.num_bytes if known is not None else 0)
        self._kept[item_id] = kept
        while len(self._kept) > self._max_kept or self.held_bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self.held_bytes -= oldest.num_bytes

    def get(self, item_id: str, *, owner: str, param: str | None = None) -> Item:
        """Find a thing of this owner.

        Raises:
            NotFound: there is none, or no longer, or it is another's.
        """
        kept = self._kept.get(item_id)
        if kept is None or kept.owner != owner:
            raise NotFound(
                f"There is no {self._kind} {item_id!r}; it may never have been kept (`store`), or "
                "have made room for newer ones.",
                param=param,
                code=f"{self._kind}_not_found",
            )
        return kept

    def of(self, owner: str) -> tuple[Item, ...]:
        """List what an owner has, the oldest first."""
        return tuple(kept for kept in self._kept.values() if kept.owner == owner)

    def forget(self, item_id: str, *, owner: str) -> None:
        """Forget a thing; errors as `get`."""
        self.held_bytes -= self.get(item_id, owner=owner).num_bytes
        del self._kept[item_id]


def _weigh(turn: Message) -> int:
    num_bytes = len(turn.reasoning or "")
    for call in turn.tool_calls:
        num_bytes += len(call.name) + len(call.arguments)
    for part in turn.content:
        match part:
            case TextPart(text=text):
                num_bytes += len(text)
            case ImagePart(data=data) | AudioPart(data=data):
                num_bytes += len(data)
            case VideoPart(data=data, frames=frames):
                num_bytes += len(data) + sum(map(len, frames))
    return num_bytes
