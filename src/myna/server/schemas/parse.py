"""Bytes -> wire model, with errors that name the field."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from myna.core.errors import InvalidRequest
from myna.server.limits import check_shape
from myna.server.settings import Limits

Wire = TypeVar("Wire", bound=msgspec.Struct)
PLACE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")


class Envelope(msgspec.Struct):
    """Peeks at the one field that may hold other fields."""

    extra_body: dict[str, Any] | None = None  # Any: fields of a model not yet known here.


ENVELOPE = msgspec.json.Decoder(Envelope)


def parse(body: bytes, decoder: msgspec.json.Decoder[Wire], *, limits: Limits) -> Wire:
    """Decode and validate a body; fields nested in `extra_body` count as if they stood outside."""
    check_shape(body, limits=limits)
    try:
        if b'"extra_body"' in body:
            body = _flatten(body)
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise field_error(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"The body is not valid JSON: {error}."
        raise InvalidRequest(message, code="invalid_json") from None


def from_form(fields: dict[str, str], kind: type[Wire]) -> Wire:
    """Validate the fields of a form, where numbers are written as text."""
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise field_error(str(error)) from None


def _flatten(body: bytes) -> bytes:
    extra = ENVELOPE.decode(body).extra_body
    if extra is None:
        return body
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    del fields["extra_body"]
    return msgspec.json.encode(extra | fields)


def field_error(text: str) -> InvalidRequest:
    """Translate msgspec's message, which ends in the place, into ours, which begins with it."""
    match = PLACE.fullmatch(text)
    assert match is not None
    what, path = match["what"], match["path"] or ""
    if missing := MISSING.fullmatch(what):
        param = ".".join(filter(None, [path, missing["name"]]))
        return InvalidRequest(
            f"`{param}` is missing; it is required.",
            param=param,
            code="missing_required_parameter",
        )
    code = "invalid_type" if ", got `" in what else "invalid_value"
    what = what[:1].lower() + what[1:]
    if not path:
        return InvalidRequest(f"The body: {what}.", code=code)
    return InvalidRequest(f"Invalid `{path}`: {what}.", param=path, code=code)
