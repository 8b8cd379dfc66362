"""Talk with a server over HTTP: any that speaks OpenAI's chat completions, streamed.

Not here: tools, several choices, logprobs; the command line asks for none of them.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Generator, Iterator
from urllib.parse import urlsplit

import msgspec

from myna.cli.client_media import read_sound, read_wav, wire_clip_options, wire_message
from myna.core.errors import ErrorInfo, InvalidRequest, RemoteError, Unavailable
from myna.core.events import (
    Accepted,
    Event,
    Failed,
    Finished,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from myna.core.requests import ChatInput, Input, SamplingParams, SayInput, Speech
from myna.core.settings import Settings

PROBE_S = 0.5
TIMEOUT_S = 600.0
MAX_LINE_BYTES = 4 * 2**20
DATA = b"data:"
DONE = b"[DONE]"


class _Error(msgspec.Struct):
    message: str = "the server gave no reason"
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class _Refusal(msgspec.Struct):
    error: _Error


class _Sound(msgspec.Struct):
    data: str | None = None


class _Delta(msgspec.Struct):
    audio: _Sound | None = None
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(msgspec.Struct):
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: _Error | None = None


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: tuple[_Model, ...] = ()


class HttpTalker:
    """Ask a server; `model_id` is the first model it serves unless one is chosen.

    Without a chat template on its side, the server itself says so.

    Args:
        url: such as http://127.0.0.1:8000, with or without /v1.
        api_key: presented if given.
        model_id: the model to ask.
        probe_s: how long the server may take to say what it serves.
    """

    has_chat_template = True

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        model_id: str | None = None,
        probe_s: float = PROBE_S,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidRequest(
                f"{url!r} is no address of a server; give one such as http://127.0.0.1:8000"
            )
        self._host, self._port, self._is_tls = parts.hostname, parts.port, parts.scheme == "https"
        self._prefix = parts.path.rstrip("/").removesuffix("/v1")
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self.url = url
        self.served = self._list(probe_s)
        self.model_id = model_id or (self.served[0] if self.served else "")

    @classmethod
    def to(cls, url: str, settings: Settings, *, model_id: str | None) -> HttpTalker:
        """Connect with the user's own key."""
        api_key = settings.api_keys[0] if settings.api_keys else None
        return cls(url, api_key=api_key, model_id=model_id)

    def answer(
        self, question: Input, sampling: SamplingParams, *, speech: Speech | None = None
    ) -> Generator[Event]:
        """Stream the events of one answer; closing the stream closes the connection."""
        is_said = isinstance(question, SayInput)
        path = "/v1/audio/speech" if is_said else "/v1/chat/completions"
        body = msgspec.json.encode(_body(question, sampling, speech, self.model_id))
        connection = self._connect(TIMEOUT_S)
        try:
            response = self._ask(connection, "POST", path, body)
            yield Accepted(prompt_tokens=0)
            yield from read_wav(response) if is_said else _events(_payloads(response))
        except (OSError, http.client.HTTPException) as error:
            yield Failed(
                error=Unavailable(f"the connection to {self.url} broke off ({error})").info()
            )
        except RemoteError as error:
            yield Failed(error=error.info())
        finally:
            connection.close()

    def close(self) -> None:
        """Nothing is kept open between two answers."""

    def _list(self, timeout_s: float) -> tuple[str, ...]:
        connection = self._connect(timeout_s)
        try:
            response = self._ask(connection, "GET", "/v1/models", None)
            models = msgspec.json.decode(response.read(MAX_LINE_BYTES), type=_Models)
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            raise Unavailable(
                f"no server answers at {self.url} ({error})\nhint: `myna serve` starts one"
            ) from error
        finally:
            connection.close()
        return tuple(model.id for model in models.data)

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._is_tls:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout_s, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None
    ) -> http.client.HTTPResponse:
        connection.request(method, self._prefix + path, body=body, headers=self._headers)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise _refusal(response)
        return response


def _body(
    question: Input, sampling: SamplingParams, speech: Speech | None, model_id: str
) -> dict[str, object]:
    """Write the request; wishes that are not there are left out."""
    voice = {"voice": speech.voice} if speech is not None and speech.voice else {}
    if isinstance(question, SayInput):
        return {"model": model_id, "input": question.text, "response_format": "wav", **voice}
    if not isinstance(question, ChatInput):
        raise InvalidRequest("raw text can only be continued by a model in this process")
    wishes = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "seed": sampling.seed,
        "max_completion_tokens": sampling.max_tokens,
        "enable_thinking": question.thinking,
    }
    spoken: dict[str, object] = {}
    if speech is not None:
        spoken = {"modalities": ["text", "audio"], "audio": {**voice, "format": "pcm16"}}
    return {
        "model": model_id,
        "messages": [wire_message(message) for message in question.messages],
        **wire_clip_options(question.messages),
        **spoken,
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: wish for name, wish in wishes.items() if wish is not None},
    }


def _payloads(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Cut the stream of events into the data they carry."""
    while line := response.readline(MAX_LINE_BYTES):
        if line.startswith(DATA):
            payload = line[len(DATA) :].strip()
            if payload == DONE:
                return
            yield payload
    raise http.client.HTTPException("the stream ended before the answer did")


def _events(payloads: Iterator[bytes]) -> Iterator[Event]:
    """Translate chunks; the end of the answer is told when its usage is known."""
    reason: FinishReason = "stop"
    usage = Usage(prompt_tokens=0, completion_tokens=0)
    for payload in payloads:
        try:
            chunk = msgspec.json.decode(payload, type=_Chunk)
        except msgspec.MsgspecError as error:
            raise http.client.HTTPException(f"a chunk is not understood: {error}") from error
        if chunk.error is not None:
            raise RemoteError(_info(chunk.error, status=500))
        if chunk.usage is not None:
            usage = Usage(
                prompt_tokens=chunk.usage.prompt_tokens,
                completion_tokens=chunk.usage.completion_tokens,
            )
        for choice in chunk.choices:
            if thought := choice.delta.reasoning or choice.delta.reasoning_content:
                yield ReasoningDelta(index=0, text=thought)
            if choice.delta.content:
                yield TextDelta(index=0, text=choice.delta.content)
            if choice.delta.audio is not None and choice.delta.audio.data:
                yield read_sound(choice.delta.audio.data)
            if choice.finish_reason in ("length", "tool_calls"):
                reason = "length" if choice.finish_reason == "length" else "tool_calls"
    yield Finished(index=0, reason=reason, usage=usage)


def _refusal(response: http.client.HTTPResponse) -> RemoteError:
    """Read why a server refused."""
    try:
        refusal = msgspec.json.decode(response.read(MAX_LINE_BYTES), type=_Refusal)
    except msgspec.MsgspecError:
        refusal = _Refusal(error=_Error(message=f"{response.status} {response.reason}"))
    return RemoteError(_info(refusal.error, status=response.status))


def _info(error: _Error, *, status: int) -> ErrorInfo:
    code = None if error.code is None else str(error.code)
    return ErrorInfo(
        message=f"the server says: {error.message}",
        type=error.type or "server_error",
        code=code,
        param=error.param,
        status=status,
    )
