"""Find the tool calls in an answer: `<tool_call>` {"name": …, "arguments": {…}} `</tool_call>`.

The text may come in any pieces; the parser for whole texts is the same one. What looks like a call
and is none stays text. Nothing is ever evaluated.
Source: NousResearch's Hermes function calling, as Qwen's chat templates teach it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from myna.text.call_reader import CallReader, Status
from myna.text.markers import MarkerScanner

CALL_OPEN, CALL_CLOSE = "<tool_call>", "</tool_call>"

# What small models write too much of, between a call and its closing tag.
_SURPLUS = " \t\r\n}]"


class CallPiece(NamedTuple):
    """Add to call number `call_idx`: its first piece has the name, each some of the arguments."""

    call_idx: int
    name: str | None
    arguments: str


class _State(Enum):
    TEXT = auto()
    CALL = auto()
    AFTER_CALL = auto()


class ToolCallParser:
    """Part a stream of text into text and tool calls.

    Blanks next to a call are dropped.

    Attributes:
        num_calls: how many calls have begun.
    """

    def __init__(self) -> None:
        self.num_calls = 0
        self._state = _State.TEXT
        self._opener = MarkerScanner([CALL_OPEN])
        self._blanks: list[str] = []
        self._num_blanks = 0
        self._is_next_to_call = False
        self._reader = CallReader()
        self._raw: list[str] = []  # of a call that may still turn out to be text
        self._num_raw = 0
        self._is_named = False
        self._tail = ""  # of what may be the closing tag

    @property
    def num_held(self) -> int:
        """Count the characters held back."""
        return self._opener.num_held + self._num_blanks + self._num_raw + len(self._tail)

    def feed(self, text: str) -> list[str | CallPiece]:
        """Take more text; return what is certain."""
        pieces: list[str | CallPiece] = []
        position = 0
        while position < len(text):
            match self._state:
                case _State.TEXT:
                    scan = self._opener.scan(text, position)
                    pieces += self._emit(scan.text)
                    position = scan.next_start
                    if scan.marker is not None:
                        self._begin_call()
                case _State.CALL:
                    position = self._read_call(text, position, pieces)
                case _State.AFTER_CALL:
                    position = self._read_tail(text, position, pieces)
        return pieces

    def finish(self) -> list[str | CallPiece]:
        """End the text; return what was held back."""
        pieces: list[str | CallPiece] = []
        if self._state is _State.CALL:
            self._reader.finish()
            self._end_call(pieces)
        pieces += self._emit(self._opener.flush())
        if self._blanks and not self._is_next_to_call:
            pieces.append("".join(self._blanks))
        self._forget_blanks()
        self._tail = ""
        return pieces

    def _emit(self, text: str) -> list[str | CallPiece]:
        """Pass text on, but for blanks at its end, which a call may follow."""
        if self._is_next_to_call:
            text = text.lstrip()
        body = text.rstrip()
        if not body:
            self._hold_blanks(text)
            return []
        self._is_next_to_call = False
        emitted = "".join(self._blanks) + body
        self._forget_blanks()
        self._hold_blanks(text[len(body) :])
        return [emitted]

    def _hold_blanks(self, blanks: str) -> None:
        if blanks:
            self._blanks.append(blanks)
            self._num_blanks += len(blanks)

    def _forget_blanks(self) -> None:
        self._blanks, self._num_blanks = [], 0

    def _begin_call(self) -> None:
        self._state = _State.CALL
        self._reader = CallReader()
        self._raw, self._num_raw = [CALL_OPEN], len(CALL_OPEN)
        self._is_named = False

    def _read_call(self, text: str, start: int, pieces: list[str | CallPiece]) -> int:
        position = self._reader.feed(text, start)
        if not self._is_named:
            self._raw.append(text[start:position])
            self._num_raw += position - start
        if self._reader.status is Status.READING:
            self._pass_on(pieces)
        else:
            self._end_call(pieces)
        return position

    def _pass_on(self, pieces: list[str | CallPiece]) -> None:
        """Emit what is known of the call."""
        name = self._reader.name
        if name is None:
            return
        arguments = self._reader.take_arguments()
        if not self._is_named:
            self._is_named = True
            self._raw, self._num_raw = [], 0
            self._forget_blanks()
            pieces.append(CallPiece(self.num_calls, name, arguments))
            self.num_calls += 1
        elif arguments:
            pieces.append(CallPiece(self.num_calls - 1, None, arguments))

    def _end_call(self, pieces: list[str | CallPiece]) -> None:
        if self._reader.status is Status.DONE:
            self._pass_on(pieces)
            self._is_next_to_call = True
            self._state = _State.AFTER_CALL
            return
        raw = "".join(self._raw)
        self._raw, self._num_raw = [], 0
        self._state = _State.TEXT
        pieces += self._emit(raw)

    def _read_tail(self, text: str, start: int, pieces: list[str | CallPiece]) -> int:
        """Read up to the closing tag; anything else but surplus brackets is text again."""
        for position in range(start, len(text)):
            character = text[position]
            if not self._tail and character in _SURPLUS:
                continue
            self._tail += character
            if CALL_CLOSE.startswith(self._tail) and self._tail != CALL_CLOSE:
                continue
            tail, self._tail = self._tail, ""
            self._state = _State.TEXT
            if tail != CALL_CLOSE:
                # What may begin here is the next call, or text.
                pieces += self._emit(self._opener.scan(tail).text)
            return position + 1
        return len(text)


def parse_tool_calls(text: str) -> tuple[str, tuple[CallPiece, ...]]:
    """Part a whole answer into its text and its calls, each in one piece."""
    parser = ToolCallParser()
    texts: list[str] = []
    calls: list[CallPiece] = []
    for piece in parser.feed(text) + parser.finish():
        if isinstance(piece, str):
            texts.append(piece)
        elif piece.name is not None:
            calls.append(piece)
        else:
            calls[-1] = calls[-1]._replace(arguments=calls[-1].arguments + piece.arguments)
    return "".join(texts), tuple(calls)
