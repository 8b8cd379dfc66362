"""Hostile grammars by the hundred: each gets an answer or a typed error, soon, and harms no one.

The corpus is `grammar_bombs`.
"""

from __future__ import annotations

import json
import random
import time

import pytest

from grammar_bombs import VALID, Case, corpus, lark, regex, schema
from myna.core.errors import InvalidRequest
from myna.core.requests import Constraint
from myna.engine.grammar import GrammarCompiler, GrammarMask
from myna.engine.grammar_source import GrammarSource, constraint_source, tool_call_source

MAX_CASE_S = 3.0
NUM_PARTS = 4
NUM_TOKENS_FOLLOWED = 64
PIECES = (b'{"', b'":', b'",', b"}}", b"]}", b"aa", b"abab", b"true", b"null", b"name", b"the ")
TOKENS = (*(bytes([byte]) for byte in range(256)), *PIECES, b"<|im_end|>")
END = len(TOKENS) - 1


def source_of(case: Case) -> GrammarSource:
    if isinstance(case, Constraint):
        return constraint_source(case)
    return tool_call_source(case, tool_choice="required")


def follow(mask: GrammarMask, choice: random.Random) -> None:
    """Write a random answer of a few tokens under a mask."""
    for _ in range(NUM_TOKENS_FOLLOWED):
        token_id = choice.choice(mask.mask([]).nonzero().flatten().tolist())
        mask.accept(token_id)
        if token_id == END:
            return


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len({name for name, _ in corpus()}) >= 150


@pytest.mark.parametrize("part", range(NUM_PARTS))
def test_every_bomb_is_answered_soon_and_the_neighbours_answer_goes_on(part: int) -> None:
    compiler = GrammarCompiler(TOKENS, eos_ids=[END])
    valid = constraint_source(Constraint(kind="json_schema", source=json.dumps(VALID)))
    compiler.warm()
    neighbour = compiler.compile(valid).start()
    neighbour.accept(TOKENS.index(b'{"'))
    expected = neighbour.mask([]).clone()
    slow: list[str] = []
    blamed: set[str | None] = set()
    for name, case in corpus()[part::NUM_PARTS]:
        started_s = time.monotonic()
        try:
            follow(compiler.compile(source_of(case)).start(), random.Random(0))
        except InvalidRequest as error:
            blamed.add(error.param)
        if time.monotonic() - started_s > MAX_CASE_S:
            slow.append(name)
        assert neighbour.mask([]).equal(expected), name
        compiler.compile(valid)
    compiler.close()
    assert slow == []
    assert blamed == {"response_format", "tools"}


@pytest.mark.parametrize("bomb", [schema({"type": "sound"}), regex("("), lark("start: start")])
def test_a_refused_grammar_after_a_valid_one_is_refused_again_and_again(bomb: Case) -> None:
    compiler = GrammarCompiler(TOKENS, eos_ids=[END])
    compiler.compile(constraint_source(Constraint(kind="json_object")))
    for _ in range(3):
        with pytest.raises(InvalidRequest, match="cannot be enforced"):
            compiler.compile(source_of(bomb))
    compiler.close()
