"""The metadata of a GGUF file: key-value pairs, read by type.

Not here: how they are read from bytes (gguf_header), and what the keys mean (models, text).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from myna.core.errors import BadCheckpoint

Scalar = str | int | float | bool
Value = Scalar | list[Scalar]
T = TypeVar("T", str, int, float, bool)


class Metadata(Mapping[str, Value]):
    """Hold the pairs of one file. Each reader returns None where the key is absent.

    Args:
        values: the pairs.
        file: the file's name, for errors.
    """

    def __init__(self, values: Mapping[str, Value], *, file: str) -> None:
        self._values = values
        self._file = file

    def __getitem__(self, key: str) -> Value:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def text(self, key: str) -> str | None:
        """Read a string."""
        return self._scalar(key, str)

    def integer(self, key: str) -> int | None:
        """Read a whole number of any width."""
        return self._scalar(key, int)

    def number(self, key: str) -> float | None:
        """Read a number, whole or not."""
        value = self._values.get(key)
        return float(value) if type(value) is int else self._scalar(key, float)

    def flag(self, key: str) -> bool | None:
        """Read a truth value."""
        return self._scalar(key, bool)

    def texts(self, key: str) -> list[str] | None:
        """Read an array of strings."""
        return self._array(key, str)

    def integers(self, key: str) -> list[int] | None:
        """Read an array of whole numbers."""
        return self._array(key, int)

    def numbers(self, key: str) -> list[float] | None:
        """Read an array of numbers."""
        return self._array(key, float)

    def _scalar(self, key: str, kind: type[T]) -> T | None:
        value = self._values.get(key)
        if value is None or type(value) is kind:
            return value
        raise self._wrong(key, value, kind.__name__)

    def _array(self, key: str, kind: type[T]) -> list[T] | None:
        value = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, list):
            items = [item for item in value if type(item) is kind]
            if len(items) == len(value):
                return items
        raise self._wrong(key, value, f"an array of {kind.__name__}")

    def _wrong(self, key: str, value: Value, expected: str) -> BadCheckpoint:
        return BadCheckpoint(
            f"{self._file}: the metadata key {key!r} is {type(value).__name__} {value!r:.80}, "
            f"not {expected}; convert the model to GGUF again"
        )
