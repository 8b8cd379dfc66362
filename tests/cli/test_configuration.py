"""`myna config show`: every setting, where it comes from, and no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from myna.core.settings import VARIABLES

SECRET = "sesame-open-wide"


@pytest.fixture(autouse=True)
def hub_key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set nothing, and let the hub's key lie where a test may put one."""
    for name in {name for names in VARIABLES.values() for name in names}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "token"
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(path))
    return path


def rows(out: str) -> dict[str, dict[str, Any]]:
    return {row.pop("name"): row for row in json.loads(out)}


def test_settings_are_shown_with_their_values(myna: Any, tmp_path: Path) -> None:
    code, out, err = myna("config", "show")
    assert code == 0
    assert [line.split(None, 1) for line in out.splitlines()] == [
        ["SETTING", "VALUE"],
        ["home", str(tmp_path / "myna")],
        ["default_model", "smollm2-135m"],
        ["api_keys", "not set"],
        ["hub_endpoint", constants.ENDPOINT],
        ["hub_key", "not set"],
        ["mirror_endpoint", "not set"],
        ["is_offline", "no"],
        ["has_color", "yes"],
    ]
    assert "`myna config show --origin`" in err


def test_the_origin_is_told_and_of_a_default_what_sets_it(
    myna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYNA_OFFLINE", "0")
    code, out, err = myna("config", "show", "--origin")
    assert (code, err) == (0, "")
    origins = {line.split()[0]: line.split("  ")[-1].strip() for line in out.splitlines()}
    assert set(origins) == {"SETTING", *VARIABLES}
    assert origins["home"] == "environment variable XDG_CACHE_HOME"
    assert origins["is_offline"] == "environment variable MYNA_OFFLINE"
    assert origins["api_keys"] == "default; MYNA_API_KEY sets it"


def test_programs_are_told_in_json(myna: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYNA_MODEL", "qwq-32b")
    code, out, err = myna("config", "show", "--json")
    assert (code, err) == (0, "")
    assert rows(out)["default_model"] == {"value": "qwq-32b", "is_secret": False}
    told = rows(myna("config", "show", "--json", "--origin")[1])
    assert told["default_model"]["origin"] == "environment variable MYNA_MODEL"
    assert told["mirror_endpoint"] == {"value": None, "is_secret": False, "origin": "default"}
    assert told["has_color"]["value"] is True


@pytest.mark.parametrize("options", [(), ("--origin",), ("--json",), ("--json", "--origin")])
def test_no_secret_is_shown(
    myna: Any, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    for name in ("MYNA_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    code, out, err = myna("config", "show", *options)
    assert code == 0
    assert SECRET not in out + err
    if options == ("--json", "--origin"):
        assert rows(out)["api_keys"] == {
            "value": "set",
            "is_secret": True,
            "origin": "environment variable MYNA_API_KEY",
        }
        assert rows(out)["hub_key"]["origin"] == "environment variable HF_TOKEN"


def test_the_hubs_key_may_lie_in_a_file(myna: Any, hub_key_file: Path) -> None:
    hub_key_file.write_text(SECRET)
    hub_key = rows(myna("config", "show", "--json", "--origin")[1])["hub_key"]
    assert hub_key == {"value": "set", "is_secret": True, "origin": f"file {hub_key_file}"}
    hub_key_file.write_text("")
    assert rows(myna("config", "show", "--json")[1])["hub_key"]["value"] == "not set"


def test_a_wrong_setting_is_told(myna: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYNA_OFFLINE", "maybe")
    assert myna("config", "show")[::2] == (
        2,
        "error: environment variable MYNA_OFFLINE is 'maybe'; give 1 or 0\n",
    )


def test_only_show_can_be_asked_for(myna: Any) -> None:
    assert myna("config")[0] == myna("config", "set")[0] == 2
