"""Hostile schemas, regexes, grammars and tools by the hundred, each with a name.

The corpus is made from a seed. A case is what a request would carry: a constraint, or tools of
which one must be called.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from myna.core.messages import Tool
from myna.core.requests import Constraint

VALID = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}

Case = Constraint | tuple[Tool, ...]


def schema(source: object) -> Case:
    text = source if isinstance(source, str) else json.dumps(source)
    return Constraint(kind="json_schema", source=text)


def regex(source: str) -> Case:
    return Constraint(kind="regex", source=source)


def lark(source: str) -> Case:
    return Constraint(kind="lark", source=source)


def tools(offered: list[Tool]) -> Case:
    return tuple(offered)


def pattern(source: str) -> Case:
    return schema({"type": "string", "pattern": source})


def chain(link: Callable[[int], object], length: int, end: object) -> dict[str, Any]:
    """Define a0 by a1, a1 by a2 and so on, and refer to a0."""
    definitions = {f"a{idx}": link(idx) for idx in range(length)}
    return {"$ref": "#/$defs/a0", "$defs": {**definitions, f"a{length}": end}}


def ref(idx: int) -> dict[str, str]:
    return {"$ref": f"#/$defs/a{idx}"}


def doubling(length: int, *, upper: bool) -> str:
    name = "A" if upper else "a"
    rules = "".join(f"{name}{i}: {name}{i + 1} {name}{i + 1}\n" for i in range(length))
    return f'start: {name}0\n{rules}{name}{length}: "c" | "d"'


def references() -> Iterator[tuple[str, Case]]:
    """Yield references that leave the schema, lead nowhere or never end."""
    for target in (
        *("http://127.0.0.1/s", "https://example.com/s#/a", "file:///etc/passwd", "other.json"),
        *("//host/a", "urn:x:y", "\\\\host\\a", "http://[::1]/", "data:,{}", "gopher://x", " #/a"),
    ):
        yield f"remote {target}", schema({"properties": {"a": {"$ref": target}}})
    yield "missing", schema({"$ref": "#/$defs/none"})
    yield "odd pointer", schema({"$ref": "#/~2/%zz"})
    yield "anchor", schema({"$ref": "#nowhere"})
    yield "number", schema({"$ref": 5})
    yield "remote metaschema", schema({"$schema": "http://127.0.0.1/meta", "type": "null"})
    yield "remote id", schema({"$id": "http://127.0.0.1/a", "$ref": "b"})
    yield "dynamic", schema({"$dynamicRef": "#a"})
    yield "itself", schema({"$ref": "#"})
    yield "itself twice", schema({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]})
    yield "all of itself", schema(chain(lambda _: {"allOf": [ref(0), ref(0)]}, 1, {}))
    yield "pair", schema({"$ref": "#/$defs/a", "$defs": {"a": ref(0), "a0": {"$ref": "#/$defs/a"}}})
    yield "endless array", schema({"type": "array", "items": {"$ref": "#"}, "minItems": 1})
    for kind in ("allOf", "anyOf", "oneOf"):
        doubled = chain(lambda i, kind=kind: {kind: [ref(i + 1), ref(i + 1)]}, 30, {"type": "null"})
        yield f"{kind} doubled", schema(doubled)
    pair = chain(lambda i: {"properties": {"x": ref(i + 1), "y": ref(i + 1)}}, 200, {})
    yield "tree", schema(pair)
    required = chain(lambda i: {**VALID, "properties": {"a": ref(i + 1)}}, 500, {"type": "null"})
    yield "long chain", schema(required)


def depths() -> Iterator[tuple[str, Case]]:
    """Yield what is nested beyond reason."""
    for depth in (33, 100, 1000, 10_000, 30_000):
        yield f"items {depth}", schema('{"items":' * depth + "true" + "}" * depth)
        yield f"arrays {depth}", schema("[" * depth + "]" * depth)
        yield f"unclosed {depth}", schema('{"anyOf":[' * depth)
        yield f"parentheses {depth}", pattern("(" * depth + ")" * depth)
        yield f"regex parentheses {depth}", regex("(" * depth + "a" + ")" * depth)
        yield f"lark parentheses {depth}", lark("start: " + "(" * depth + '"a"' + ")" * depth)
    yield "unclosed parentheses", regex("(" * 16_000)
    yield "nested stars", regex("(" * 200 + "a" + "*)" * 200)
    yield "lark options", lark("start: " + "[" * 500 + '"a"' + "]" * 500)


def sizes() -> Iterator[tuple[str, Case]]:
    """Yield lists, counts and texts that are too long, or nearly."""
    for num_values in (4096, 5000, 100_000, 1_000_000):
        yield f"enum {num_values}", schema({"enum": list(range(num_values))})
    yield "enum of long texts", schema({"enum": ["ab" * 15_000, "ab" * 15_000 + "c"]})
    yield "const", schema({"const": "x" * 60_000})
    for count in (2**20, 10**9, 2**63, 10**30):
        yield f"min items {count}", schema({"type": "array", "minItems": count})
        yield f"min length {count}", schema({"type": "string", "minLength": count})
        yield f"max items {count}", schema({"type": "array", "maxItems": count})
        yield f"max length {count}", schema({"type": "string", "maxLength": count})
    grid: dict[str, Any] = {"type": "object"}
    for _ in range(4):
        grid = {"type": "array", "minItems": 1000, "maxItems": 1000, "items": grid}
    yield "hypercube", schema(grid)
    names = [f"p{idx}" for idx in range(2000)]
    many = {name: {"type": "integer"} for name in names}
    yield "optional properties", schema({"properties": many, "additionalProperties": False})
    yield "required properties", schema({"properties": many, "required": names[:1000]})
    wide = [{"properties": {f"a{i}_{j}": {}}} for i in range(20) for j in range(20)]
    yield "wide union", schema({"anyOf": wide})
    product = [{"anyOf": wide[20 * row : 20 * row + 20]} for row in range(8)]
    yield "product of unions", schema({"allOf": product})
    yield "too many bytes", schema({"title": "x" * 70_000})


def expressions() -> Iterator[tuple[str, Case]]:
    """Yield expressions that take backtracking engines, or automata, to their knees."""
    for source in (
        *("(a+)+$", "^(a|aa)+$", "(a*)*b", "(.*)*x", "(a|a?)+", "(x+x+)+y", "^(([a-z])+.)+[A-Z]$"),
        *("(a|b)*a(a|b){20}", "[ab]*a[ab]{200}", ".*a.{200}b.{200}c.{200}", "(a{1,1000}){1,1000}"),
        *("((a{1,99}){1,99}){1,99}", "(.{0,300}z){0,300}", r"(\p{L}|\p{N}){0,999}(\p{L}\w){300}"),
        *("a{1000000000}", "a{5,2}", "(?=a)b", r"(a)\1", r"\bfoo", "(?P<n>a)(?P<n>b)", "[z-a]"),
        *("(", ")", "*", r"\ud800", r"\x{110000}", "[[:nope:]]", "(?i)(?-u)\\xff", "\\"),
    ):
        yield f"pattern {source}", pattern(source)
        yield f"regex {source}", regex(source)
    yield "alternatives", regex("|".join(f"w{idx}x" for idx in range(2500)))
    every = {"allOf": [{"type": "string", "pattern": f".*{char}.{{50}}"} for char in "abcdefghij"]}
    yield "all patterns", schema(every)
    keys = {f"^.*{idx}.{{40}}$": {"type": "string"} for idx in range(30)}
    yield "pattern properties", schema({"patternProperties": keys})
    primes = [{"type": "integer", "multipleOf": prime} for prime in (7919, 7927, 7933, 7937)]
    yield "multiples", schema({"allOf": primes})
    yield "tiny multiple", schema({"type": "number", "multipleOf": 1e-300})
    yield "range", schema({"type": "number", "minimum": 1e-300, "maximum": 1e300})


def wrong_types() -> Iterator[tuple[str, Case]]:
    """Yield keywords with values of wrong types, and documents that are no schema."""
    for keyword in ("type", "properties", "items", "enum", "required", "minLength", "pattern"):
        for value in (123, "sound", [[]]):
            yield f"{keyword} {value}", schema({keyword: value})
    for document in (
        "",
        "nul",
        "[]",
        "123",
        '"x"',
        "\x00",
        "{",
        '{"a":1}x',
        '{"enum":["\\ud800"]}',
    ):
        yield f"document {document!r}", schema(document)
    yield "options", schema({"x-guidance": {"whitespace_pattern": "((a+)+)+"}, "type": "array"})


def grammars() -> Iterator[tuple[str, Case]]:
    """Yield grammars that are ambiguous, endless, enormous or none at all."""
    for source in (
        *("", "start:", 'start: "a', "start: start", "start: missing", 'stop: "a"', "%%%", "\x00"),
        *('start: start start | "a" | ', 'start: s s s s\ns: s s s | "a" | ', "start: a\na: a | a"),
        *('start: x{100000}\nx: "a"', 'start: ("a"{1,1000}){1,1000}', "start: /a/ | <[999999]>"),
        *("start: @other", '%llguidance {"x": 1}\nstart: "a"', 'start: %json {"type": "sound"}'),
        *("start: <no_such_token>", "%import common.WORD\nstart: WORD", 'start[lazy]: "a" "b"'),
    ):
        yield f"lark {source!r}", lark(source)
    yield "doubled rules", lark(doubling(40, upper=False))
    yield "doubled terminals", lark(doubling(40, upper=True))
    rules = "".join(f'r{idx}: "a" r{idx + 1} | "b" r{idx + 1}\n' for idx in range(2000))
    yield "many rules", lark(f'start: r0\n{rules}r2000: "c"')


def tool_lists() -> Iterator[tuple[str, Case]]:
    """Yield tools that are too many, too large, or described wrongly."""
    yield "1000 tools", tools([Tool(name=f"t{idx}") for idx in range(1000)])
    yield "128 tools", tools([Tool(name=f"t{idx}") for idx in range(128)])
    large = json.dumps({"description": "x" * 50_000})
    yield "large tools", tools([Tool(name=f"t{idx}", parameters=large) for idx in range(20)])
    for parameters in ("[]", "{", '{"type": "string"}', '{"properties": {"a": {"type": "sound"}}}'):
        yield f"tool {parameters}", tools([Tool(name="t", parameters=parameters)])
    bad = '{"properties": {"a": {"pattern": "((a{1,999}){1,999}){1,999}"}}}'
    yield "tool pattern", tools([Tool(name="t", parameters=bad)])
    yield "tool name", tools([Tool(name='"\n\x00</tool_call>\ud800')])


def corpus() -> list[tuple[str, Case]]:
    """Give all cases, in an order drawn from a seed."""
    groups = (references, depths, sizes, expressions, wrong_types, grammars, tool_lists)
    cases = [(f"{group.__name__}: {name[:60]}", case) for group in groups for name, case in group()]
    random.Random(7).shuffle(cases)
    return cases
