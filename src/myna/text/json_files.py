"""Read the small files of a checkpoint folder, whole and typed; errors name the file.

JSON is decoded into typed structures at once, so that a field of the wrong type is found here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from myna.core.errors import BadCheckpoint

# The largest released tokenizer.json has 34 MB.
MAX_FILE_BYTES = 256 * 2**20

Form = TypeVar("Form")


def read_bytes(path: Path) -> bytes:
    """Read a whole file, refusing a size that none of these files has."""
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise BadCheckpoint(
            f"{path} has {size} bytes, and at most {MAX_FILE_BYTES} are read; is it the right file?"
        )
    return path.read_bytes()


def read_text(path: Path) -> str:
    """Read UTF-8 text."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise BadCheckpoint(f"{path} is no UTF-8 text: {error}; fetch it again.") from None


def read_json(path: Path, form: type[Form]) -> Form | None:
    """Read JSON as `form`; `None` where there is no file."""
    return decode_json(read_bytes(path), form, path) if path.is_file() else None


def decode_json(raw: bytes | msgspec.Raw, form: type[Form], path: Path) -> Form:
    """Decode JSON as `form`."""
    try:
        return msgspec.json.decode(raw, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadCheckpoint(f"{path} is not as it should be: {error}; fetch it again.") from None
