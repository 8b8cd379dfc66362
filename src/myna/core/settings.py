"""What the environment asks for: the only reader of environment variables.

Not here: options of single commands (cli) and limits of the server (server).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from myna import embedded
from myna.core.errors import InvalidRequest

FETCHED_MODEL = "smollm2-135m"  # the default of a copy that has no model in the box
NAMES = {
    "MYNA_HOME": "folder for models and records (default: myna in the user's cache folder)",
    "MYNA_MODEL": (
        f"the model of commands that are given none (default: {embedded.NAME}, "
        f"or {FETCHED_MODEL} in a copy of Myna without it)"
    ),
    "MYNA_API_KEY": "key, or keys with commas between, that clients must present",
    "MYNA_HUB_ENDPOINT": "address of the model hub, or of a mirror with the hub's layout",
    "MYNA_MIRROR_ENDPOINT": "address of a mirror with ModelScope's layout",
    "MYNA_OFFLINE": "1: never open a connection to fetch a model",
}
VARIABLES = {
    "home": ("MYNA_HOME", "XDG_CACHE_HOME"),
    "default_model": ("MYNA_MODEL",),
    "api_keys": ("MYNA_API_KEY",),
    "hub_endpoint": ("MYNA_HUB_ENDPOINT", "HF_ENDPOINT"),
    "hub_key": ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    "mirror_endpoint": ("MYNA_MIRROR_ENDPOINT",),
    "is_offline": ("MYNA_OFFLINE",),
    "has_color": ("NO_COLOR",),
}
"""The variables that set each field of `Settings`, and what the hub's own library reads besides:
`HF_...` and the key. The one that decides comes first."""
TEST_PREFIXES = ("MYNA_TEST_", "MYNA_REQUIRE")


def usual_model() -> str:
    """Name the model in the box; of a copy that has none, a small one that is fetched."""
    return FETCHED_MODEL if embedded.folder() is None else embedded.NAME


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what the environment asks for; `has_color` says whether output may be coloured."""

    home: Path
    default_model: str = msgspec.field(default_factory=usual_model)
    api_keys: tuple[str, ...] = ()
    hub_endpoint: str | None = None
    mirror_endpoint: str | None = None
    is_offline: bool = False
    has_color: bool = True

    @property
    def models_dir(self) -> Path:
        """Give the folder in which each model has a folder of its own."""
        return self.home / "models"


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the environment; an empty value counts as absent.

    Raises:
        InvalidRequest: a value is wrong, or a variable looks like ours but is none.
    """
    for name in environment:
        if name.startswith("MYNA_") and name not in NAMES and not name.startswith(TEST_PREFIXES):
            raise InvalidRequest(
                f"environment variable {name} is not known; known are {', '.join(NAMES)}",
                param=name,
            )
    return Settings(
        home=_home(environment),
        default_model=environment.get("MYNA_MODEL") or usual_model(),
        api_keys=_keys(environment),
        hub_endpoint=_address(environment, "MYNA_HUB_ENDPOINT")
        or _address(environment, "HF_ENDPOINT"),
        mirror_endpoint=_address(environment, "MYNA_MIRROR_ENDPOINT"),
        is_offline=_switch(environment, "MYNA_OFFLINE"),
        has_color=not environment.get("NO_COLOR"),
    )


def origins(environment: Mapping[str, str] = os.environ) -> dict[str, str | None]:
    """Name, for each setting of `VARIABLES`, the variable it comes from; `None`: no variable."""
    return {
        setting: next((name for name in names if _decides(environment, name)), None)
        for setting, names in VARIABLES.items()
    }


def _decides(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "")
    return Path(value).is_absolute() if name == "XDG_CACHE_HOME" else bool(value)


def _home(environment: Mapping[str, str]) -> Path:
    chosen = environment.get("MYNA_HOME")
    if chosen:
        home = Path(chosen).expanduser()
        if not home.is_absolute():
            raise _wrong("MYNA_HOME", chosen, "give an absolute path")
        return home
    # The XDG base directory specification says to ignore relative paths.
    if _decides(environment, "XDG_CACHE_HOME"):
        return Path(environment["XDG_CACHE_HOME"]) / "myna"
    try:
        return Path("~/.cache/myna").expanduser()
    except RuntimeError:
        raise InvalidRequest(
            "there is no home folder to keep models in; set MYNA_HOME", param="MYNA_HOME"
        ) from None


def _keys(environment: Mapping[str, str]) -> tuple[str, ...]:
    value = environment.get("MYNA_API_KEY")
    if not value:
        return ()
    keys = tuple(key.strip() for key in value.split(","))
    for key in keys:
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            # The value is a secret: it is not quoted.
            raise InvalidRequest(
                "MYNA_API_KEY holds a key that is empty or has spaces or characters outside "
                "printable ASCII; give keys with commas between",
                param="MYNA_API_KEY",
            )
    return keys


def _address(environment: Mapping[str, str], name: str) -> str | None:
    value = environment.get(name)
    if not value:
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    if not is_web or "@" in parts.netloc or parts.query or parts.fragment:
        # The value may hold a secret: it is not quoted.
        raise InvalidRequest(
            f"environment variable {name} holds no plain address; give one such as "
            "https://models.example.org, without a user, a query or a fragment",
            param=name,
        )
    return value.rstrip("/")


def _switch(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "")
    if value.lower() in ("", "0", "false", "no", "off"):
        return False
    if value.lower() in ("1", "true", "yes", "on"):
        return True
    raise _wrong(name, value, "give 1 or 0")


def _wrong(name: str, value: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(f"environment variable {name} is {value!r}; {remedy}", param=name)
