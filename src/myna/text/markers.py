"""Find marker strings in text that arrives in pieces, in time linear in the text.

Source: Aho and Corasick, "Efficient string matching", 1975.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple


class Scan(NamedTuple):
    """Hold what a scan found: text before the marker, the marker, and where reading goes on."""

    text: str
    marker: str | None
    next_start: int


class MarkerScanner:
    """Scan a stream for markers, holding back what may be the beginning of one.

    The marker that ends first is found; of those that end together, the longest. So the result
    does not depend on how the stream is cut.
    """

    def __init__(self, markers: Sequence[str]) -> None:
        if not all(markers):
            raise ValueError("a marker is empty, and would be found everywhere; leave it out")
        self._prefixes = [""]
        self._children: list[dict[str, int]] = [{}]
        self._found: list[str | None] = [None]
        for marker in markers:
            self._found[self._insert(marker)] = marker
        self._fallbacks = self._link()
        openers = "".join(re.escape(character) for character in self._children[0])
        self._opener = re.compile(f"[{openers}]" if openers else "(?!)")
        self._state = 0

    @property
    def num_held(self) -> int:
        """Count the characters held back."""
        return len(self._prefixes[self._state])

    def scan(self, text: str, start: int = 0) -> Scan:
        """Read `text` from `start` up to the end of the first marker, or to its own end."""
        held = self._prefixes[self._state]
        position = start
        while position < len(text):
            if self._state == 0:
                opener = self._opener.search(text, position)
                position = opener.start() if opener else len(text)
                if opener is None:
                    break
            self._state = self._step(self._state, text[position])
            position += 1
            marker = self._found[self._state]
            if marker is not None:
                self._state = 0
                return Scan((held + text[start:position])[: -len(marker)], marker, position)
        seen = held + text[start:]
        return Scan(seen[: len(seen) - self.num_held], None, len(text))

    def flush(self) -> str:
        """Give up what is held back, and begin anew."""
        held = self._prefixes[self._state]
        self._state = 0
        return held

    def _insert(self, marker: str) -> int:
        state = 0
        for character in marker:
            child = self._children[state].get(character)
            if child is None:
                child = len(self._prefixes)
                self._children[state][character] = child
                self._prefixes.append(self._prefixes[state] + character)
                self._children.append({})
                self._found.append(None)
            state = child
        return state

    def _link(self) -> list[int]:
        """For each prefix, find the longest other prefix that it ends in."""
        fallbacks = [0] * len(self._prefixes)
        self._fallbacks = fallbacks
        queue = deque(self._children[0].values())
        while queue:
            state = queue.popleft()
            if self._found[state] is None:
                self._found[state] = self._found[fallbacks[state]]
            for character, child in self._children[state].items():
                fallbacks[child] = self._step(fallbacks[state], character)
                queue.append(child)
        return fallbacks

    def _step(self, state: int, character: str) -> int:
        while state and character not in self._children[state]:
            state = self._fallbacks[state]
        return self._children[state].get(character, 0)


class StopMatcher:
    """Cut text at the first stop string.

    Attributes:
        stop: the stop string that was found.
        num_cut: how many characters it and what followed it in the same piece had.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._scanner = MarkerScanner(stops)
        self.stop: str | None = None
        self.num_cut = 0

    @property
    def num_held(self) -> int:
        """Count the characters held back because they may begin a stop string."""
        return self._scanner.num_held

    def feed(self, text: str) -> str:
        """Take more text; return what is certainly before any stop string."""
        if self.stop is not None:
            return ""
        scan = self._scanner.scan(text)
        if scan.marker is not None:
            self.stop = scan.marker
            self.num_cut = len(scan.marker) + len(text) - scan.next_start
        return scan.text

    def finish(self) -> str:
        """End the text; return what was held back."""
        return self._scanner.flush()
