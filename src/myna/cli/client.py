"""Talk with a server over HTTP: any that speaks OpenAI's chat completions, streamed.

Not here: tools, several choices, logprobs; the command line asks for none of them.
"""

from __future__ import annotations

import http.client
from collections.abc import Generator, Iterator

import msgspec

from myna.cli.client_media import read_sound, read_wav, wire_clip_options, wire_message
from myna.cli.remote_server import RemoteServer, ServerError, told
from myna.core.errors import InvalidRequest, RemoteError, Unavailable
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
    error: ServerError | None = None


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
        self._server = RemoteServer(url, api_key=api_key)
        self.url = url
        models = self._server.fetch("GET", "/v1/models", type=_Models, timeout_s=probe_s)
        self.served = tuple(model.id for model in models.data)
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
        connection = self._server.connect(TIMEOUT_S)
        try:
            response = self._server.ask(connection, "POST", path, body)
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
            raise told(chunk.error, status=500)
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
