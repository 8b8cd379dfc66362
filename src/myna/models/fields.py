"""Typed reading of untrusted key-value data: a config.json, or the metadata of a GGUF file.

Every value is checked for its type and range when it is read; what was never read can be listed.
Not here: which keys a family has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from myna.core.errors import BadCheckpoint


class Fields:
    """Read keys of a mapping, refusing wrong types and absurd values by name.

    A key that holds null counts as absent.

    Args:
        values: the untrusted mapping.
        source: what to call it in errors, for example "config.json".
        prefix: put before each key, for example "llama.".
    """

    def __init__(self, values: Mapping[str, object], *, source: str, prefix: str = "") -> None:
        self.values = values
        self.source = source
        self.prefix = prefix
        self.read: set[str] = set()

    def get(self, key: str) -> object:
        """Return the raw value, or None, and mark the key as read."""
        self.read.add(self.prefix + key)
        return self.values.get(self.prefix + key)

    def unread(self) -> tuple[str, ...]:
        """List the keys that nobody asked for."""
        return tuple(sorted(str(key) for key in self.values if key not in self.read))

    def refuse(self, key: str, expected: str) -> BadCheckpoint:
        """Make the error for a key whose value is not what was expected."""
        found = self.values.get(self.prefix + key)
        if found is None:
            return BadCheckpoint(
                f"{self.source} lacks `{self.prefix}{key}` ({expected}); download the model again."
            )
        text = repr(found)
        text = text if len(text) <= 80 else f"{text[:77]}..."
        return BadCheckpoint(
            f"{self.source} says `{self.prefix}{key}` is {text}, but {expected} is expected; "
            "correct the file or download the model again."
        )

    def integer(
        self, key: str, *, low: int = 1, high: int = 2**31 - 1, default: int | None = None
    ) -> int:
        """Read an integer within [low, high]; without a default the key is required."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.refuse(key, f"an integer from {low} to {high}")
        return value

    def optional_integer(self, key: str, *, low: int = 0, high: int = 2**31 - 1) -> int | None:
        """Read an integer within [low, high], or None when the key is absent."""
        return None if self.get(key) is None else self.integer(key, low=low, high=high)

    def number(self, key: str, *, low: float, high: float, default: float | None = None) -> float:
        """Read a finite number within [low, high]; without a default the key is required."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not low <= value <= high:
            raise self.refuse(key, f"a number from {low:g} to {high:g}")
        return float(value)

    def boolean(self, key: str, *, default: bool) -> bool:
        """Read true or false."""
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.refuse(key, "true or false")
        return value

    def optional_boolean(self, key: str) -> bool | None:
        """Read true or false, or None when the key is absent."""
        return None if self.get(key) is None else self.boolean(key, default=False)

    def text(self, key: str, *, default: str) -> str:
        """Read a string."""
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.refuse(key, "a string")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], *, default: str) -> str:
        """Read one of the allowed strings."""
        value = self.text(key, default=default)
        if value not in allowed:
            raise self.refuse(key, " or ".join(repr(item) for item in allowed))
        return value

    def integers(self, key: str, *, low: int = 0, high: int = 2**31 - 1) -> tuple[int, ...]:
        """Read a list of integers; one integer counts as a list of it, absence as an empty one."""
        value = self.get(key)
        items = () if value is None else (value,) if isinstance(value, int) else value
        if not isinstance(items, list | tuple) or not all(
            isinstance(item, int) and not isinstance(item, bool) and low <= item <= high
            for item in items
        ):
            raise self.refuse(key, f"an integer, or a list of integers, from {low} to {high}")
        return tuple(items)

    def section(self, key: str) -> Fields | None:
        """Read a nested mapping, or None when the key is absent or the mapping empty."""
        value = self.get(key)
        if value is None or value == {}:
            return None
        if not isinstance(value, Mapping):
            raise self.refuse(key, "an object")
        return Fields(value, source=f"{self.source} `{self.prefix}{key}`")
