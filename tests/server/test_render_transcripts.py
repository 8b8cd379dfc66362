"""Subtitles from what was heard."""

from __future__ import annotations

import pytest

from myna.media.pauses import Piece
from myna.server.hearing import Segment
from myna.server.render_transcripts import clock, subtitles


@pytest.mark.parametrize(
    ("at_s", "shown"),
    [(0, "00:00:00,000"), (1.9996, "00:00:02,000"), (3661.25, "01:01:01,250")],
)
def test_times_are_written_as_a_clock_shows_them(at_s: float, shown: str) -> None:
    assert clock(at_s, mark=",") == shown


def test_no_text_breaks_out_of_its_cue() -> None:
    piece = Piece(start_s=0, end_s=1)
    segments = [Segment(piece, text=text) for text in ("a\n\n1 --> 2\r\n \nb", "", "c")]
    assert subtitles(segments, is_vtt=False).decode() == (
        "1\n00:00:00,000 --> 00:00:01,000\na\n1 -> 2\nb\n\n2\n00:00:00,000 --> 00:00:01,000\nc\n\n"
    )
