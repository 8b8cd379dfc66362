"""The Jinja environment for chat templates, which are code of strangers.

A template sees data only: no attributes of Python objects, no files, no imports. A thread cannot be
killed, so what a template can do is bounded: the loops and calls it makes, its time, and the length
of the texts it makes. These are guards against accidents and simple bombs; a template written to
exhaust memory through lists of lists may still do so, and templates come from the model's files
only, never from clients.
Source: transformers 5.x `utils/chat_template_utils.py` `_compile_jinja_template`.
Differs: the bounds, fewer filters, no recursive loops; `raise_exception` raises what the caller
of the service sees.
"""

from __future__ import annotations

import datetime
import itertools
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sized
from types import BuiltinMethodType

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import do_indent, do_join, do_replace
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from myna.core.errors import InvalidRequest

MAX_STEPS = 200_000
MAX_RENDER_S = 10.0
MAX_CHARS = 2**24
MAX_INTEGER_BITS = 256

# No template can name a variable like this one.
_BUDGET = "what is left to do"
_WIDE = re.compile(r"\d{4}|\*")
_REFUSED_METHODS = frozenset({"format_map", "translate"})
_REFUSED_FILTERS = frozenset(
    ["attr", "batch", "center", "format", "pprint", "random", "slice", "urlize", "wordwrap"]
)


class _Budget:
    """Count what one rendering does."""

    def __init__(self) -> None:
        self._num_steps = 0
        self._end_s = time.monotonic() + MAX_RENDER_S

    def spend(self, num_steps: int) -> None:
        """Take steps, refusing those that are too many or too late."""
        self._num_steps += num_steps
        if self._num_steps > MAX_STEPS:
            raise _too_much(f"more than {MAX_STEPS} loops and calls")
        if time.monotonic() > self._end_s:
            raise _too_much(f"more than {MAX_RENDER_S:g} s")


class _GenerationTag(Extension):
    """Let `{% generation %}` pass, by which templates show trainers the model's own words."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> nodes.Node:
        """Keep what is between the tags."""
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=lineno)


class _Namespace(jinja2.utils.Namespace):
    """Refuse names that reach into Python, which Jinja's own namespace takes."""

    def __init__(self, **values: object) -> None:
        super().__init__()
        for name, value in values.items():
            self[name] = value

    def __setitem__(self, name: str, value: object) -> None:
        if name.startswith("_"):
            raise SecurityError(f"a namespace cannot hold {name!r}: names may not begin with '_'")
        super().__setitem__(name, value)


def _make_dict(*args: Iterable[tuple[str, object]], **values: object) -> dict[str, object]:
    """Stand for the type `dict`, which is more than templates need."""
    return dict(*args, **values)


class Sandbox(ImmutableSandboxedEnvironment):
    """Compile and render templates within bounds."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _GenerationTag]
        )
        for name in _REFUSED_FILTERS:
            del self.filters[name]
        self.filters |= {"tojson": _to_json, "join": _join, "replace": _replace, "indent": _indent}
        self.filters |= {"counted": _counted, "concatenated": _concatenated}
        self.globals = {"range": self.globals["range"], "dict": _make_dict, "namespace": _Namespace}
        self.globals |= {"raise_exception": _raise_exception, "strftime_now": _strftime_now}

    def compile_bounded(self, tree: nodes.Template) -> jinja2.Template:
        """Compile a parsed template, its loops and concatenations counted.

        Args:
            tree: the parsed template, which is changed.
        """
        return self.from_string(_Bounding().visit(tree))

    def render(self, template: jinja2.Template, variables: Mapping[str, object]) -> str:
        """Render a template of `compile_bounded`."""
        pieces: list[str] = []
        num_chars = 0
        for piece in template.generate({**variables, _BUDGET: _Budget()}):
            num_chars += len(piece)
            _check_length(num_chars)
            pieces.append(piece)
        return "".join(pieces)

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Refuse methods that make much out of little."""
        return attr not in _REFUSED_METHODS and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: object) -> Callable[..., str] | None:
        """Let a text's `format` be used, unless it asks for a great width."""
        wrapped = super().wrap_str_format(value)
        text = getattr(value, "__self__", None)
        if wrapped is not None and isinstance(text, str) and _WIDE.search(text):
            raise _too_much(f"the format {text[:40]!r}")
        return wrapped

    def call(
        self, context: Context, function: Callable[..., object], *args: object, **kwargs: object
    ) -> object:
        """Call a function, a macro or a method, if its result cannot be huge."""
        _budget(context).spend(1)
        for argument in (*args, *kwargs.values()):
            if isinstance(argument, int) and abs(argument) > MAX_CHARS:
                raise _too_much(f"a call with the number {argument!s:.20}")
        text = getattr(function, "__self__", None)
        if isinstance(function, BuiltinMethodType) and isinstance(text, str):
            _check_method(text, function.__name__, args)
        return super().call(context, function, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Add, multiply, raise or format, if the result cannot be huge."""
        _budget(context).spend(1)
        if operator == "+" and isinstance(left, Sized) and isinstance(right, Sized):
            _check_length(len(left) + len(right))
        elif operator == "*":
            for value, count in ((left, right), (right, left)):
                if isinstance(value, Sized) and isinstance(count, int):
                    _check_length(len(value) * count)
        elif operator == "%" and isinstance(left, str) and _WIDE.search(left):
            raise _too_much(f"the format {left[:40]!r}")
        if operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
            num_bits = left.bit_length() * right if operator == "**" else left.bit_length()
            if num_bits > MAX_INTEGER_BITS:
                raise _too_much("a number too large")
        return super().call_binop(context, operator, left, right)


class _Bounding(NodeTransformer):
    """Send what loops go through, and what `~` joins, past the budget."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        """Count a loop's steps before it begins."""
        if node.recursive:
            raise jinja2.TemplateSyntaxError("recursive loops are not supported", node.lineno)
        self.generic_visit(node)
        node.iter = _filter(node.iter, "counted")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        """Join by a filter that looks at the lengths first."""
        self.generic_visit(node)
        return _filter(
            nodes.List(node.nodes, lineno=node.lineno, environment=node.environment), "concatenated"
        )


def _filter(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(
        node, name, [], [], None, None, lineno=node.lineno, environment=node.environment
    )


def _budget(context: Context) -> _Budget:
    budget = context.get(_BUDGET)
    assert isinstance(budget, _Budget), "templates are rendered through `Sandbox.render` only"
    return budget


@jinja2.pass_context
def _counted(context: Context, iterable: Iterable[object]) -> Iterable[object]:
    """Spend a step for every element; a generator is read to know how many it has."""
    if not isinstance(iterable, Sized):
        iterable = list(itertools.islice(iterable, MAX_STEPS + 1))
    _budget(context).spend(len(iterable))
    return iterable


def _concatenated(values: Iterable[object]) -> str:
    texts = [str(value) for value in values]
    _check_length(sum(map(len, texts)))
    return "".join(texts)


@jinja2.pass_eval_context
def _join(
    context: nodes.EvalContext,
    values: Iterable[object],
    d: str = "",
    attribute: str | int | None = None,
) -> str:
    values = list(values)
    _check_length(sum(len(v) if isinstance(v, str) else 0 for v in values) + len(d) * len(values))
    return str(do_join(context, values, d, attribute))


@jinja2.pass_eval_context
def _replace(
    context: nodes.EvalContext, text: str, old: str, new: str, count: int | None = None
) -> str:
    text = str(text)
    _check_method(text, "replace", (old, new))
    return str(do_replace(context, text, old, new, count))


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    num_chars = width if isinstance(width, int) else len(width)
    _check_length(num_chars * (text.count("\n") + 1))
    return str(do_indent(text, width, first, blank))


def _check_method(text: str, name: str, args: tuple[object, ...]) -> None:
    """Refuse a method of a text whose result would be too long."""
    if name == "join" and args and isinstance(args[0], list | tuple):
        parts = [len(part) for part in args[0] if isinstance(part, str)]
        _check_length(sum(parts) + len(text) * len(parts))
    if name == "replace" and len(args) > 1:
        old, new = str(args[0]), str(args[1])
        _check_length(len(text) + text.count(old) * len(new))


def _check_length(num_chars: int) -> None:
    if num_chars > MAX_CHARS:
        raise _too_much(f"more than {MAX_CHARS} characters")


def _too_much(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"The model's chat template makes too much of this conversation: {what}; "
        "send a shorter one.",
        param="messages",
    )


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Write JSON as models saw it in training: no HTML escapes, other scripts kept."""
    _check_length((indent or 0) * 2**16)
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: str) -> None:
    raise InvalidRequest(f"The model's chat template refuses this: {message}", param="messages")


def _strftime_now(form: str) -> str:
    """Write the time now; digits would be widths."""
    if any(character.isdigit() for character in form):
        raise _too_much(f"the format {form[:40]!r}")
    return datetime.datetime.now().strftime(form)
