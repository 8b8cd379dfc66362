"""What the command line says about a server, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from myna.cli import serve_options
from myna.core.errors import InvalidRequest
from myna.media.fetch import FetchPolicy
from myna.server.settings import ServerSettings


def settings(host: str = "127.0.0.1", **given: Any) -> ServerSettings:
    usual: dict[str, Any] = {
        "keys": (),
        "is_open": False,
        "aliases": (),
        "origins": (),
        "hosts": (),
        "remote_media": None,
        "max_requests": 5,
        "deadline_s": 7.0,
    }
    return serve_options.server_settings(host, **(usual | given))


def test_loopback_needs_no_key_but_its_own_name() -> None:
    made = settings()
    assert made.allowed_hosts == ("localhost", "127.0.0.1", "::1")
    assert (made.api_keys, made.limits.max_requests, made.deadline_s) == ((), 5, 7.0)


def test_a_network_needs_a_key_unless_it_is_let_in_on_purpose() -> None:
    with pytest.raises(InvalidRequest, match="let the whole network in; set an API key"):
        settings("0.0.0.0")
    assert settings("0.0.0.0", keys=("a-good-key",)).api_keys == ("a-good-key",)
    opened = settings("0.0.0.0", is_open=True)
    assert (opened.api_keys, opened.allowed_hosts) == ((), None)


def test_names_and_pages_are_put_in_their_form() -> None:
    made = settings(
        hosts=["Box.Example"], origins=["https://a.example/"], aliases=["gpt-4o=m", "tts-1=m"]
    )
    assert made.allowed_hosts == ("box.example",)
    assert made.allowed_origins == ("https://a.example",)
    assert made.aliases == {"gpt-4o": "m", "tts-1": "m"}


@pytest.mark.parametrize("text", ["", "a", "=b", "a="])
def test_an_alias_has_two_sides(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is not of the form NAME=MODEL"):
        settings(aliases=[text])


def test_to_name_a_domain_is_to_fetch() -> None:
    assert serve_options.remote_media((), is_on=False) is None
    assert serve_options.remote_media((), is_on=True) == FetchPolicy()
    named = serve_options.remote_media(("A.Example.",), is_on=False)
    assert named == FetchPolicy(domains=("a.example",))


def test_keys_come_from_everywhere(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.touch(0o600)
    file.write_text("from-a-file")
    assert serve_options.all_keys(("of-old",), ["given-here"], file) == (
        "of-old",
        "given-here",
        "from-a-file",
    )
    with pytest.raises(InvalidRequest, match="a key of --api-key is shorter"):
        serve_options.all_keys((), ["short"], None)


def test_a_certificate_is_checked_before_anything_is_loaded(tmp_path: Path) -> None:
    assert serve_options.tls_files(None, None) is None
    with pytest.raises(InvalidRequest, match="--tls-key is given without --tls-cert"):
        serve_options.tls_files(None, tmp_path)
    file = tmp_path / "cert.pem"
    file.write_text("nonsense")
    with pytest.raises(InvalidRequest, match=r"cert.pem and its key cannot be used \("):
        serve_options.tls_files(file, None)
