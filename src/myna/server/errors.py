"""Draw errors on the wire: always OpenAI's object with its four keys, whatever the status."""

from __future__ import annotations

import logging
import math

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from myna.core.errors import ErrorInfo, InternalError, MynaError

log = logging.getLogger("myna.server")

ROUTE_ERRORS = {404: "unknown_url", 405: "method_not_allowed"}


class ErrorObject(msgspec.Struct, kw_only=True):
    """The four keys that OpenAI's clients read."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct):
    """The body of every answer that is not a success."""

    error: ErrorObject


def error_body(info: ErrorInfo) -> bytes:
    """Encode an error as JSON."""
    fields = ErrorObject(message=info.message, type=info.type, param=info.param, code=info.code)
    return msgspec.json.encode(ErrorBody(fields))


def plain_error_body(info: ErrorInfo) -> bytes:
    """Encode an error as Ollama's clients read it."""
    return msgspec.json.encode({"error": info.message})


def error_response(
    info: ErrorInfo, *, path: str = "", headers: dict[str, str] | None = None
) -> Response:
    """Make the answer to a request that failed before anything was sent.

    The path says whose clients ask: all of `/api/` but our own `/api/v1/` is Ollama's.
    """
    headers = dict(headers or {})
    if info.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(info.retry_after_s)))
    is_plain = path.startswith("/api/") and not path.startswith("/api/v1/")
    return Response(
        plain_error_body(info) if is_plain else error_body(info),
        status_code=info.status,
        media_type="application/json",
        headers=headers,
    )


def route_error(exc: HTTPException, *, method: str, path: str) -> Response:
    """Answer for the router: no such path, or not with this method."""
    headers = dict(exc.headers or {})
    messages = {
        404: f"Nothing is served at {path!r}; GET /v1/models lists the models.",
        405: f"{method} is not allowed at {path!r}; it takes {headers.get('Allow')}.",
    }
    info = ErrorInfo(
        message=messages.get(exc.status_code, exc.detail),
        type="invalid_request_error",
        code=ROUTE_ERRORS.get(exc.status_code),
        status=exc.status_code,
    )
    return error_response(info, path=path, headers=headers)


def internal_error(exc: BaseException, *, request_id: str) -> ErrorInfo:
    """Log a fault of ours and make the error that the client sees instead."""
    log.error("event=internal_error request_id=%s", request_id, exc_info=exc)
    message = f"Something broke inside the server; its log has the cause under {request_id}."
    return InternalError(message).info()


class ClientGone(MynaError):
    """Stop the work for a client that hung up; nobody reads this answer, only the log does."""

    status = 499
    code = "client_gone"


class Refused(MynaError):
    """Refuse a request before its content matters, with a status that only HTTP has."""

    type = "invalid_request_error"

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message, code=code)
        self.status = status
