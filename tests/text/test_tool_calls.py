"""Finding tool calls in answers."""

import itertools
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.text.tool_calls import CallPiece, ToolCallParser, parse_tool_calls

CALL = (
    '<tool_call>\n{"name": "f", "arguments": {"a": [1, {"b": "}]</tool_call>\\""}]}}\n</tool_call>'
)
ARGUMENTS = '{"a": [1, {"b": "}]</tool_call>\\""}]}'
FRAGMENTS = st.lists(
    st.sampled_from(
        [
            CALL,
            "<tool_call>",
            "</tool_call>",
            '{"name": "f", "arguments": ',
            '{"arguments": {}, "name": "g"}',
            '"{\\"a\\": 1}"}',
            '{"x": "y"}}',
            "{",
            "}",
            '"',
            "\\",
            "<",
            "\n",
            " ",
            "text",
            "[1, null]",
            ":",
            ",",
        ]
    ),
    max_size=10,
)


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    """Cut a text at some places."""
    places = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    return [text[a:b] for a, b in itertools.pairwise(places)]


@given(fragments=FRAGMENTS, cuts=st.lists(st.integers(0, 10**6), max_size=12))
def test_any_cutting_of_the_stream_gives_the_same(fragments: list[str], cuts: list[int]) -> None:
    text = "".join(fragments)
    parser = ToolCallParser()
    pieces = [p for piece in pieces_of(text, cuts) for p in parser.feed(piece)] + parser.finish()
    texts = "".join(piece for piece in pieces if isinstance(piece, str))
    calls: list[CallPiece] = []
    for piece in pieces:
        if isinstance(piece, str):
            continue
        if piece.name is not None:
            assert piece.call_idx == len(calls)
            calls.append(piece)
        else:
            assert piece.call_idx == len(calls) - 1
            calls[-1] = calls[-1]._replace(arguments=calls[-1].arguments + piece.arguments)
    assert (texts, tuple(calls)) == parse_tool_calls(text)
    assert parser.num_held == 0
    assert parser.num_calls == len(calls)


@given(
    name=st.text(min_size=1, max_size=8),
    arguments=st.dictionaries(
        st.text(max_size=4),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=6),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
            max_leaves=6,
        ),
        max_size=4,
    ),
)
def test_every_call_comes_through(name: str, arguments: dict[str, object]) -> None:
    call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    text, calls = parse_tool_calls(f"First.\n<tool_call>\n{call}\n</tool_call>")
    assert text == "First."
    assert [(c.call_idx, c.name, json.loads(c.arguments)) for c in calls] == [(0, name, arguments)]


@pytest.mark.parametrize(
    ("text", "expected_text", "expected_calls"),
    [
        ("no call\n ", "no call\n ", []),
        (CALL, "", [("f", ARGUMENTS)]),
        (f" hi \n{CALL}\n{CALL}\nbye \n", " hibye \n", [("f", ARGUMENTS), ("f", ARGUMENTS)]),
        ('<tool_call>{"name": "f"}</tool_call>', "", [("f", "{}")]),
        ('<tool_call>{"name": "f", "arguments": null}</tool_call>', "", [("f", "{}")]),
        ('<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}', "", [("f", '{"a": 1}')]),
        ('<tool_call>{"arguments": {"a": 1}, "name": "f"}</tool_call>', "", [("f", '{"a": 1}')]),
        ('<tool_call>{"id": [1], "name": "f\\n", "x": 2}</tool_call>', "", [("f\n", "{}")]),
        # Cut short, or a bracket too few or too many: still a call.
        ('<tool_call>{"name": "f", "arguments": {"a": 1', "", [("f", '{"a": 1')]),
        ('<tool_call>{"name": "f", "arguments": {"a": 1}\n</tool_call>', "", [("f", '{"a": 1}')]),
        ('<tool_call>{"name": "f", "arguments": {"a": 1</tool_call>x', "x", [("f", '{"a": 1')]),
        ('<tool_call>{"name": "f", "arguments": {}}}\n</tool_call>', "", [("f", "{}")]),
        ('<tool_call>{"name": "f", "arguments": {}}</tool_ca', "", [("f", "{}")]),
        ('<tool_call>{"name": "f", "arguments": {}} and </tool', "and </tool", [("f", "{}")]),
        ('<tool_call>{"name": "f"}<tool_call>{"name": "g"}', "", [("f", "{}"), ("g", "{}")]),
        ('<tool_call>{"name": "f"}</tool_x', "</tool_x", [("f", "{}")]),
        # No calls: these stay text.
        ("<tool_call>not json</tool_call>", "<tool_call>not json</tool_call>", []),
        ("<tool_call>\n{}\n</tool_call>", "<tool_call>\n{}\n</tool_call>", []),
        ('<tool_call>{"name": 3}</tool_call>', '<tool_call>{"name": 3}</tool_call>', []),
        ('<tool_call>{"name": ""}', '<tool_call>{"name": ""}', []),
        ('<tool_call>{"name": "\\x"}', '<tool_call>{"name": "\\x"}', []),
        (
            '<tool_call>{"name": "f", "arguments": 5}',
            '<tool_call>{"name": "f", "arguments": 5}',
            [],
        ),
        ('<tool_call>{"name": "f", "name": "g"}', '<tool_call>{"name": "f", "name": "g"}', []),
        ('<tool_call>{"name": "f", "argu', '<tool_call>{"name": "f", "argu', []),
        ('<tool_call>{"arguments": {"a": 1}}', '<tool_call>{"arguments": {"a": 1}}', []),
        ("<tool_call>", "<tool_call>", []),
        ("a <tool_c", "a <tool_c", []),
        (f"<tool_call>\n{CALL}", "<tool_call>", [("f", ARGUMENTS)]),
    ],
)
def test_what_is_a_call_and_what_is_text(
    text: str, expected_text: str, expected_calls: list[tuple[str, str]]
) -> None:
    found_text, calls = parse_tool_calls(text)
    assert [(call.name, call.arguments) for call in calls] == expected_calls
    assert found_text == expected_text


def test_name_and_arguments_stream() -> None:
    parser = ToolCallParser()
    assert parser.feed('<tool_call>{"name": "f", "argu') == []
    assert parser.feed('ments": {"a"') == [CallPiece(0, "f", '{"a"')]
    assert parser.feed(": 1") == [CallPiece(0, None, ": 1")]
    assert parser.feed("}}") == [CallPiece(0, None, "}")]
    assert parser.feed("</tool_call>") == []
    assert parser.finish() == []


def test_time_is_linear_in_the_text() -> None:
    """Deep nesting, long strings and many near-tags, one character at a time."""
    nested = '{"a":' * 30_000 + "</tool_call>" * 5_000 + "<tool_" * 30_000
    start = time.perf_counter()
    parser = ToolCallParser()
    for character in f'<tool_call>{{"name": "f", "arguments": {nested}':
        parser.feed(character)
    parser.finish()
    assert time.perf_counter() - start < 10
