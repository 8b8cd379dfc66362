"""Items in order, within limits."""

from __future__ import annotations

import pytest

from myna.core.echo import EchoService
from myna.core.errors import InvalidRequest, TooLarge
from myna.core.messages import ImagePart
from myna.server.realtime.conversation import Conversation, Item, ItemPart
from myna.server.realtime.limits import RealtimeLimits


def item(item_id: str, text: str = "hi") -> Item:
    return Item(id=item_id, parts=[ItemPart(kind="input_text", text=text)])


def test_items_are_put_where_they_are_wanted() -> None:
    conversation = Conversation(RealtimeLimits())
    assert conversation.add(item("a")) is None
    assert conversation.add(item("b")) == "a"
    assert conversation.add(item("c"), after="a") == "a"
    assert conversation.add(item("d"), after="root") is None
    assert [each.id for each in conversation.items] == ["d", "a", "c", "b"]
    conversation.delete("c")
    assert [each.id for each in conversation.items] == ["d", "a", "b"]


def test_an_id_is_taken_once() -> None:
    conversation = Conversation(RealtimeLimits())
    conversation.add(item("a"))
    with pytest.raises(InvalidRequest, match="There already is an item 'a'"):
        conversation.add(item("a"))
    with pytest.raises(InvalidRequest, match="There is no item 'x'"):
        conversation.add(item("b"), after="x")


def test_text_is_bounded() -> None:
    conversation = Conversation(RealtimeLimits(max_text_chars=10))
    conversation.add(item("a", "12345"))
    with pytest.raises(TooLarge, match="would have 11 characters, above 10; delete items"):
        conversation.add(item("b", "123456"))


def test_of_a_camera_a_model_without_clips_gets_the_last_picture() -> None:
    conversation = Conversation(RealtimeLimits())
    seen = ItemPart(kind="input_image", frames=(b"1", b"2"))
    conversation.add(Item(id="a", parts=[seen]))
    card = EchoService().card
    blind = type(card)(
        id="b", family="b", context_length=1, created_s=0, inputs=("text", "image"), outputs=()
    )
    (turn,) = conversation.messages(blind)
    assert turn.content == (ImagePart(b"2"),)


def test_a_call_without_an_answer_before_it_is_a_turn_of_its_own() -> None:
    conversation = Conversation(RealtimeLimits())
    conversation.add(Item(id="a", kind="function_call", role="assistant", call_id="c", name="f"))
    (turn,) = conversation.messages(EchoService().card)
    assert (turn.role, turn.tool_calls[0].name) == ("assistant", "f")
