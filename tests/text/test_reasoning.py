"""Parting reasoning from the answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.core.messages import Message, TextPart, text_message
from myna.text.reasoning import (
    ReasoningSplitter,
    breaks_off_in_thought,
    drop_old_reasoning,
    split_reasoning,
)

PIECES = st.lists(
    st.sampled_from(
        ["<think>", "</think>", "<", "think", "</", ">", "\n", "\n\n", " ", "a", "b c"]
    ),
    max_size=12,
)


@pytest.mark.parametrize(
    ("text", "is_open", "expected"),
    [
        ("first\n</think>\n\nanswer", True, ("first", "answer")),
        ("<think>\nfirst\n</think>\n\nanswer", True, ("first", "answer")),
        ("<think>\nfirst\n</think>\n\nanswer", False, ("first", "answer")),
        ("\n <think>first</think>answer", False, ("first", "answer")),
        ("<think>\n\n</think>\n\nanswer", False, ("", "answer")),
        ("</think>answer", True, ("", "answer")),
        ("never closed <", True, ("never closed <", "")),
        ("never closed\n", True, ("never closed\n", "")),
        ("<think>never closed", False, ("never closed", "")),
        (
            "an answer with <think> in it</think>",
            False,
            ("", "an answer with <think> in it</think>"),
        ),
        ("\n an answer", False, ("", "\n an answer")),
        ("a\n\nb</think> c</think>\n", True, ("a\n\nb", " c</think>\n")),
        ("<thin", False, ("", "<thin")),
        ("\n<thin", True, ("\n<thin", "")),
        ("  ", False, ("", "  ")),
        ("", True, ("", "")),
    ],
)
def test_texts_are_split_at_the_tags(text: str, is_open: bool, expected: tuple[str, str]) -> None:
    assert split_reasoning(text, is_open=is_open) == expected


def test_a_block_that_is_begun_loses_nothing_at_its_edge() -> None:
    splitter = ReasoningSplitter(is_open=True, is_begun=True)
    spans = splitter.feed("\n\nsecond\n</think>\n\nanswer") + splitter.finish()
    assert [(span.text, span.is_reasoning) for span in spans] == [
        ("\n\nsecond", True),
        ("answer", False),
    ]


@pytest.mark.parametrize(
    ("text", "reasoning", "expected"),
    [
        ("", "hm", True),
        ("", None, False),
        ("so", "hm", False),
        ("<think>\nhm", None, True),
        ("<think>\nhm\n</think>\n\nso", None, False),
    ],
)
def test_it_is_known_where_a_message_breaks_off(
    text: str, reasoning: str | None, expected: bool
) -> None:
    message = Message(role="assistant", content=(TextPart(text),), reasoning=reasoning)
    assert breaks_off_in_thought(message) is expected


@given(pieces=PIECES, is_open=st.booleans())
def test_any_cutting_of_the_stream_gives_the_same(pieces: list[str], is_open: bool) -> None:
    splitter = ReasoningSplitter(is_open=is_open)
    spans = [span for piece in pieces for span in splitter.feed(piece)] + splitter.finish()
    streamed = tuple(
        "".join(span.text for span in spans if span.is_reasoning is side) for side in (True, False)
    )
    assert streamed == split_reasoning("".join(pieces), is_open=is_open)
    assert splitter.num_held == 0
    assert all(span.text for span in spans)


@given(pieces=PIECES, is_open=st.booleans())
def test_what_is_not_returned_is_held_or_swallowed(pieces: list[str], is_open: bool) -> None:
    splitter = ReasoningSplitter(is_open=is_open)
    num_fed = num_returned = 0
    for piece in pieces:
        num_fed += len(piece)
        num_returned += sum(len(span.text) for span in splitter.feed(piece))
        assert num_returned + splitter.num_held <= num_fed


def test_the_side_is_known_as_early_as_possible() -> None:
    splitter = ReasoningSplitter(is_open=True)
    assert splitter.is_reasoning
    assert [span.text for span in splitter.feed("a b")] == ["a b"]
    splitter.feed("</think>")
    assert not splitter.is_reasoning
    assert not ReasoningSplitter(is_open=False).is_reasoning


def test_old_reasoning_is_dropped_and_the_running_one_kept() -> None:
    def assistant(text: str) -> Message:
        return Message(role="assistant", content=(TextPart(text),), reasoning="why")

    messages = (
        text_message("user", "<think> stays</think> here"),
        assistant("x</think>y</think>\n\nold"),
        assistant("plain"),
        text_message("user", "again"),
        assistant("a</think>b"),
        text_message("tool", "result"),
    )
    kept = drop_old_reasoning(messages)
    assert [m.text for m in kept] == [
        *["<think> stays</think> here", "old", "plain", "again", "a</think>b", "result"]
    ]
    assert [m.reasoning for m in kept] == [None, None, None, None, "why", None]
