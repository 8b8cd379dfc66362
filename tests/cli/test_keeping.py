"""`myna chat --continue`, and conversations that the command line keeps."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from myna.cli.keeping import Keeper, open_history, owner_of
from myna.core.errors import NotFound
from myna.core.settings import Settings
from myna.server.auth import check_key
from myna.server.settings import ServerSettings
from myna.store.errors import NotSaved
from myna.store.history import History


def talk(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))


def test_a_conversation_is_continued_where_it_ended(
    myna: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(monkeypatch, "good morning", "and again")
    assert myna("chat", "--echo", "--system", "Be brief.")[0] == 0
    talk(monkeypatch, "and at last")
    code, out, err = myna("chat", "--echo", "--continue")
    assert (code, out) == (0, "and at last\n")
    assert "going on with 'good morning'" in err
    history = History(home / "history")
    (record,) = history.conversations()
    texts = [branch.message.text for branch in history.thread(record.id).branches]
    history.close()
    assert record.system == "Be brief."
    assert texts == [
        text for said in ("good morning", "and again", "and at last") for text in (said, said)
    ]


def test_each_conversation_is_kept_by_itself(
    myna: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(monkeypatch, "one", "/clear", "two")
    myna("chat", "--echo")
    history = History(home / "history")
    assert [record.title for record in history.conversations()] == ["two", "one"]
    history.close()


def test_nothing_is_kept_if_that_is_the_wish(
    myna: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(monkeypatch, "one")
    assert myna("chat", "--echo", "--no-keep")[0] == 0
    assert not (home / "history").exists()


def test_there_may_be_nothing_to_continue(myna: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    talk(monkeypatch, "one")
    code, _, err = myna("chat", "--echo", "--continue")
    assert code == 3
    assert "there is no conversation to continue yet" in err


def test_a_folder_that_cannot_be_used_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "history").write_text("in the way")
    assert open_history(Settings(home=tmp_path)) is None
    assert "conversations are not kept" in capsys.readouterr().err


def test_continuing_needs_a_history(myna: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    (home / "history").write_text("in the way")
    talk(monkeypatch, "one")
    code, _, err = myna("chat", "--echo", "--continue")
    assert code == 3
    assert "no conversations are kept here" in err


def test_a_full_disk_is_told_once_and_the_conversation_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(tmp_path)
    keeper = Keeper(history, owner="", model="echo")
    keeper.asked("one", system=None)

    def fail(*_: Any, **__: Any) -> None:
        raise NotSaved("the disk is full")

    monkeypatch.setattr(history, "add", fail)
    keeper.answered("1", is_whole=True)
    keeper.asked("two", system=None)
    assert capsys.readouterr().err.count("it is not saved: the disk is full") == 1
    history.close()


def test_the_keys_of_the_server_own_what_the_command_line_keeps() -> None:
    settings = Settings(home=Path("/nowhere"), api_keys=("sesame", "other"))
    headers = [(b"authorization", b"Bearer sesame")]
    served = check_key("/v1/models", headers, ServerSettings(api_keys=settings.api_keys))
    assert owner_of(settings) == served
    assert owner_of(Settings(home=Path("/nowhere"))) == ""


def test_a_new_history_has_nothing_to_resume(tmp_path: Path) -> None:
    history = History(tmp_path)
    with pytest.raises(NotFound, match="begin one with `myna chat`"):
        Keeper(history, owner="", model="echo").resume()
    history.close()
