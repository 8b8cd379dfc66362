"""Responses that are kept: bounded, and each for its owner."""

from __future__ import annotations

import pytest

from myna.core.errors import NotFound
from myna.core.messages import AudioPart, ImagePart, Message, ToolCall, VideoPart, text_message
from myna.server.kept import Kept, Shelf


def kept(num_bytes: int, owner: str = "") -> Kept:
    return Kept(owner=owner, body=b"x" * num_bytes, past=(), num_new=0)


def test_the_oldest_make_room_by_number_and_by_weight() -> None:
    shelf = Shelf[Kept]("response", max_kept=2, max_bytes=100)
    for name in "abc":
        shelf.keep(name, kept(10))
    assert (len(shelf), shelf.held_bytes) == (2, 20)
    shelf.keep("c", kept(5))  # again, and lighter
    assert (len(shelf), shelf.held_bytes) == (2, 15)
    shelf.keep("d", kept(96))
    assert (len(shelf), shelf.held_bytes) == (1, 96)
    shelf.keep("e", kept(101))
    assert (len(shelf), shelf.held_bytes) == (0, 0)


def test_what_is_forgotten_or_anothers_is_not_found() -> None:
    shelf = Shelf[Kept]("response")
    shelf.keep("a", kept(10, owner="me"))
    assert shelf.get("a", owner="me").num_bytes == 10
    with pytest.raises(NotFound, match="There is no response 'a'"):
        shelf.get("a", owner="you")
    shelf.forget("a", owner="me")
    assert (len(shelf), shelf.held_bytes) == (0, 0)


def test_media_and_calls_are_weighed() -> None:
    media = (ImagePart(b"123"), AudioPart(b"45"), VideoPart(data=b"6", frames=(b"7", b"8")))
    call = ToolCall(id="c", name="get", arguments="{}")
    turns = (
        Message(role="user", content=media),
        Message(role="assistant", tool_calls=(call,), reasoning="hm"),
        text_message("user", "four"),
    )
    assert Kept(owner="", body=b"", past=turns, num_new=0).num_bytes == 3 + 2 + 3 + 5 + 2 + 4
