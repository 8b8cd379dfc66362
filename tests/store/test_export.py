"""Conversations as files, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from myna.core.errors import InvalidRequest
from myna.core.messages import ToolCall
from myna.store.export import export_json, export_markdown, import_json
from myna.store.history import History
from myna.store.records import ConversationRecord, Draft, MediaPiece, TextPiece


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    history = History(tmp_path, reserve_bytes=0)
    yield history
    history.close()


@pytest.fixture
def conversation(history: History) -> ConversationRecord:
    """Keep a conversation with a file, a tool call and a branch."""
    record = history.create(title="Birds", model="echo", system="Be brief.")
    digest = history.keep_file(b"chirp")
    sound = MediaPiece(kind="audio", hash=digest, name="a.wav", transcript="tweet")
    asked = history.add(record.id, Draft(role="user", content=(TextPiece("What?"), sound)))
    history.add(record.id, Draft(role="assistant", content=(TextPiece("A myna."),)))
    call = ToolCall(id="call_1", name="look_up", arguments='{"word": "myna"}')
    draft = Draft(role="assistant", tool_calls=(call,), status="incomplete")
    history.add(record.id, draft, parent_id=asked.id)
    return history.conversation(record.id)


def test_json_brings_everything_back(
    history: History, conversation: ConversationRecord, tmp_path: Path
) -> None:
    data = export_json(history, conversation.id)
    other = History(tmp_path / "other", reserve_bytes=0)
    copy = import_json(other, data)
    assert copy.id != conversation.id
    assert (copy.title, copy.system, copy.model) == ("Birds", "Be brief.", "echo")
    old, new = history.messages(conversation.id), other.messages(copy.id)
    assert [message.content for message in old] == [message.content for message in new]
    assert new[2].status == "interrupted"
    assert new[2].parent_id == new[0].id
    shown = [branch.message.id for branch in other.thread(copy.id).branches]
    assert shown == [new[0].id, new[2].id]
    other.close()


def test_markdown_shows_the_branch(history: History, conversation: ConversationRecord) -> None:
    text = export_markdown(history.thread(conversation.id))
    assert text.startswith("# Birds\n")
    for part in ("> Be brief.", "## You\n\nWhat?", "*audio a.wav: tweet*", "look_up(", "incompl"):
        assert part in text
    assert "A myna." not in text


def change(data: bytes, **fields: Any) -> bytes:
    document = json.loads(data)
    return json.dumps({**document, **fields}).encode()


def test_a_document_that_is_not_ours_is_refused(
    history: History, conversation: ConversationRecord
) -> None:
    data = export_json(history, conversation.id)
    document = json.loads(data)
    orphan = [{**document["messages"][0], "parent_id": "msg_gone"}]
    (digest,) = document["files"]
    cases = {
        b"{": "no conversation that was exported here",
        b"[]": "no conversation that was exported here",
        change(data, format="other"): "is of format 'other' 1; known is 'myna-conversation' 1",
        change(data, version=9): "'myna-conversation' 9",
        change(data, messages=orphan): "names the message 'msg_",
        change(data, files={digest: "%"}): "is not base64",
        change(data, files={digest: "AAAA"}): "does not have this hash",
    }
    before = len(history.conversations())
    for bad, message in cases.items():
        with pytest.raises(InvalidRequest, match=message):
            import_json(history, bad)
    assert len(history.conversations()) == before


def test_a_document_of_too_many_messages_is_refused(
    history: History, conversation: ConversationRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("myna.store.export.MAX_MESSAGES", 2)
    with pytest.raises(InvalidRequest, match="has 3 messages, above 2"):
        import_json(history, export_json(history, conversation.id))
