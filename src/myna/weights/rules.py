"""Rules: a short table that says what becomes of each tensor of a checkpoint.

Not here: reading and placing the values (plan, load), and the tables themselves (each family's `weights.py`).

Each name is taken through the table from top to bottom; a rule sees the name as the rules above left it.

- `Rename` gives it another name. `Fold` does so too, and changes the value by a function.
- `Fuse` and `Stack` place it: as some rows, or as one expert's rows, of a larger parameter. `Ignore` drops it.
  These three end the walk.
- A name that reaches the end of the table is a parameter's own.

Patterns match whole names. `*` stands for any text and `{word}` for a whole number; both may be used again in `into`,
stars in their order, numbers by their word.
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

    The function takes a plain or packed tensor and must not look at values: layouts are checked with tensors that have
    none.
    """

    pattern: str
    function: Function
    into: str


@dataclass(frozen=True)
class Fuse:
    """Set the rows of several tensors one above the other, in the order of `parts`.

    With `Fuse("layers.{i}.self_attn", ("q_proj", "k_proj"), into="qk_proj")` the tensors
    `layers.0.self_attn.q_proj.weight` and `….k_proj.weight` become `layers.0.self_attn.qk_proj.weight`; so do their
    biases, and tensors named without a suffix. Rows are the last axis but one; of vectors, the only one.
    """

    pattern: str
    parts: tuple[str, ...]
    into: str


@dataclass(frozen=True)
class Stack:
    """Stack the experts' matrices along a new first axis, each expert's `parts` fused as by `Fuse`.

    The pattern ends in the list of experts and the expert's number. With
    `Stack("layers.{i}.mlp.experts.{e}", ("gate_proj", "up_proj"), into="experts.gate_up_proj")` the tensors
    `layers.0.mlp.experts.7.gate_proj.weight` and `….up_proj.weight` become `layers.0.mlp.experts.gate_up_proj[7]`:
    `into` is relative to the module that holds the list.
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
        parts: names of what is fused into the parameter (of each expert, if there are any); empty if nothing is.
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
            case Rename(pattern, into):
                name = _renamed(name, pattern, into) or name
            case Fold(pattern, function, into):
                renamed = _renamed(name, pattern, into)
                if renamed is not None:
                    name, functions = renamed, (*functions, function)
            case Ignore(pattern):
                if _regex(pattern).fullmatch(name):
                    return rule
            case Fuse(pattern, parts, into):
                found = _regex(pattern, parts).fullmatch(name)
                if found:
                    target = f"{found['module']}.{into}{found['suffix']}"
                    return Place(target, functions, parts.index(found["part"]), parts)
            case Stack(pattern, parts, into):
                found = _regex(pattern, parts).fullmatch(name)
                if found:
                    holder, _, expert = found["module"].rsplit(".", 2)
                    part = parts.index(found["part"])
                    return Place(f"{holder}.{into}", functions, part, parts, int(expert))
    return Place(name, functions)


def _renamed(name: str, pattern: str, into: str) -> str | None:
    """Give the new name, or None where the pattern does not match."""
    found = _regex(pattern).fullmatch(name)
    if found is None:
        return None
    stars = iter(value for key, value in found.groupdict().items() if key.startswith("star"))
    return re.sub(r"\*|\{(\w+)\}", lambda mark: found[mark[1]] if mark[1] else next(stars), into)


@lru_cache(maxsize=4096)
def _regex(pattern: str, parts: tuple[str, ...] = ()) -> re.Pattern[str]:
    """Compile a pattern; with `parts`, one that names a module and is followed by a part and a suffix."""
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
