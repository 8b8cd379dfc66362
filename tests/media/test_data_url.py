from __future__ import annotations

import base64

import pytest

from myna.core.errors import InvalidRequest
from myna.media.data_url import is_data_url, parse_data_url


def test_a_data_url_gives_its_bytes() -> None:
    url = parse_data_url("data:image/png;base64," + base64.b64encode(b"\0\1\2\3").decode())
    assert (url.data, url.media_type) == (b"\0\1\2\3", "image/png")


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        ("data:;base64", None),
        ("DATA:Image/JPEG;BASE64", "image/jpeg"),
        ("data:audio/ogg;codecs=opus;base64", "audio/ogg"),
    ],
)
def test_heads_may_vary(head: str, media_type: str | None) -> None:
    assert is_data_url(head)
    assert parse_data_url(head + ",YQ==").media_type == media_type


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png,abc",
        "data:image/png;base64",
        "data:image/png;base64;YQ==",
        "https://example.org/a.png",
        "file:///etc/passwd",
        "data:no-type;base64,YQ==",
        "data:" + "a" * 2000 + "/b;base64,YQ==",
        "",
    ],
)
def test_what_is_no_data_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="give data:TYPE;base64,DATA"):
        parse_data_url(url)


@pytest.mark.parametrize(
    "body", ["YQ", "YQ=", "Y Q==", "YQ==\n", "YQ==YQ==", "-_==", "é", "====", "AAAA===="]
)
def test_base64_is_read_strictly(body: str) -> None:
    with pytest.raises(InvalidRequest, match="not base64 of the standard alphabet"):
        parse_data_url("data:image/png;base64," + body)


def test_nothing_is_not_a_picture() -> None:
    with pytest.raises(InvalidRequest, match="the media are empty"):
        parse_data_url("data:image/png;base64,")
