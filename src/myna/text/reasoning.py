"""Split what a reasoning model writes into its reasoning and its answer.

The block is `<think>` … `</think>`, at the beginning of the answer. Some templates open it in the
prompt, so that only its end is written; a model that repeats the opening is understood too.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

import msgspec

from myna.core.messages import Message, TextPart
from myna.text.chat_template import THINK_CLOSE, THINK_OPEN
from myna.text.markers import MarkerScanner


class Span(NamedTuple):
    """Hold a piece of text, and say which side it belongs to."""

    text: str
    is_reasoning: bool


class _State(Enum):
    START = auto()
    REASONING = auto()
    ANSWER = auto()


class ReasoningSplitter:
    """Split a stream of text.

    Newlines next to the two tags belong to the tags. Without a closing tag all is reasoning.

    Args:
        is_open: whether the prompt ended inside the block.
        is_begun: whether the block has begun to be filled there; nothing at its edge is dropped.
    """

    def __init__(self, *, is_open: bool, is_begun: bool = False) -> None:
        self._is_open = is_open
        self._state = _State.REASONING if is_begun else _State.START
        self._closer = MarkerScanner([THINK_CLOSE])
        # At the start: blanks, then what may be an opening tag.
        self._blanks: list[str] = []
        self._num_blanks = 0
        self._head = ""
        # Inside: newlines that the closing tag would swallow.
        self._num_newlines = 0
        self._is_at_edge = not is_begun

    @property
    def is_reasoning(self) -> bool:
        """Tell whether the text after this point is reasoning, as far as is known."""
        return self._state is _State.REASONING or (self._state is _State.START and self._is_open)

    @property
    def num_held(self) -> int:
        """Count the characters held back."""
        return self._num_blanks + len(self._head) + self._closer.num_held + self._num_newlines

    def feed(self, text: str) -> list[Span]:
        """Take more text; return what can be told apart."""
        if not text:
            return []
        if self._state is _State.START:
            text = self._start(text)
        spans: list[Span] = []
        if self._state is _State.REASONING and text:
            scan = self._closer.scan(text)
            spans += self._reason(scan.text)
            text = text[scan.next_start :]
            if scan.marker is not None:
                self._num_newlines = 0
                self._is_at_edge = True
                self._state = _State.ANSWER
        if self._state is _State.ANSWER and text:
            spans += self._answer(text)
        return spans

    def finish(self) -> list[Span]:
        """End the text; return what was held back."""
        if self._state is _State.START:
            text = self._take_start()
            return [Span(text, self._is_open)] if text else []
        text = self._closer.flush()
        text, self._num_newlines = "\n" * self._num_newlines + text, 0
        return [Span(text, is_reasoning=True)] if text else []

    def _start(self, text: str) -> str:
        """Look for an opening tag; return the text once its side is known."""
        if not self._head:
            rest = text.lstrip()
            self._blanks.append(text[: len(text) - len(rest)])
            self._num_blanks += len(self._blanks[-1])
            text = rest
        self._head += text
        head = self._head
        if head != THINK_OPEN and THINK_OPEN.startswith(head):
            return ""
        has_tag = head.startswith(THINK_OPEN)
        text = self._take_start()
        if has_tag:
            text = head[len(THINK_OPEN) :]
        self._is_at_edge = has_tag or self._is_open
        self._state = _State.REASONING if self._is_at_edge else _State.ANSWER
        return text

    def _take_start(self) -> str:
        """Give up what was held back at the start."""
        text = "".join(self._blanks) + self._head
        self._blanks, self._num_blanks, self._head = [], 0, ""
        return text

    def _reason(self, text: str) -> list[Span]:
        """Emit reasoning, but for the newlines at its edges."""
        if self._is_at_edge:
            text = text.lstrip("\n")
        body = text.rstrip("\n")
        if not body:
            self._num_newlines += len(text)
            return []
        self._is_at_edge = False
        before, self._num_newlines = self._num_newlines, len(text) - len(body)
        return [Span("\n" * before + body, is_reasoning=True)]

    def _answer(self, text: str) -> list[Span]:
        if self._is_at_edge:
            text = text.lstrip("\n")
        if not text:
            return []
        self._is_at_edge = False
        return [Span(text, is_reasoning=False)]


def split_reasoning(text: str, *, is_open: bool) -> tuple[str, str]:
    """Split a whole text into its reasoning and its answer."""
    splitter = ReasoningSplitter(is_open=is_open)
    spans = splitter.feed(text) + splitter.finish()
    return (
        "".join(span.text for span in spans if span.is_reasoning),
        "".join(span.text for span in spans if not span.is_reasoning),
    )


def breaks_off_in_thought(message: Message) -> bool:
    """Tell whether an unfinished message ends inside its reasoning block."""
    text = message.text
    if not text:
        return bool(message.reasoning)
    return text.rfind(THINK_OPEN) > text.rfind(THINK_CLOSE)


def drop_old_reasoning(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Take the reasoning out of the assistant's turns before the last user turn.

    Models are trained without it. Turns after the last user turn keep theirs: they are one train of
    thought, interrupted by tools.
    """
    last_user_idx = max((i for i, m in enumerate(messages) if m.role == "user"), default=0)
    return tuple(
        _without_reasoning(message)
        if message.role == "assistant" and position < last_user_idx
        else message
        for position, message in enumerate(messages)
    )


def _without_reasoning(message: Message) -> Message:
    """Keep what follows the last closing tag."""
    answer = message.text.rpartition(THINK_CLOSE)
    if not answer[1]:
        return msgspec.structs.replace(message, reasoning=None)
    content = (TextPart(answer[2].lstrip("\n")),)
    return msgspec.structs.replace(message, reasoning=None, content=content)
