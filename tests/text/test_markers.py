"""Finding markers in a stream."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.text.markers import MarkerScanner, StopMatcher

FEW = st.text(alphabet="ab<", max_size=12)
STOPS = st.lists(st.text(alphabet="ab<", min_size=1, max_size=4), min_size=1, max_size=4)


def slow_cut(text: str, stops: list[str]) -> tuple[str, str | None]:
    """Find the stop that ends first; of those that end together, the longest."""
    ends = [(text.find(s) + len(s), -len(s), s) for s in stops if s in text]
    if not ends:
        return text, None
    end, _, stop = min(ends)
    return text[: end - len(stop)], stop


@given(pieces=st.lists(FEW, max_size=6), stops=STOPS)
def test_any_cutting_of_the_stream_gives_the_slow_answer(
    pieces: list[str], stops: list[str]
) -> None:
    matcher = StopMatcher(stops)
    text = "".join([*[matcher.feed(piece) for piece in pieces], matcher.finish()])
    assert (text, matcher.stop) == slow_cut("".join(pieces), stops)


@given(pieces=st.lists(FEW, max_size=6), stops=STOPS)
def test_nothing_is_held_back_without_need(pieces: list[str], stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    seen = ""
    for piece in pieces:
        seen += piece
        matcher.feed(piece)
        if matcher.stop is None:
            needed = max(
                (n for s in stops for n in range(len(s)) if seen.endswith(s[:n])), default=0
            )
            assert matcher.num_held == needed


def test_what_is_held_back_comes_out_when_it_is_no_marker() -> None:
    matcher = StopMatcher(["END"])
    assert [matcher.feed("a E"), matcher.feed("N"), matcher.feed("d")] == ["a ", "", "ENd"]


def test_after_a_stop_nothing_comes_out() -> None:
    matcher = StopMatcher(["\n\n"])
    assert matcher.feed("a\n\nb") == "a"
    assert matcher.num_cut == 3
    assert matcher.feed("c") == ""
    assert matcher.finish() == ""


def test_without_markers_everything_passes() -> None:
    assert MarkerScanner([]).scan("abc") == ("abc", None, 3)


def test_scanning_goes_on_behind_a_marker() -> None:
    scanner = MarkerScanner(["<a>", "<b>"])
    assert scanner.scan("x<a>y<b>z") == ("x", "<a>", 4)
    assert scanner.scan("x<a>y<b>z", 4) == ("y", "<b>", 8)
    assert scanner.scan("x<a>y<b>z", 8) == ("z", None, 9)


def test_an_empty_marker_is_refused() -> None:
    with pytest.raises(ValueError, match="a marker is empty, and would be found everywhere"):
        MarkerScanner(["a", ""])


def test_time_is_linear_in_the_text() -> None:
    """A stop of many equal characters, nearly found again and again, is the worst case."""
    text = ("a" * 999 + "b") * 400
    matcher = StopMatcher(["a" * 1000])
    start = time.perf_counter()
    assert matcher.feed(text) + matcher.finish() == text
    assert time.perf_counter() - start < 5
