"""Data URLs: media that a request carries inside its own text.

Not here: fetching from a network.
Source: RFC 2397, with base64 as the only encoding; RFC 4648 §4.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

from myna.core.errors import InvalidRequest

SCHEME = "data:"
# RFC 6838 §4.2; parameters such as `;codecs=opus` may follow.
TYPE = r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}"
HEAD = re.compile(rf"({TYPE})?(;[^;,]{{1,200}}){{0,4}}?;base64")
MAX_HEAD_CHARS = 1024


@dataclass(frozen=True, kw_only=True)
class DataUrl:
    """Hold what a data URL carries; the media type is the sender's word and decides nothing."""

    data: bytes
    media_type: str | None


def is_data_url(url: str) -> bool:
    """Tell whether an address carries its own data."""
    return url[: len(SCHEME)].lower() == SCHEME


def parse_data_url(url: str) -> DataUrl:
    """Decode a data URL, strictly."""
    head, comma, body = url[len(SCHEME) :].partition(",")
    match = HEAD.fullmatch(head.lower()) if len(head) <= MAX_HEAD_CHARS else None
    if not is_data_url(url) or not comma or match is None:
        raise InvalidRequest(
            f"the address begins with {url[:40]!r}; give data:TYPE;base64,DATA",
            code="invalid_data_url",
        )
    return DataUrl(data=decode_base64(body), media_type=match[1])


def decode_base64(text: str) -> bytes:
    """Decode base64 of the standard alphabet, with padding, without white space."""
    try:
        if len(text) % 4 or text.endswith("==="):  # The library takes padding after whole groups.
            raise binascii.Error
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise InvalidRequest(
            f"{len(text)} characters of media are not base64 of the standard alphabet with "
            "padding; encode the bytes again",
            code="invalid_base64",
        ) from None
    if not data:
        raise InvalidRequest("the media are empty; send their bytes", code="invalid_base64")
    return data
