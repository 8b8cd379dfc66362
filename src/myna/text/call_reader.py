"""Read one tool call, a JSON object {"name": …, "arguments": {…}}, while it is being written.

The structure is followed from quote to quote and from bracket to bracket, so that the arguments can
be passed on before they are complete, as the model wrote them, in time linear in their length.
"""

from __future__ import annotations

import json
import re
from enum import Enum, auto

_BLANKS = " \t\r\n"
_STRING_STOP = re.compile(r'["\\]')
_NESTED_STOP = re.compile(r'["{}\[\]<]')
_SCALAR_STOP = re.compile(r"[\s,}\]<]")


class Status(Enum):
    """Say how far a call has been read."""

    READING = auto()
    DONE = auto()
    MALFORMED = auto()


class _Place(Enum):
    """Where in the object the next character is."""

    OUTSIDE = auto()
    BEFORE_KEY = auto()
    BEFORE_COLON = auto()
    BEFORE_VALUE = auto()
    BEFORE_COMMA = auto()
    IN_STRING = auto()
    IN_NESTED = auto()
    IN_SCALAR = auto()


class CallReader:
    """Follow one call.

    Attributes:
        status: whether the object is whole, or can no longer become a call.
        name: the function's name, once it is known and the arguments have begun.
    """

    def __init__(self) -> None:
        self.status = Status.READING
        self.name: str | None = None
        self._place = _Place.OUTSIDE
        self._members: set[str] = set()
        self._key: str | None = None  # of the member whose value is being read
        self._pieces: list[str] = []  # of the key or the value that is being read
        self._depth = 0
        self._is_escape = False
        self._known_name: str | None = None
        self._arguments: list[str] | None = None

    def feed(self, text: str, start: int) -> int:
        """Read `text` from `start`; return where the object ended, or went wrong, or the end."""
        position = start
        while position < len(text) and self.status is Status.READING:
            match self._place:
                case _Place.IN_STRING:
                    position = self._read_string(text, position)
                case _Place.IN_NESTED:
                    position = self._read_nested(text, position)
                case _Place.IN_SCALAR:
                    position = self._read_scalar(text, position)
                case _:
                    position = self._read_between(text, position)
        return position

    def finish(self) -> None:
        """End the text inside the object: a call that has its name is cut short, but a call."""
        if self.status is Status.READING:
            self._fail()

    def take_arguments(self) -> str:
        """Give the arguments' text that was not given yet; none before the name is known."""
        if self.name is None or self._arguments is None:
            return ""
        text = "".join(self._arguments)
        self._arguments.clear()
        return text

    def _read_between(self, text: str, position: int) -> int:
        """Read one character of what holds the members together."""
        character = text[position]
        if character in _BLANKS:
            return position + 1
        match self._place, character:
            case _Place.OUTSIDE, "{":
                self._place = _Place.BEFORE_KEY
            case _Place.BEFORE_KEY, '"':
                self._begin(_Place.IN_STRING, character)
            case _Place.BEFORE_COLON, ":":
                self._place = _Place.BEFORE_VALUE
            case _Place.BEFORE_COMMA, ",":
                self._place = _Place.BEFORE_KEY
            case ((_Place.BEFORE_COMMA | _Place.BEFORE_KEY), "}"):
                self._end_object()
            case _Place.BEFORE_VALUE, _:
                return self._begin_value(character, position)
            case _:
                self._fail()
                return position
        return position + 1

    def _begin_value(self, character: str, position: int) -> int:
        if character == '"':
            self._begin(_Place.IN_STRING, character)
        elif character in "{[":
            self._depth = 1
            self._begin(_Place.IN_NESTED, character)
        else:
            self._begin(_Place.IN_SCALAR, "")
            return position
        return position + 1

    def _begin(self, place: _Place, character: str) -> None:
        self._place = place
        self._pieces = [character]
        if self._key == "arguments" and character == "{":
            # Passed on while it is read: the two lists are one.
            self._arguments = self._pieces
            self.name = self._known_name

    def _read_string(self, text: str, position: int) -> int:
        if self._is_escape:
            self._is_escape = False
            self._pieces.append(text[position])
            return position + 1
        stop = _STRING_STOP.search(text, position)
        end = stop.end() if stop else len(text)
        self._pieces.append(text[position:end])
        if stop and stop[0] == "\\":
            self._is_escape = True
        elif stop and self._depth:
            self._place = _Place.IN_NESTED
        elif stop:
            self._end_value()
        return end

    def _read_nested(self, text: str, position: int) -> int:
        stop = _NESTED_STOP.search(text, position)
        if stop is None:
            self._pieces.append(text[position:])
            return len(text)
        if stop[0] == "<":
            # No JSON has this outside a string: the closing tag came before the last bracket.
            self._pieces.append(text[position : stop.start()])
            self._fail()
            return stop.start()
        self._pieces.append(text[position : stop.end()])
        if stop[0] == '"':
            self._place = _Place.IN_STRING
        else:
            self._depth += 1 if stop[0] in "{[" else -1
            if self._depth == 0:
                self._end_value()
        return stop.end()

    def _read_scalar(self, text: str, position: int) -> int:
        stop = _SCALAR_STOP.search(text, position)
        end = stop.start() if stop else len(text)
        self._pieces.append(text[position:end])
        if stop:
            self._end_value()
        return end

    def _end_value(self) -> None:
        """Make sense of a key or value that is complete."""
        if self._key is None:
            self._place = _Place.BEFORE_COLON
            self._key = self._decode()
            if self._key is None or self._key in self._members:
                self._fail()
            else:
                self._members.add(self._key)
            return
        self._place = _Place.BEFORE_COMMA
        if self._key == "name":
            self._known_name = self._decode() or None
            if self._known_name is None:
                self._fail()
        elif self._key == "arguments" and self._arguments is None:
            arguments = "{}" if "".join(self._pieces) == "null" else self._decode()
            if arguments is None:
                self._fail()
            else:
                self._arguments = [arguments]
        if self._arguments is not None and self.status is Status.READING:
            self.name = self._known_name
        self._key = None

    def _decode(self) -> str | None:
        """Read the pieces as a JSON string; `None` if they are none."""
        raw = "".join(self._pieces)
        try:
            # Models write bare newlines into strings, which strict JSON forbids.
            value = json.loads(raw, strict=False) if raw.startswith('"') else None
        except ValueError:
            return None
        return value if isinstance(value, str) else None

    def _end_object(self) -> None:
        if self._known_name is None:
            self._fail()
            return
        if self._arguments is None:
            self._arguments = ["{}"]
        self.name = self._known_name
        self.status = Status.DONE

    def _fail(self) -> None:
        """Stop: what has been passed on stays a call, all else becomes text again."""
        self.status = Status.MALFORMED if self.name is None else Status.DONE
