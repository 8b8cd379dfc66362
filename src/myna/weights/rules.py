"""Rules: a short table that says what becomes of each tensor of a checkpoint.

Not here: reading and placing the values (plan, load), and the tables themselves (each family's
`weights.py`).

Each name is taken through the table from top to bottom; a rule sees the name as the rules above
left it.

- `Rename` gives it another name. `Fold` does so too, and changes the value by a function.
- `Fuse` and `Stack` place it: as some rows, or as one expert's rows, of a larger parameter.
  `Ignore` drops it. These three end the walk.
- A name that reaches the end of the table is a parameter's own.

Patterns match whole names. `*` stands for any text and `{word}` for a whole number; both may be
used again in `into`, stars in their order, numbers by their word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from myna.kernels.packed import Weight

Function = Callable[[Weight], Weight]


@dataclass(frozen=True)
class Rename:
    """Give the tensors that match `pattern` the name `into`."""

    pattern: str
    into: str


@dataclass(frozen=True)
class Fold:
    """Pass the tensors that match `pattern` through `function`, and name the result `into`.

    The function takes a plain or packed tensor and must not look at values: layouts are checked
    with tensors that have none.
    """

    pattern: str
    function: Function
    into: str


@dataclass(frozen=True)
class Fuse:
    """Set the rows of several tensors one above the other, in the order of `parts`.

    With `Fuse("layers.{i}.self_attn", ("q_proj", "k_proj"), into="qk_proj")` the tensors
    `layers.0.self_attn.q_proj.weight` and `….k_proj.weight` become
    `layers.0.self_attn.qk_proj.weight`; so do their biases, and tensors named without a suffix.
    Rows are the last axis but one; of vectors, the only one.
    """

    pattern: str
    parts: tuple[str, ...]
    into: str


@dataclass(frozen=True)
class Stack:
    """Stack the experts' matrices along a new first axis, each expert's `parts` fused as by `Fuse`.

    The pattern ends in the list of experts and the expert's number. With
    `Stack("layers.{i}.mlp.experts.{e}", ("gate_proj", "up_proj"), into="experts.gate_up_proj")`
    the tensors `layers.0.mlp.experts.7.gate_proj.weight` and `….up_proj.weight` become
    `layers.0.mlp.experts.gate_up_proj[7]`: `into` is relative to the module that holds the list.
    """

    pattern: str
    parts: tuple[str, ...]
    into: str


@dataclass(frozen=True)
class Ignore:
    """Leave the tensors that match `pattern` out, for a reason to be told."""

    pattern: str
    reason: str


Rule = Rename | Fold | Fuse | Stack | Ignore


@dataclass(frozen=True)
class Place:
    """Say where a tensor goes.

    Attributes:
        name: the parameter.
        functions: what its value passes through on the way, in order.
        part: which of `parts` it is.
        parts: names of what is fused into the parameter (of each expert, if there are any); empty
            if nothing is.
        expert: which expert of a stack it belongs to.
    """

    name: str
    functions: tuple[Function, ...] = ()
    part: int = 0
    parts: tuple[str, ...] = ()
    expert: int | None = None


def place(name: str, rules: Sequence[Rule]) -> Place | Ignore:
    """Take one checkpoint name through the table."""
    functions: tuple[Function, ...] = ()
    for rule in rules:
        match rule:
            case Rename() | Fold():
                renamed = _renamed(name, rule.pattern, rule.into)
                if renamed is None:
                    continue
                name = renamed
                if isinstance(rule, Fold):
                    functions = (*functions, rule.function)
            case Fuse() | Stack():
                placed = _placed(name, rule, functions)
                if placed is not None:
                    return placed
            case Ignore():
                if _regex(rule.pattern).fullmatch(name):
                    return rule
    return Place(name, functions)


def _placed(name: str, rule: Fuse | Stack, functions: tuple[Function, ...]) -> Place | None:
    """Give the place in a larger parameter, or None where the pattern does not match."""
    found = _regex(rule.pattern, rule.parts).fullmatch(name)
    if found is None:
        return None
    part = rule.parts.index(found["part"])
    if isinstance(rule, Fuse):
        target = f"{found['module']}.{rule.into}{found['suffix']}"
        return Place(target, functions, part, rule.parts)
    *holder, _, expert = found["module"].split(".")
    return Place(".".join([*holder, rule.into]), functions, part, rule.parts, int(expert))


def _renamed(name: str, pattern: str, into: str) -> str | None:
    """Give the new name, or None where the pattern does not match."""
    found = _regex(pattern).fullmatch(name)
    if found is None:
        return None
    stars = iter(value for key, value in found.groupdict().items() if key.startswith("star"))
    return re.sub(r"\*|\{(\w+)\}", lambda mark: found[mark[1]] if mark[1] else next(stars), into)


@lru_cache(maxsize=4096)
def _regex(pattern: str, parts: tuple[str, ...] = ()) -> re.Pattern[str]:
    """Compile a pattern; with `parts`, one that is followed by a part and a suffix."""
    pieces = re.split(r"(\*|\{\w+\})", pattern)
    seen: set[str] = set()
    for position, piece in enumerate(pieces):
        word = piece[1:-1]
        if position % 2 == 0:
            pieces[position] = re.escape(piece)
        elif piece == "*":
            pieces[position] = f"(?P<star{position}>.*)"
        elif word in seen:
            pieces[position] = f"(?P={word})"
        else:
            seen.add(word)
            pieces[position] = f"(?P<{word}>0|[1-9][0-9]{{0,8}})"
    text = "".join(pieces)
    if parts:
        names = "|".join(map(re.escape, parts))
        text = rf"(?P<module>{text})\.(?P<part>{names})(?P<suffix>|\..*)"
    return re.compile(text)
