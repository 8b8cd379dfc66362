"""A server as the command line reaches it: its address, a key, one request at a time.

Not here: what is asked of it (`cli.client` asks for answers, `cli.holdings` for what it holds).
"""

from __future__ import annotations

import http.client
import ssl
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from myna.core.errors import ErrorInfo, InvalidRequest, RemoteError, Unauthorized, Unavailable
from myna.core.settings import Settings

DEFAULT_PORT = 8000  # where `myna serve` listens unless it is told otherwise
LOCAL_URL = f"http://127.0.0.1:{DEFAULT_PORT}"
MAX_ANSWER_BYTES = 4 * 2**20

Answer = TypeVar("Answer")


class ServerError(msgspec.Struct):
    """Hold OpenAI's error object, as any server may write it."""

    message: str = "the server gave no reason"
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class _Refusal(msgspec.Struct):
    error: ServerError


class RemoteServer:
    """Send requests to a server; nothing is kept open between two of them.

    Args:
        url: such as http://127.0.0.1:8000, with or without /v1.
        api_key: presented if given.

    Raises:
        InvalidRequest: it is no address.
    """

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        try:
            parts = urlsplit(url)
            self.host, self.port = parts.hostname or "", parts.port
        except ValueError:
            parts, self.host = urlsplit(""), ""
        if parts.scheme not in ("http", "https") or not self.host:
            raise InvalidRequest(f"{url!r} is no address of a server; give one such as {LOCAL_URL}")
        self.url = url
        self._is_tls = parts.scheme == "https"
        self._prefix = parts.path.rstrip("/").removesuffix("/v1")
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    @classmethod
    def to(cls, url: str | None, settings: Settings, *, api_key: str | None) -> RemoteServer:
        """Reach the server of this machine unless another is named, with the user's own key."""
        own_key = settings.api_keys[0] if settings.api_keys else None
        return cls(url or LOCAL_URL, api_key=api_key or own_key)

    def connect(self, timeout_s: float) -> http.client.HTTPConnection:
        """Make a connection, which is opened by its first request."""
        if self._is_tls:
            return http.client.HTTPSConnection(
                self.host, self.port, timeout=timeout_s, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)

    def ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None
    ) -> http.client.HTTPResponse:
        """Send a request; returns the response with its body unread.

        Raises:
            RemoteError: the server refuses.
            OSError, http.client.HTTPException: it cannot be reached, or speaks no HTTP.
        """
        connection.request(method, self._prefix + path, body=body, headers=self._headers)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise _refusal(response)
        return response

    def fetch(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        type: type[Answer],  # noqa: A002 -- as msgspec names it
        timeout_s: float,
    ) -> Answer:
        """Send a request with a JSON body, if one is given, and read the whole JSON answer.

        Raises:
            Unauthorized: it wants a key, or another one.
            RemoteError: the server refuses.
            Unavailable: no server answers, or it is another kind of server.
        """
        content = None if body is None else msgspec.json.encode(body)
        connection = self.connect(timeout_s)
        try:
            response = self.ask(connection, method, path, content)
            return msgspec.json.decode(response.read(MAX_ANSWER_BYTES), type=type)
        except RemoteError as error:
            if error.status == Unauthorized.status:
                raise Unauthorized(
                    f"{error.message}\nhint: MYNA_API_KEY holds the key to present"
                ) from error
            raise
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            raise Unavailable(
                f"no server answers at {self.url} ({error})\nhint: `myna serve` starts one"
            ) from error
        finally:
            connection.close()


def told(error: ServerError, *, status: int) -> RemoteError:
    """Make the error that a server told of one of ours."""
    code = None if error.code is None else str(error.code)
    info = ErrorInfo(
        message=f"the server says: {error.message}",
        type=error.type or "server_error",
        code=code,
        param=error.param,
        status=status,
    )
    return RemoteError(info)


def _refusal(response: http.client.HTTPResponse) -> RemoteError:
    """Read why a server refused."""
    try:
        refusal = msgspec.json.decode(response.read(MAX_ANSWER_BYTES), type=_Refusal)
    except msgspec.MsgspecError:
        refusal = _Refusal(error=ServerError(message=f"{response.status} {response.reason}"))
    return told(refusal.error, status=response.status)
