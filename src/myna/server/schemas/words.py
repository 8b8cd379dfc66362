"""`POST /api/v1/word-times` on the wire."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(max_length=65_536)]
Level = Annotated[float, Meta(ge=0)]


class WordTimesRequest(msgspec.Struct, kw_only=True):
    """What was said, and how loud it was: a root mean square for each hundredth of a second."""

    text: Text
    levels: Annotated[list[Level], Meta(max_length=360_000)]


class WordObject(msgspec.Struct, kw_only=True):
    """When a word was said; `end_char` is where it ends in the text."""

    word: str
    end_char: int
    start_s: float
    end_s: float
    is_approximate: bool


class WordTimes(msgspec.Struct, kw_only=True):
    """All words of a text with their times."""

    words: list[WordObject]
