"""Chat templates: a conversation to the prompt that its model was trained on.

Not here: which file a template comes from (`template_files`) and the tokens it becomes.
Source: transformers 5.x `utils/chat_template_utils.py`.
Differs: work and size are bounded (see `sandbox`); control tokens in what users wrote can be marked
so that they stay text (see `escaping`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

import jinja2
import msgspec
from jinja2 import nodes

from myna.core.errors import BadCheckpoint, InvalidRequest
from myna.core.messages import (
    AudioPart,
    ImagePart,
    Message,
    Part,
    TextPart,
    Tool,
    VideoPart,
)
from myna.text import sandbox

MAX_TEMPLATE_BYTES = 256 * 2**10

# What a template may find wrong with a conversation, or trip over.
_RENDER_ERRORS = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

# Templates cut earlier answers at these: they are left alone in what an assistant wrote.
THINK_OPEN, THINK_CLOSE = "<think>", "</think>"

# Marks where an unfinished message ends; the space tells whether a template cuts blanks off.
_END_MARK = "\ufdd1"
_END = f"{_END_MARK} "


class Escape(Protocol):
    """Mark control tokens in a text; `Tokenizer.escape_control_tokens` is one."""

    def __call__(self, text: str, *, keep: tuple[str, ...] = ()) -> str:
        """Return the text with control tokens marked, except those in `keep`."""
        ...


def _no_escape(text: str, *, keep: tuple[str, ...] = ()) -> str:
    del keep
    return text


class ChatTemplate:
    """Render conversations with one Jinja template. Safe to share between threads.

    Attributes:
        source: the template's text.
        wants_parts: whether it reads a message's content as a list of parts only.
    """

    def __init__(
        self, source: str, *, bos_token: str | None = None, eos_token: str | None = None
    ) -> None:
        if len(source.encode(errors="replace")) > MAX_TEMPLATE_BYTES:
            raise BadCheckpoint(
                f"The chat template has {len(source)} characters, and at most "
                f"{MAX_TEMPLATE_BYTES} bytes are compiled; is it the right file?"
            )
        self.source = source
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self._environment = sandbox.Sandbox()
        try:
            tree = self._environment.parse(source)
            self.wants_parts = _wants_parts(tree)
            self._has_null_content = _tests_content(tree, "none")
            self._template = self._environment.compile_bounded(tree)
        except (jinja2.TemplateError, RecursionError, ValueError) as error:
            raise BadCheckpoint(
                f"The chat template cannot be compiled: {error}; fetch the model's template again, "
                "or give another."
            ) from None

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Tool] = (),
        add_generation_prompt: bool = True,
        continues: bool = False,
        thinking: bool | None = None,
        escape: Escape = _no_escape,
    ) -> str:
        """Write the conversation as the model's prompt.

        Args:
            messages: the conversation.
            tools: the functions that the model may call.
            add_generation_prompt: end with the beginning of the model's own turn.
            continues: end where the last message's text ends, or its reasoning if that is all it
                has; nothing closes the turn or begins another.
            thinking: switch reasoning on or off where the template can.
            escape: what to do with texts of users before they are rendered.

        Raises:
            InvalidRequest: the template refuses the conversation.
        """
        variables: dict[str, object] = {
            name: token for name, token in self._tokens.items() if token is not None
        }
        # Templates ask whether these are none, not whether they are defined.
        variables["documents"] = None
        variables["tools"] = [_tool_form(tool, escape) for tool in tools] or None
        variables["add_generation_prompt"] = add_generation_prompt and not continues
        if thinking is not None:
            variables["enable_thinking"] = thinking
        if continues:
            messages = [*messages[:-1], self._with_open_thought(messages[-1])]

        def write(*, parses: bool) -> str:
            forms = [self._form(message, escape, parses=parses) for message in messages]
            if continues:
                _mark_end(forms[-1])
            return self._environment.render(self._template, variables | {"messages": forms})

        try:
            try:
                rendered = write(parses=True)
            except TypeError:
                # Some templates join a call's arguments to text; only those that have calls.
                if not any(message.tool_calls for message in messages):
                    raise
                rendered = write(parses=False)
        except _RENDER_ERRORS as error:
            raise InvalidRequest(
                f"The model's chat template cannot render this conversation: {error}.",
                param="messages",
            ) from None
        return _up_to_mark(rendered) if continues else rendered

    def _with_open_thought(self, message: Message) -> Message:
        """Write unfinished reasoning into the text where the template knows no other place."""
        if message.text or not message.reasoning or "reasoning_content" in self.source:
            return message
        content = (TextPart(f"{THINK_OPEN}\n{message.reasoning}"),)
        return msgspec.structs.replace(message, content=content, reasoning=None)

    def _form(self, message: Message, escape: Escape, *, parses: bool) -> dict[str, object]:
        """Write a message as templates expect it: the wire form of OpenAI's API."""
        keep = (THINK_OPEN, THINK_CLOSE) if message.role == "assistant" else ()
        text = escape(message.text, keep=keep)
        form: dict[str, object] = {"role": message.role, "content": text}
        if any(not isinstance(part, TextPart) for part in message.content):
            form["content"] = [_part_form(part, escape, keep) for part in message.content]
        elif self.wants_parts:
            form["content"] = [{"type": "text", "text": text}] if text else []
        if message.name is not None:
            form["name"] = escape(message.name)
        if message.reasoning is not None:
            form["reasoning_content"] = escape(message.reasoning)
        if message.tool_call_id is not None:
            form["tool_call_id"] = escape(message.tool_call_id)
        if message.tool_calls:
            form["tool_calls"] = [
                {
                    "id": escape(call.id),
                    "type": "function",
                    "function": {
                        "name": escape(call.name),
                        "arguments": _arguments(call.arguments, escape, parses=parses),
                    },
                }
                for call in message.tool_calls
            ]
            if not text and self._has_null_content:
                form["content"] = None
        return form


def _part_form(part: Part, escape: Escape, keep: tuple[str, ...]) -> dict[str, str]:
    """Write a part; of media only the kind, for which the template writes a placeholder."""
    match part:
        case TextPart(text=text):
            return {"type": "text", "text": escape(text, keep=keep)}
        case ImagePart():
            return {"type": "image"}
        case AudioPart():
            return {"type": "audio"}
        case VideoPart():
            return {"type": "video"}


def _mark_end(form: dict[str, object]) -> None:
    """Mark the end of a message's text, or of its reasoning if there is nothing else."""
    content, reasoning = form["content"], form.get("reasoning_content")
    if not content and reasoning:
        form["reasoning_content"] = f"{reasoning}{_END}"
    elif isinstance(content, list):
        texts = [part for part in content if part["type"] == "text"]
        if not texts:
            texts = [{"type": "text", "text": ""}]
            form["content"] = [*content, *texts]
        texts[-1]["text"] += _END
    else:
        form["content"] = f"{content}{_END}"


def _up_to_mark(rendered: str) -> str:
    """Cut a prompt at the mark; blanks before it go if the template would have cut them off."""
    head, mark, tail = rendered.rpartition(_END_MARK)
    if not mark:
        raise InvalidRequest(
            "The model's chat template leaves out the last message, so it cannot be continued; "
            "ask for an answer of its own instead (without `continue_final_message`).",
            param="continue_final_message",
        )
    return head if tail.startswith(_END.removeprefix(_END_MARK)) else head.rstrip()


def ends_in_thinking(prompt: str) -> bool:
    """Tell whether a rendered prompt opens the reasoning block, so that the answer begins in it."""
    return prompt.rstrip().endswith(THINK_OPEN)


def _tool_form(tool: Tool, escape: Escape) -> dict[str, object]:
    function: dict[str, object] = {"name": escape(tool.name)}
    if tool.description is not None:
        function["description"] = escape(tool.description)
    try:
        parameters = json.loads(tool.parameters)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"The parameters of tool {tool.name!r} are no JSON: {error}.", param="tools"
        ) from None
    function["parameters"] = _escape_all(parameters, escape)
    return {"type": "function", "function": function}


def _arguments(text: str, escape: Escape, *, parses: bool) -> object:
    """Give a call's arguments as an object where they are one, else as the text they are."""
    if parses:
        try:
            arguments = json.loads(text)
        except (ValueError, RecursionError):
            return escape(text)
        if isinstance(arguments, dict):
            return _escape_all(arguments, escape)
    return escape(text)


def _escape_all(value: object, escape: Escape) -> object:
    """Escape every text of a JSON value, keys too."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, list):
        return [_escape_all(member, escape) for member in value]
    if isinstance(value, dict):
        return {escape(key): _escape_all(member, escape) for key, member in value.items()}
    return value


def _is_content(node: nodes.Node) -> bool:
    """Recognise `message.content` and `message['content']`, also as a variable of that name."""
    if isinstance(node, nodes.Getattr):
        return node.attr == "content"
    if isinstance(node, nodes.Getitem):
        return isinstance(node.arg, nodes.Const) and node.arg.value == "content"
    return isinstance(node, nodes.Name) and node.name == "content"


def _tests_content(tree: nodes.Template, test: str) -> bool:
    return any(
        found.name == test and _is_content(found.node) for found in tree.find_all(nodes.Test)
    )


def _wants_parts(tree: nodes.Template) -> bool:
    """Tell whether a template walks through the parts of a content, and knows no plain text."""
    walks = any(_is_content(loop.iter) for loop in tree.find_all(nodes.For))
    return walks and not _tests_content(tree, "string")
