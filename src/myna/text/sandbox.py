"""The Jinja environment for chat templates, which are code of strangers.

A template sees data only: no attributes of Python objects, no files, no imports. A thread cannot be
killed, so what a template can do is bounded instead: the steps of its loops and the length of what
it makes.
Source: transformers 5.x `utils/chat_template_utils.py` `_compile_jinja_template`.
Differs: the bounds; `raise_exception` raises an error that the caller of the service sees.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from myna.core.errors import InvalidRequest

MAX_OUTPUT_CHARS = 2**24


class Sandbox(ImmutableSandboxedEnvironment):
    """Compile and render templates within bounds."""

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        self.filters["tojson"] = _to_json
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = _strftime_now

    def render(self, template: jinja2.Template, variables: Mapping[str, object]) -> str:
        """Render a template, refusing an output above `MAX_OUTPUT_CHARS`."""
        pieces: list[str] = []
        num_chars = 0
        for piece in template.generate(variables):
            num_chars += len(piece)
            if num_chars > MAX_OUTPUT_CHARS:
                raise InvalidRequest(
                    f"The chat template's output passes {MAX_OUTPUT_CHARS} characters; "
                    "send a shorter conversation.",
                    param="messages",
                )
            pieces.append(piece)
        return "".join(pieces)


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Write JSON as models saw it in training: no HTML escapes, other scripts kept."""
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
    return datetime.datetime.now().strftime(form)
