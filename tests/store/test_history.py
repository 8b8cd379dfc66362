"""Conversations that are kept: branches, titles, pins, files, search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from myna.core.errors import InvalidRequest, Unsupported
from myna.core.messages import ToolCall
from myna.store.errors import NoSuchRecord, NotSaved
from myna.store.history import UNTITLED, History
from myna.store.records import Draft, MediaPiece, TextPiece
from myna.store.rows import UNUSED_S
from myna.store.schema import connect


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    history = History(tmp_path, reserve_bytes=0)
    yield history
    history.close()


def said(text: str) -> Draft:
    return Draft(role="user", content=(TextPiece(text),))


def answered(text: str) -> Draft:
    return Draft(role="assistant", content=(TextPiece(text),), model="echo")


def texts(history: History, conversation_id: str) -> list[str]:
    return [branch.message.text for branch in history.thread(conversation_id).branches]


def test_a_conversation_is_read_back_as_it_was_kept(tmp_path: Path) -> None:
    history = History(tmp_path)
    conversation = history.create(title="  Birds\nof  India ", model="echo", system="Be brief.")
    asked = history.add(conversation.id, said("What is a myna?"))
    call = ToolCall(id="call_1", name="look_up", arguments="{}")
    draft = Draft(role="assistant", tool_calls=(call,), reasoning="hm", model="echo")
    kept = history.add(conversation.id, draft)
    history.close()
    again = History(tmp_path)
    thread = again.thread(conversation.id)
    assert thread.conversation.title == "Birds of India"
    assert thread.conversation.system == "Be brief."
    assert [branch.message for branch in thread.branches] == [asked, kept]
    assert again.notice is None
    again.close()


def test_an_edit_opens_a_branch_and_both_stay(history: History) -> None:
    conversation = history.create()
    first = history.add(conversation.id, said("one"))
    history.add(conversation.id, answered("1"))
    history.add(conversation.id, said("uno"), is_first=True)
    history.add(conversation.id, answered("eins"))
    assert texts(history, conversation.id) == ["uno", "eins"]
    assert len(history.thread(conversation.id).branches[0].sibling_ids) == 2
    history.change(conversation.id, leaf_id=first.id)
    assert texts(history, conversation.id) == ["one", "1"]


def test_another_try_is_a_sibling_of_the_first(history: History) -> None:
    conversation = history.create()
    asked = history.add(conversation.id, said("one"))
    history.add(conversation.id, answered("1"))
    history.add(conversation.id, answered("I"), parent_id=asked.id)
    assert texts(history, conversation.id) == ["one", "I"]
    assert len(history.thread(conversation.id).branches[1].sibling_ids) == 2


def test_pinned_conversations_come_first_then_the_latest(history: History) -> None:
    old, middle, new = (history.create(title=name) for name in ("old", "middle", "new"))
    history.add(old.id, said("again"))
    history.change(middle.id, is_pinned=True)
    titles = [conversation.title for conversation in history.conversations()]
    assert titles == ["middle", "old", "new"]
    assert [each.title for each in history.conversations(limit=1)] == ["middle"]
    assert [each.id for each in history.conversations(offset=2)] == [new.id]


def test_owners_do_not_see_each_other(history: History) -> None:
    conversation = history.create(owner="anna")
    message = history.add(conversation.id, said("secret word"), owner="anna")
    assert history.conversations(owner="ben") == []
    assert history.search("secret", owner="ben") == []
    for read in (
        lambda: history.thread(conversation.id, owner="ben"),
        lambda: history.add(conversation.id, said("hi"), owner="ben"),
        lambda: history.delete(conversation.id, owner="ben"),
        lambda: history.change(conversation.id, owner="ben", title="mine"),
    ):
        with pytest.raises(NoSuchRecord, match=f"there is no conversation '{conversation.id}'"):
            read()
    with pytest.raises(NoSuchRecord, match=f"there is no message '{message.id}'"):
        history.message(message.id, owner="ben")


def test_words_are_found_in_any_script(history: History) -> None:
    birds = history.create(title="Birds")
    history.add(birds.id, said('The myna can talk: 八哥会说话, and "quotes" 100% fine'))
    for words in ("myna", "talk myna", "八哥", "说", "mYNA ca", '"quotes"', "100%", "AND", "is_"):
        hits = [hit for hit in history.search(words) if hit.message_id]
        assert bool(hits) is (words != "is_"), words
    (hit,) = history.search("myna")
    assert "«myna»" in hit.excerpt
    (title,) = history.search("bird")
    assert title.message_id is None
    assert title.excerpt == "«Bird»s"


def test_an_empty_search_is_refused(history: History) -> None:
    with pytest.raises(InvalidRequest, match="the search is empty"):
        history.search("  ")


def test_what_is_deleted_is_not_found_and_its_files_are_gone(history: History) -> None:
    digest = history.keep_file(b"chirp")
    piece = MediaPiece(kind="audio", hash=digest, transcript="tweet tweet")
    first, second = history.create(), history.create()
    for conversation in (first, second):
        history.add(conversation.id, Draft(role="user", content=(piece,)))
    assert len(history.search("tweet")) == 2
    history.delete(first.id)
    assert history.media.get(digest) == b"chirp"
    history.delete(second.id)
    assert history.search("tweet") == []
    with pytest.raises(NoSuchRecord, match="there is no file"):
        history.media.get(digest)


def test_a_long_conversation_can_be_deleted(history: History) -> None:
    conversation = history.create()
    first = history.add(conversation.id, said("0"))
    chain = [
        msgspec.structs.replace(first, id=f"msg_{idx}", parent_id=f"msg_{idx - 1}" if idx else None)
        for idx in range(1500)
    ]
    copy = msgspec.structs.replace(conversation, id="conv_long", leaf_id="msg_1499")
    long = [msgspec.structs.replace(message, conversation_id=copy.id) for message in chain]
    history.put(copy, long, owner="")
    assert len(history.thread(copy.id).branches) == 1500
    history.delete(copy.id)
    assert history.messages(copy.id) == []


def test_a_message_needs_its_parent_and_its_files(history: History) -> None:
    conversation = history.create()
    other = history.add(history.create().id, said("elsewhere"))
    with pytest.raises(NoSuchRecord, match="to answer in this conversation"):
        history.add(conversation.id, said("hi"), parent_id=other.id)
    piece = MediaPiece(kind="image", hash="0" * 64)
    with pytest.raises(NoSuchRecord, match="send it before the message"):
        history.add(conversation.id, Draft(role="user", content=(piece,)))
    with pytest.raises(NoSuchRecord, match="in this conversation"):
        history.change(conversation.id, leaf_id=other.id)
    assert history.thread(conversation.id).branches == ()


def test_what_was_being_written_is_marked_when_its_writer_is_gone(tmp_path: Path) -> None:
    history = History(tmp_path)
    conversation = history.create()
    draft = Draft(role="assistant", content=(TextPiece("half an"),), status="incomplete")
    message = history.add(conversation.id, draft)
    second = History(tmp_path)
    assert second.message(message.id).status == "incomplete"
    second.close()
    history.update(message.id, content=(TextPiece("half an answ"),))
    history.close()
    again = History(tmp_path)
    assert again.message(message.id).status == "interrupted"
    assert again.message(message.id).text == "half an answ"
    again.close()


def test_a_finished_message_is_found_by_its_last_words(history: History) -> None:
    conversation = history.create()
    draft = Draft(role="assistant", content=(TextPiece("half"),), status="incomplete")
    message = history.add(conversation.id, draft)
    history.update(message.id, content=(TextPiece("whole answer"),), status="complete")
    assert history.search("half") == []
    assert history.search("whole")[0].message_id == message.id


def test_files_that_nothing_refers_to_go_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(tmp_path)
    kept = history.keep_file(b"kept")
    lost = history.keep_file(b"lost")
    conversation = history.create()
    piece = MediaPiece(kind="image", hash=kept)
    history.add(conversation.id, Draft(role="user", content=(piece,)))
    history._writer.run(
        lambda db: db.execute("UPDATE media SET created_s = created_s - ?", (UNUSED_S,)).rowcount
    )
    history.close()
    again = History(tmp_path)
    assert again.media.get(kept) == b"kept"
    with pytest.raises(NoSuchRecord):
        again.media.get(lost)
    again.close()


def test_a_closed_history_says_so(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.close()
    history.close()
    with pytest.raises(NotSaved, match="the history is closed"):
        history.create()


def test_a_later_version_is_not_touched(tmp_path: Path) -> None:
    History(tmp_path).close()
    connection = connect(tmp_path / "history.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Unsupported, match="the history is of version 99, but this Myna knows 1"):
        History(tmp_path)


def test_a_damaged_history_is_set_aside_and_its_copy_taken(tmp_path: Path) -> None:
    history = History(tmp_path)
    conversation = history.create(title="kept")
    history.back_up()
    history.close()
    path = tmp_path / "history.db"
    data = bytearray(path.read_bytes())
    data[:4096] = b"\xff" * 4096
    path.write_bytes(data)
    again = History(tmp_path)
    assert again.notice is not None
    assert "is used instead" in again.notice
    assert again.conversation(conversation.id).title == "kept"
    again.close()
    assert list(tmp_path.glob("history.damaged-*"))


def test_a_damaged_history_without_a_copy_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"no database at all" * 100)
    history = History(tmp_path)
    assert history.notice is not None
    assert "a new one begins" in history.notice
    assert history.create().title == UNTITLED
    history.close()


def test_only_the_latest_copies_are_kept(history: History, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    for day in range(1, 6):
        (folder / f"history-2020010{day}T000000.db").write_bytes(b"")
    history.back_up()
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 3
    assert names[0] == "history-20200104T000000.db"
