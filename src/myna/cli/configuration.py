"""The settings as users may see them: values and origins, of secrets only whether they are set.

Not here: options of commands, which hold for one call and are no settings.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from myna.core.settings import Settings, origins
from myna.hub.pull import hub_endpoint

SECRETS = ("api_keys", "hub_key")


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Describe one setting.

    Attributes:
        value: of a secret whether it is set, and no more.
        origin: the variable or the file that it comes from, or that it is the default.
    """

    name: str
    value: str | bool | None
    is_secret: bool
    origin: str


def configuration(settings: Settings) -> list[Setting]:
    """List all settings."""
    places = {
        name: "default" if variable is None else f"environment variable {variable}"
        for name, variable in origins().items()
    }
    if places["hub_key"] == "default" and (key_file := _hub_key_file()) is not None:
        places["hub_key"] = f"file {key_file}"
    values: dict[str, str | bool | None] = {
        "home": str(settings.home),
        "default_model": settings.default_model,
        "api_keys": _secret(is_set=bool(settings.api_keys)),
        "hub_endpoint": hub_endpoint(settings),
        "hub_key": _secret(is_set=places["hub_key"] != "default"),
        "mirror_endpoint": settings.mirror_endpoint,
        "is_offline": settings.is_offline,
        "has_color": settings.has_color,
    }
    return [
        Setting(name=name, value=value, is_secret=name in SECRETS, origin=places[name])
        for name, value in values.items()
    ]


def _hub_key_file() -> Path | None:
    """Find the file with the user's key for the hub, without asking for the key itself.

    The library's `get_token` would do more: renew a key that runs out, over the network.
    """
    # See hub.pull.hub_endpoint.
    from huggingface_hub import constants  # noqa: PLC0415

    path = Path(constants.HF_TOKEN_PATH)
    return path if path.is_file() and path.stat().st_size else None


def _secret(*, is_set: bool) -> str:
    return "set" if is_set else "not set"
