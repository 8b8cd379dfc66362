"""Errors a caller can be told about: each maps to one HTTP status and one command-line exit code.

Not here: how an error is drawn on the wire (server) or printed (cli). Messages say what was asked,
what was found and what to do.
"""

from __future__ import annotations

import msgspec


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Carry an error across a process or a network: what a client may see, and nothing else.

    `type`, `code` and `param` are the OpenAI error object's fields; `status` is the HTTP status.
    """

    message: str
    type: str
    code: str | None = None
    param: str | None = None
    status: int = 500
    retry_after_s: float | None = None


class MynaError(Exception):
    """Base of every error whose text is meant for the caller.

    Args:
        message: what was asked, what was found, what to do.
        param: the request field at fault, if one is.
        code: a machine-readable name; the class's own if not given.
    """

    status = 500
    type = "server_error"
    code: str | None = "internal_error"
    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code
        self.retry_after_s = retry_after_s

    def info(self) -> ErrorInfo:
        """Return the serialisable form."""
        return ErrorInfo(
            message=self.message,
            type=self.type,
            code=self.code,
            param=self.param,
            status=self.status,
            retry_after_s=self.retry_after_s,
        )


class InvalidRequest(MynaError):
    """Refuse a request whose content is wrong; the same request can never succeed."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"
    exit_code = 2


class ContextOverflow(InvalidRequest):
    """Refuse a prompt, or a prompt with its answer, that is longer than the context."""

    code = "context_length_exceeded"


class Unauthorized(MynaError):
    """Refuse a caller without a valid key."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class NotFound(MynaError):
    """Name a thing that is not there: a model, a voice, a file."""

    status = 404
    type = "invalid_request_error"
    code = "model_not_found"
    exit_code = 3


class Conflict(MynaError):
    """Refuse what cannot be done in the present state; change that first."""

    status = 409
    type = "invalid_request_error"
    code = "conflict"


class TooLarge(MynaError):
    """Refuse a body above its limit."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class Overloaded(MynaError):
    """Refuse work because the bounded queue is full; try again after `retry_after_s`."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class Unavailable(MynaError):
    """Refuse work because the model is loading, restarting or draining."""

    status = 503
    type = "server_error"
    code = "unavailable"


class EngineDied(Unavailable):
    """Tell a request that its engine process ended before the answer did."""

    code = "engine_died"


class DeadlineExceeded(MynaError):
    """End a request that outlived its deadline."""

    status = 504
    type = "server_error"
    code = "deadline_exceeded"


class BadCheckpoint(MynaError):
    """Refuse a model folder or file that is damaged, incomplete or not understood."""

    status = 500
    code = "bad_checkpoint"
    exit_code = 4


class Unsupported(MynaError):
    """Name a thing that is understood but not supported here."""

    status = 400
    type = "invalid_request_error"
    code = "unsupported"
    exit_code = 4


class InternalError(MynaError):
    """Stand for a fault of our own; its text never quotes the inner exception."""


class RemoteError(MynaError):
    """Raise again, on this side, an error that another process reported."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(
            info.message, param=info.param, code=info.code, retry_after_s=info.retry_after_s
        )
        self.status = info.status
        self.type = info.type
        self.exit_code = _exit_code(info)


def _exit_code(info: ErrorInfo) -> int:
    """Find the exit code that the error had before it was made serialisable."""
    for kind in (BadCheckpoint, Unsupported, NotFound, InvalidRequest):
        if info.code == kind.code:
            return kind.exit_code
    return {400: InvalidRequest.exit_code, 404: NotFound.exit_code}.get(info.status, 1)
