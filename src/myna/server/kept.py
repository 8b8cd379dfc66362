"""Responses that may be continued or read again: kept in memory, bounded, each for its owner only.

The oldest go first when there are too many; a restart forgets all. Not here: conversations that
must last (store).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from myna.core.errors import NotFound
from myna.core.messages import AudioPart, ImagePart, Message, TextPart, VideoPart

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


class KeptResponses:
    """Keep the newest responses."""

    def __init__(self, *, max_kept: int = MAX_KEPT, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_kept = max_kept
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, response_id: str, kept: Kept) -> None:
        """Keep a response, forgetting older ones where there is no room for it."""
        self._kept[response_id] = kept
        self.held_bytes += kept.num_bytes
        while len(self._kept) > self._max_kept or self.held_bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self.held_bytes -= oldest.num_bytes

    def get(self, response_id: str, *, owner: str, param: str | None = None) -> Kept:
        """Find a response of this owner.

        Raises:
            NotFound: there is none, or no longer, or it is another's.
        """
        kept = self._kept.get(response_id)
        if kept is None or kept.owner != owner:
            raise NotFound(
                f"There is no response {response_id!r}; it may never have been kept (`store`), or "
                "have made room for newer ones.",
                param=param,
                code="response_not_found",
            )
        return kept

    def forget(self, response_id: str, *, owner: str) -> None:
        """Forget a response; errors as `get`."""
        self.held_bytes -= self.get(response_id, owner=owner).num_bytes
        del self._kept[response_id]


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
