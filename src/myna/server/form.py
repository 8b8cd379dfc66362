"""Forms with files: `multipart/form-data` -> fields and one file, all in memory.

Not here: reading the body within its limits (body), what the fields mean (schemas).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from myna.core.errors import InvalidRequest
from myna.server.body import read_body
from myna.server.context import context_of, ticket_of

MAX_PARTS = 64
MAX_FIELD_BYTES = 64 * 1024


@dataclass
class Form:
    """Hold what a form carries.

    A list (`x[]`) loses its brackets; its texts have commas between, its files are in `lists`.
    """

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    lists: dict[str, list[bytes]] = field(default_factory=dict)


async def read_form(request: Request) -> Form:
    """Read a form that may hold media.

    Raises:
        InvalidRequest: the body is no form, or a broken one.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if kind.lower() != b"multipart/form-data" or not boundary:
        raise InvalidRequest(
            "The body must be a form: send it as multipart/form-data with a boundary.",
            code="invalid_form",
        )
    max_bytes = context_of(request).settings.limits.max_media_body_bytes
    body = await read_body(request, ticket_of(request), max_bytes=max_bytes)
    return await asyncio.to_thread(parse_form, body, boundary)


def parse_form(body: bytes, boundary: bytes) -> Form:
    """Take a form apart."""
    builder = _Builder()
    try:
        parser = MultipartParser(boundary, callbacks=builder.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise _broken("its parts cannot be told apart") from None
    if not builder.is_complete:
        raise _broken("it ends too early")
    return builder.form


class _Builder:
    """Collect parts as the parser finds them."""

    def __init__(self) -> None:
        self.form = Form()
        self.is_complete = False
        self._num_parts = 0
        self._header = [b"", b""]
        self._name = ""
        self._is_file = self._is_list = False
        self._data: list[bytes] = []

    def callbacks(self) -> dict[str, object]:
        """Name the methods for the parser."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._extend(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._extend(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._data.append(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._complete,
        }

    def _begin(self) -> None:
        self._num_parts += 1
        if self._num_parts > MAX_PARTS:
            raise _broken(f"it has more than {MAX_PARTS} parts")
        self._name, self._data = "", []
        self._is_file = self._is_list = False
        self._header = [b"", b""]

    def _extend(self, idx: int, data: bytes) -> None:
        self._header[idx] += data

    def _end_header(self) -> None:
        header, value = self._header
        self._header = [b"", b""]
        if header.lower() != b"content-disposition":
            return
        _, options = parse_options_header(value)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_list = name.endswith("[]")
        self._name = name.removesuffix("[]")
        # The file's own name is the client's affair; nothing here ever uses it.
        self._is_file = b"filename" in options

    def _end(self) -> None:
        if not self._name:
            raise _broken("a part has no name")
        known = self.form.fields.get(self._name)
        if self._name in self.form.files or (known is not None and not self._is_list):
            raise InvalidRequest(
                f"The form has `{self._name}` more than once; send one.",
                param=self._name,
                code="invalid_form",
            )
        data = b"".join(self._data)
        if self._is_file and self._is_list:
            self.form.lists.setdefault(self._name, []).append(data)
            return
        if self._is_file:
            self.form.files[self._name] = data
            return
        if len(data) > MAX_FIELD_BYTES:
            raise _broken(f"the field {self._name!r} is longer than {MAX_FIELD_BYTES} bytes")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise _broken(f"the field {self._name!r} is not UTF-8") from None
        self.form.fields[self._name] = text if known is None else f"{known},{text}"

    def _complete(self) -> None:
        self.is_complete = True


def _broken(what: str) -> InvalidRequest:
    return InvalidRequest(f"The form cannot be read: {what}.", code="invalid_form")
