"""Constrained and free requests share the engine's batches, and neither notices the other."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from typing import Any

import pytest

from myna.core.requests import Constraint
from myna.engine.grammar import GrammarCompiler, Thinking
from myna.engine.grammar_source import constraint_source

TEXT = '{}[]":, -.' + string.digits + string.ascii_lowercase + string.ascii_uppercase[:15]
TOKENS = (*(char.encode() for char in TEXT), b"</think>", b"<end>")
THINK_END, END = len(TEXT), len(TEXT) + 1
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "yy"]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def compiler() -> Iterator[GrammarCompiler]:
    compiler = GrammarCompiler(TOKENS, eos_ids=[END], special_ids=[THINK_END])
    yield compiler
    compiler.close()


def text_of(token_ids: list[int]) -> str:
    return b"".join(TOKENS[token_id] for token_id in token_ids).decode()


def test_constrained_choices_are_valid_and_free_ones_unchanged(
    kit: Any, compiler: GrammarCompiler
) -> None:
    constraint = Constraint(kind="json_schema", source=json.dumps(SCHEMA))
    grammar = compiler.compile(constraint_source(constraint))
    prompts = kit.random_prompts(seed=3, count=8, longest=20)
    alone = kit.make_engine()
    for idx, prompt in enumerate(prompts):
        alone.add(kit.make_request(f"free {idx}", prompt, max_tokens=20))
    expected = kit.run_all(alone)

    engine = kit.make_engine()
    for idx, prompt in enumerate(prompts):
        engine.add(kit.make_request(f"free {idx}", prompt, max_tokens=20))
        engine.add(
            kit.make_request(
                f"json {idx}",
                prompt,
                temperature=1.0,
                seed=idx,
                num_choices=2,
                logit_bias={TEXT.index(" "): -9.0},
                stop_token_ids=frozenset([END]),
                make_mask=lambda _: grammar.start(),
            )
        )
    outputs = kit.run_all(engine)
    for idx in range(len(prompts)):
        name = f"free {idx}"
        assert kit.tokens_of(outputs, name) == kit.tokens_of(expected, name)
        for choice in range(2):
            token_ids = kit.tokens_of(outputs, f"json {idx}", choice)
            answer = json.loads(text_of([t for t in token_ids if t != END]))
            assert type(answer["a"]) is int
            assert answer["b"] in ("x", "yy")


def test_thinking_is_free_and_the_answer_after_it_is_not(
    kit: Any, compiler: GrammarCompiler
) -> None:
    grammar = compiler.compile(constraint_source(Constraint(kind="regex", source="(yes|no){1,3}")))
    engine = kit.make_engine()
    for seed in range(8):
        engine.add(
            kit.make_request(
                f"{seed}",
                [seed],
                temperature=1.0,
                seed=seed,
                logit_bias={THINK_END: 3.0},
                stop_token_ids=frozenset([END]),
                make_mask=lambda _: grammar.start(thinking=Thinking(end_id=THINK_END)),
            )
        )
    outputs = kit.run_all(engine)
    for seed in range(8):
        thought, _, answer = text_of(kit.tokens_of(outputs, f"{seed}")).partition("</think>")
        assert "<end>" not in thought
        assert answer.removesuffix("<end>").replace("yes", "").replace("no", "") == ""
        assert answer != "<end>"
