"""The environment: every variable, and every wrong value."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna import embedded
from myna.core.errors import InvalidRequest
from myna.core.settings import NAMES, VARIABLES, Settings, origins, read_settings


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = read_settings({})
    assert settings.home == Path("~/.cache/myna").expanduser()
    assert settings.models_dir == settings.home / "models"
    assert settings.api_keys == ()
    assert settings.hub_endpoint is None
    assert not settings.is_offline
    assert settings.has_color


@pytest.mark.parametrize(
    ("folder", "name"), [(None, "smollm2-135m"), (Path("/package/nano"), "nano")]
)
def test_the_usual_model_is_the_one_in_the_box_if_it_is_there(
    folder: Path | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "folder", lambda: folder)
    assert read_settings({}).default_model == Settings(home=Path("/")).default_model == name


def test_every_variable_is_read() -> None:
    settings = read_settings(
        {
            "MYNA_HOME": "/data/myna",
            "MYNA_MODEL": "qwq-32b",
            "MYNA_API_KEY": "one, two",
            "MYNA_HUB_ENDPOINT": "http://127.0.0.1:9/hub/",
            "MYNA_MIRROR_ENDPOINT": "https://mirror.example.org",
            "MYNA_OFFLINE": "yes",
            "NO_COLOR": "1",
            "MYNA_TEST_ANYTHING": "x",
            "PATH": "/bin",
        }
    )
    assert settings.models_dir == Path("/data/myna/models")
    assert settings.default_model == "qwq-32b"
    assert settings.api_keys == ("one", "two")
    assert settings.hub_endpoint == "http://127.0.0.1:9/hub"
    assert settings.mirror_endpoint == "https://mirror.example.org"
    assert settings.is_offline
    assert not settings.has_color


def test_an_empty_value_counts_as_absent() -> None:
    environment = {"MYNA_HOME": "", "MYNA_API_KEY": "", "NO_COLOR": "", "MYNA_HUB_ENDPOINT": ""}
    assert read_settings(environment) == read_settings({})


def test_the_cache_folder_of_the_user_is_honoured_if_absolute() -> None:
    assert read_settings({"XDG_CACHE_HOME": "/cache"}).home == Path("/cache/myna")
    assert read_settings({"XDG_CACHE_HOME": "cache"}) == read_settings({})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MYNA_HOME", "models", "MYNA_HOME is 'models'; give an absolute path"),
        ("MYNA_API_KEY", "one,,two", "a key that is empty"),
        ("MYNA_API_KEY", "one two", "a key that is empty or has spaces"),
        ("MYNA_API_KEY", "schlüssel", "outside printable ASCII"),
        ("MYNA_HUB_ENDPOINT", "ftp://x", "holds no plain address; give one such as"),
        ("MYNA_HUB_ENDPOINT", "http://[", "give one such as"),
        ("MYNA_HUB_ENDPOINT", "models.example.org", "give one such as"),
        ("MYNA_MIRROR_ENDPOINT", "https://x/?a=b", "give one such as"),
        ("MYNA_OFFLINE", "maybe", "MYNA_OFFLINE is 'maybe'; give 1 or 0"),
        ("MYNA_APIKEY", "secret", "MYNA_APIKEY is not known; known are MYNA_HOME"),
    ],
)
def test_a_wrong_value_is_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        read_settings({name: value})
    assert caught.value.param == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MYNA_API_KEY", "my secret"),
        ("MYNA_HUB_ENDPOINT", "https://ada:my secret@example.org"),
        ("MYNA_MIRROR_ENDPOINT", "https://example.org/?key=my secret"),
        ("HF_ENDPOINT", "https://my secret@example.org"),
    ],
)
def test_a_wrong_secret_is_not_quoted(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_settings({name: value})
    assert caught.value.param == name
    assert "my secret" not in caught.value.message


def test_the_hubs_own_variable_names_a_hub_too() -> None:
    assert read_settings({"HF_ENDPOINT": "https://hub.example.org"}).hub_endpoint == (
        "https://hub.example.org"
    )
    both = {"HF_ENDPOINT": "https://a.example.org", "MYNA_HUB_ENDPOINT": "https://b.example.org"}
    assert read_settings(both).hub_endpoint == "https://b.example.org"


def test_a_machine_without_a_home_folder_is_told_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", refuse)
    with pytest.raises(InvalidRequest, match="no home folder to keep models in; set MYNA_HOME"):
        read_settings({})


def test_every_setting_and_every_variable_has_its_origin() -> None:
    assert set(VARIABLES) == {*Settings.__struct_fields__, "hub_key"}
    assert set(NAMES) <= {name for names in VARIABLES.values() for name in names}
    assert origins({}) == dict.fromkeys(VARIABLES)
    for setting, names in VARIABLES.items():
        for name in names:
            assert origins({name: "/x"}) == {**origins({}), setting: name}


def test_the_variable_that_decides_is_the_origin() -> None:
    both = {"MYNA_HOME": "/data", "XDG_CACHE_HOME": "/cache"}
    assert origins(both)["home"] == "MYNA_HOME"
    assert origins({**both, "MYNA_HOME": ""})["home"] == "XDG_CACHE_HOME"
    assert origins({"XDG_CACHE_HOME": "cache"})["home"] is None
