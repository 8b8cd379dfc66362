"""Whatever a model prefers, what it writes under a mask is in the language that was asked for."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator
from torch import Tensor

from myna.core.errors import InternalError, InvalidRequest
from myna.core.messages import Tool
from myna.core.requests import Constraint
from myna.engine.grammar import (
    MIN_CHARGE_BYTES,
    Grammar,
    GrammarCompiler,
    GrammarMask,
    Thinking,
)
from myna.engine.grammar_source import constraint_source, tool_call_source
from random_schemas import SchemaMaker

PIECES = (
    *(b'{"', b'":', b'": ', b'",', b'", "', b"}}", b"]}", b"[[", b"true", b"false", b"null"),
    *(b"name", b"value", b"the ", b"\n\n", b"  ", b"10", b"-1", b"0.5", "ü".encode(), b"\xf0\x9f"),
)
MARKS = (b"<|endoftext|>", b"<|im_end|>", b"<tool_call>", b"</tool_call>", b"<think>", b"</think>")
TOKENS = (*(bytes([byte]) for byte in range(256)), *PIECES, *MARKS, b"")
END, IM_END, CALL, CALL_END, THINK, THINK_END = (TOKENS.index(mark) for mark in MARKS)
MAX_TOKENS = 4000


@pytest.fixture(scope="module")
def compiler() -> Iterator[GrammarCompiler]:
    compiler = GrammarCompiler(
        TOKENS, eos_ids=(END, IM_END), special_ids=range(END, END + len(MARKS))
    )
    yield compiler
    compiler.close()


def compiled(compiler: GrammarCompiler, kind: Any, source: str = "", **options: Any) -> Grammar:
    constraint = Constraint(kind=kind, source=source)
    return compiler.compile(constraint_source(constraint, **options))


def schema_grammar(compiler: GrammarCompiler, schema: object) -> Grammar:
    return compiled(compiler, "json_schema", json.dumps(schema))


def encode(text: str) -> list[int]:
    """Spell text with the longest tokens, as a vocabulary without merges would."""
    rest, token_ids = text.encode(), []
    while rest:
        token = max(filter(rest.startswith, TOKENS[:END]), key=len)
        token_ids.append(TOKENS.index(token))
        rest = rest[len(token) :]
    return token_ids


def accepts(mask: GrammarMask, token_ids: list[int]) -> bool:
    """Follow tokens as far as the mask allows them."""
    for token_id in token_ids:
        if not mask.mask([])[token_id]:
            return False
        mask.accept(token_id)
    return True


def follow(mask: GrammarMask, token_ids: list[int]) -> None:
    """Accept tokens without asking which are allowed."""
    for token_id in token_ids:
        mask.accept(token_id)


def allowed(mask: GrammarMask) -> set[bytes]:
    return {TOKENS[idx] for idx in mask.mask([]).nonzero().flatten().tolist()}


class RandomModel:
    """Score tokens at random, growing weary: it likes closing marks more with every token."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.closers = torch.zeros(len(TOKENS))
        for token_id, token in enumerate(TOKENS):
            if token in (*b'"}]', b'"', b"}", b"]", b"<|im_end|>", b"</tool_call>"):
                self.closers[token_id] = 1.0

    def logits(self, num_tokens: int) -> Tensor:
        return torch.randn(len(TOKENS), generator=self.generator) + self.closers * num_tokens / 8


def write(mask: GrammarMask, *, seed: int) -> bytes:
    """Let a random model answer under a mask, to the end."""
    model = RandomModel(seed)
    answer: list[int] = []
    for num_tokens in range(MAX_TOKENS):
        row = model.logits(num_tokens).masked_fill(~mask.mask(answer), -torch.inf)
        token_id = int(row.argmax())
        mask.accept(token_id)
        if token_id in (END, IM_END):
            return b"".join(TOKENS[idx] for idx in answer)
        answer.append(token_id)
    raise AssertionError(f"no end in {MAX_TOKENS} tokens: {answer[-50:]}")


@pytest.mark.parametrize("start", range(0, 200, 25))
def test_json_under_200_random_schemas_is_valid(compiler: GrammarCompiler, start: int) -> None:
    for seed in range(start, start + 25):
        schema = SchemaMaker(seed).make()
        text = write(schema_grammar(compiler, schema).start(), seed=seed)
        Draft202012Validator(schema).validate(json.loads(text))


@pytest.mark.parametrize(("low", "high"), [(21, 21.5), (0, 0.5), (-5.5, -5), (-0.5, 0)])
def test_numbers_stay_off_sharp_exclusive_bounds(
    compiler: GrammarCompiler, low: float, high: float
) -> None:
    schema = {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": high}
    for seed in range(10):
        text = write(schema_grammar(compiler, schema).start(), seed=seed)
        assert low < json.loads(text) < high


def test_json_object_gives_an_object_of_anything(compiler: GrammarCompiler) -> None:
    for seed in range(10):
        text = write(compiled(compiler, "json_object").start(), seed=seed)
        assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize(
    "regex", [r"(yes|no)/[a-z]{3}", r"\d+\n[^\n]{2}", r"[ü😀]{3,5}", r"a\/b|\\n"]
)
def test_text_under_a_regex_matches_all_of_it(compiler: GrammarCompiler, regex: str) -> None:
    for seed in range(10):
        text = write(compiled(compiler, "regex", regex).start(), seed=seed).decode()
        assert re.fullmatch(regex, text)


def test_text_under_a_lark_grammar_is_in_its_language(compiler: GrammarCompiler) -> None:
    grammar = compiled(compiler, "lark", 'start: sum\nsum: /[0-9]+/ | "(" sum "+" sum ")"')
    for seed in range(10):
        text = write(grammar.start(), seed=seed).decode()
        assert set(text) <= set("0123456789+()")
        assert text.count("(") == text.count(")") == text.count("+")


def test_blanks_between_json_tokens_are_bounded(compiler: GrammarCompiler) -> None:
    grammar = schema_grammar(compiler, {"type": "array"})
    for blanks in (" ", "\n" + " " * 64, "\n" + "\t" * 16):
        mask = grammar.start()
        follow(mask, encode("["))
        follow(mask, list(blanks.encode()))
        assert not accepts(mask, encode(" "))
        assert not accepts(mask, encode("\n"))
        assert accepts(mask, encode("]"))


def test_only_the_end_may_follow_a_finished_answer(compiler: GrammarCompiler) -> None:
    mask = compiled(compiler, "regex", "ab").start()
    assert accepts(mask, encode("a"))
    assert not mask.is_finished
    assert accepts(mask, encode("b"))
    assert mask.is_finished
    assert allowed(mask) == {b"<|endoftext|>", b"<|im_end|>"}
    assert accepts(mask, [IM_END])


def test_tokens_without_text_and_marks_are_never_allowed_in_text(compiler: GrammarCompiler) -> None:
    mask = compiled(compiler, "regex", "(.|\n)*").start()
    assert allowed(mask).isdisjoint({b"", *MARKS[2:]})


def test_forced_text_follows_the_models_own_tokenization() -> None:
    whole = TOKENS.index(b"true")
    compiler = GrammarCompiler(TOKENS, eos_ids=[END], encode=lambda text: list(text.encode()))
    longest = GrammarCompiler(TOKENS, eos_ids=[END])
    assert allowed(compiled(compiler, "regex", "true").start()) == {b"t"}
    assert allowed(compiled(longest, "regex", "true").start()) == {TOKENS[whole]}
    compiler.close()
    longest.close()


def test_choices_of_one_grammar_do_not_touch_each_other(compiler: GrammarCompiler) -> None:
    grammar = compiled(compiler, "regex", "ab|cd")
    first, second = grammar.start(), grammar.start()
    assert accepts(first, encode("a"))
    assert allowed(first) == {b"b"}
    assert allowed(second) == {b"a", b"c"}


def test_a_token_that_was_not_allowed_is_our_own_fault(compiler: GrammarCompiler) -> None:
    mask = compiled(compiler, "regex", "ab").start()
    assert allowed(mask) == {b"a"}
    with pytest.raises(InternalError, match="token 122 was chosen as number 1"):
        mask.accept(ord("z"))


def test_a_forced_token_that_leaves_the_grammar_ends_the_answer(compiler: GrammarCompiler) -> None:
    mask = compiled(compiler, "regex", "ab").start()
    with pytest.raises(InvalidRequest, match="byte 'z' fails parse"):
        mask.accept(ord("z"))


def test_a_grammar_that_outgrows_its_limits_fails_alone_and_is_built_anew(
    compiler: GrammarCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Right recursion: the parser's rows grow with every letter.
    lark = 'start: "c" start | "c"'
    monkeypatch.setattr("myna.engine.grammar.MAX_DEBT_S", 60.0)
    grammar = compiled(compiler, "lark", lark)
    mask = grammar.start()
    with pytest.raises(InvalidRequest, match=r"beyond token \d+ .*max is 2000") as caught:
        follow(mask, encode("c" * 3000))
    assert caught.value.param == "response_format"
    again = compiled(compiler, "lark", lark)
    assert again is not grammar
    assert accepts(again.start(), encode("c"))


def test_a_grammar_that_stays_slow_is_given_up(compiler: GrammarCompiler) -> None:
    mask = compiled(compiler, "lark", 'start: s\ns: s s s | s s | "c" | "d" | ').start()
    started_s = time.thread_time()
    with pytest.raises(InvalidRequest, match="its masks take longer than 10 ms each"):
        accepts(mask, encode("cd" * 400))
    assert time.thread_time() - started_s < 10


def test_a_refused_grammar_names_the_fault_and_the_field(compiler: GrammarCompiler) -> None:
    with pytest.raises(InvalidRequest) as caught:
        schema_grammar(compiler, {"type": "sound"})
    assert caught.value.message == "response_format cannot be enforced: Invalid type: sound"
    assert caught.value.param == "response_format"
    with pytest.raises(InvalidRequest, match='Unimplemented keys: \\["uniqueItems"\\]'):
        schema_grammar(compiler, {"type": "array", "uniqueItems": True})


def test_a_grammar_that_only_the_engine_refuses_is_refused(
    compiler: GrammarCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler._prover, "prove", lambda _: type("Fine", (), {"error": None}))
    with pytest.raises(InvalidRequest, match="Invalid type: colour"):
        schema_grammar(compiler, {"type": "colour"})


def test_a_proved_grammar_is_kept_until_memory_is_short() -> None:
    compiler = GrammarCompiler(TOKENS, eos_ids=[END], max_cache_bytes=3 * MIN_CHARGE_BYTES)
    first = compiled(compiler, "regex", "a")
    assert compiled(compiler, "regex", "a") is first
    for letter in "bcd":
        compiled(compiler, "regex", letter)
    assert compiled(compiler, "regex", "a") is not first
    assert 0 < compiler._cache_bytes <= compiler._max_cache_bytes
    compiler.close()
    assert compiler._cache_bytes == 0


class TestThinking:
    """A reasoning block is free, but must end."""

    def test_a_block_that_the_prompt_opened_is_free_until_its_end(
        self, compiler: GrammarCompiler
    ) -> None:
        mask = compiled(compiler, "regex", "ab").start(thinking=Thinking(end_id=THINK_END))
        assert accepts(mask, encode('anything { at "all'))
        assert not mask.is_finished
        assert allowed(mask) == set(TOKENS) - {b"<|endoftext|>", b"<|im_end|>", b""}
        assert accepts(mask, [THINK_END])
        assert allowed(mask) == {b"a", b"\n", b"\n\n"}
        assert accepts(mask, encode("ab"))
        assert mask.is_finished

    def test_one_line_break_may_follow_the_block(self, compiler: GrammarCompiler) -> None:
        mask = compiled(compiler, "regex", "ab").start(thinking=Thinking(end_id=THINK_END))
        assert accepts(mask, [THINK_END, TOKENS.index(b"\n\n")])
        assert allowed(mask) == {b"a"}
        assert accepts(mask, encode("ab"))

    def test_a_line_break_that_the_grammar_wants_is_the_grammars(
        self, compiler: GrammarCompiler
    ) -> None:
        mask = compiled(compiler, "regex", "\n\na").start(thinking=Thinking(end_id=THINK_END))
        assert accepts(mask, [THINK_END, TOKENS.index(b"\n\n")])
        assert allowed(mask) == {b"a"}

    def test_a_block_may_be_opened_by_the_first_token_only(self, compiler: GrammarCompiler) -> None:
        grammar = compiled(compiler, "regex", "ab")
        thinking = Thinking(end_id=THINK_END, start_id=THINK)
        straight, thoughtful = grammar.start(thinking=thinking), grammar.start(thinking=thinking)
        assert allowed(straight) == {b"a", b"<think>"}
        assert accepts(straight, encode("a"))
        assert allowed(straight) == {b"b"}
        assert accepts(thoughtful, [THINK, *encode("hm"), THINK_END, *encode("ab")])
        assert thoughtful.is_finished

    def test_a_block_may_end_in_plain_text(self, compiler: GrammarCompiler) -> None:
        for text in ("so be it </think>ab", "</think>\n\nab", "a</thin</think>\nab"):
            mask = compiled(compiler, "regex", "ab", after_text="</think>").start()
            assert accepts(mask, encode(text))
            assert mask.is_finished
            assert not accepts(compiled(compiler, "regex", "b").start(), encode(text))

    def test_json_after_thinking_is_valid(self, compiler: GrammarCompiler) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
        mask = schema_grammar(compiler, schema).start(thinking=Thinking(end_id=THINK_END))
        assert accepts(mask, [*encode("{hmm"), THINK_END])
        Draft202012Validator(schema).validate(json.loads(write(mask, seed=1)))


WEATHER = Tool(
    name="get_weather",
    parameters=json.dumps(
        {
            "properties": {"city": {"$ref": "#/$defs/city"}, "days": {"type": "integer"}},
            "required": ["city"],
            "$defs": {"city": {"type": "string", "maxLength": 12}},
        }
    ),
)
CLOCK = Tool(name='größe "now"')


class TestToolCalls:
    """An answer that must call tools is one or more well-formed calls."""

    @pytest.mark.parametrize("marks", [(CALL, CALL_END), ("<tool_call>", "</tool_call>")])
    def test_required_calls_are_valid(
        self, compiler: GrammarCompiler, marks: tuple[int | str, int | str]
    ) -> None:
        opener, closer = marks
        source = tool_call_source(
            (WEATHER, CLOCK), tool_choice="required", opener=opener, closer=closer
        )
        grammar, names = compiler.compile(source), set()
        schemas = {WEATHER.name: json.loads(WEATHER.parameters), CLOCK.name: {"type": "object"}}
        for seed in range(20):
            text = write(grammar.start(), seed=seed).decode()
            calls = re.findall(r"<tool_call>\n(.*?)\n</tool_call>", text, re.DOTALL)
            assert text == "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in calls)
            for call in map(json.loads, calls):
                assert list(call) == ["name", "arguments"]
                Draft202012Validator(schemas[call["name"]]).validate(call["arguments"])
                names.add(call["name"])
        assert names == {WEATHER.name, CLOCK.name}

    def test_a_named_tool_is_called_once_if_calls_are_not_parallel(
        self, compiler: GrammarCompiler
    ) -> None:
        source = tool_call_source(
            (WEATHER, CLOCK),
            tool_choice=CLOCK.name,
            parallel=False,
            opener=CALL,
            closer=CALL_END,
        )
        mask = compiler.compile(source).start()
        head = f'\n{{"name": {json.dumps(CLOCK.name, ensure_ascii=False)}, "arguments": '
        assert accepts(mask, [CALL, *encode(head + "{}}\n"), CALL_END])
        assert mask.is_finished

    def test_a_call_may_follow_a_reasoning_block_in_plain_text(
        self, compiler: GrammarCompiler
    ) -> None:
        source = tool_call_source(
            [Tool(name="f")],
            tool_choice="f",
            opener=CALL,
            closer=CALL_END,
            after_text="</think>",
        )
        mask = compiler.compile(source).start()
        text = '\n{"name": "f", "arguments": {}}\n'
        assert accepts(mask, [*encode("I call.</think>\n\n"), CALL, *encode(text), CALL_END])

    def test_a_tools_bad_schema_is_a_fault_of_the_tools(self, compiler: GrammarCompiler) -> None:
        tool = Tool(name="get", parameters='{"properties": {"a": {"pattern": "("}}}')
        with pytest.raises(InvalidRequest, match="tools cannot be enforced") as caught:
            compiler.compile(tool_call_source([tool], tool_choice="get"))
        assert caught.value.param == "tools"
