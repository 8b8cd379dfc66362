"""The client of other people's servers: every answer and every fault."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from myna.cli.client import HttpTalker
from myna.core.errors import InvalidRequest, RemoteError, Unauthorized, Unavailable
from myna.core.events import Accepted, Failed, Finished, ReasoningDelta, TextDelta, Usage
from myna.core.messages import text_message
from myna.core.requests import ChatInput, SamplingParams, TextInput
from myna.core.settings import read_settings

QUESTION = ChatInput(messages=(text_message("system", "be brief"), text_message("user", "hi")))


class Server:
    """Give one canned answer, and remember what was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.models: bytes = b'{"data": [{"id": "first"}, {"id": "second"}]}'
        self.body = b""
        self.asked: list[tuple[str, dict[str, str], bytes]] = []


@pytest.fixture
def server() -> Iterator[Server]:
    canned = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            canned.asked.append((self.path, dict(self.headers), b""))
            self.answer(canned.status, canned.models)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            canned.asked.append((self.path, dict(self.headers), body))
            self.answer(canned.status, canned.body)

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its base's name
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, args=(0.01,))
        thread.start()
        canned.url = f"http://127.0.0.1:{http_server.server_port}"
        yield canned
        http_server.shutdown()
        thread.join()


def sse(*chunks: object) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def end(reason: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def ask(server: Server, sampling: SamplingParams | None = None) -> list[Any]:
    return list(HttpTalker(server.url).answer(QUESTION, sampling or SamplingParams()))


def test_an_answer_becomes_events(server: Server) -> None:
    server.body = (
        b": ping\n\n"
        + sse(
            delta(role="assistant", content=""),
            delta(reasoning="hm", reasoning_content="hm"),
            delta(reasoning_content="so"),
            delta(content="hello"),
            end("length"),
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
        )
        + b"data: [DONE]\n\n"
    )
    assert ask(server) == [
        Accepted(prompt_tokens=0),
        ReasoningDelta(index=0, text="hm"),
        ReasoningDelta(index=0, text="so"),
        TextDelta(index=0, text="hello"),
        Finished(index=0, reason="length", usage=Usage(prompt_tokens=3, completion_tokens=4)),
    ]


def test_wishes_and_keys_are_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYNA_API_KEY", "secret,other")
    server.body = sse(end("tool_calls")) + b"data: [DONE]\n\n"
    talker = HttpTalker.to(server.url + "/v1/", read_settings(), model_id="chosen")
    sampling = SamplingParams(temperature=0.0, top_p=0.5, top_k=3, seed=7, max_tokens=9)
    *_, last = talker.answer(QUESTION, sampling)
    talker.close()
    assert isinstance(last, Finished)
    assert last.reason == "tool_calls"
    path, headers, body = server.asked[-1]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert json.loads(body) == {
        "model": "chosen",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 3,
        "seed": 7,
        "max_completion_tokens": 9,
    }


def test_the_first_served_model_is_asked_by_default(server: Server) -> None:
    assert HttpTalker(server.url).model_id == "first"
    assert HttpTalker(server.url).served == ("first", "second")
    server.models = b"{}"
    assert HttpTalker(server.url).model_id == ""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (sse(delta(content="so far")), "the stream ended before the answer did"),
        (b"data: {]\n\n", "a chunk is not understood"),
        (sse({"error": {"message": "out of memory", "code": 7}}), "the server says: out of memory"),
    ],
)
def test_a_stream_that_breaks_is_a_failure(server: Server, body: bytes, message: str) -> None:
    server.body = body
    last = ask(server)[-1]
    assert isinstance(last, Failed)
    assert message in last.error.message


@pytest.mark.parametrize(
    ("status", "body", "message", "exit_code"),
    [
        (404, b'{"error": {"message": "no such model"}}', "no such model", 3),
        (400, b'{"error": {"message": "too long", "code": "x"}}', "too long", 2),
        (503, b"<html>", "503 Service Unavailable", 1),
        (500, b'{"error": {}}', "the server gave no reason", 1),
    ],
)
def test_a_refusal_is_a_failure(
    server: Server, status: int, body: bytes, message: str, exit_code: int
) -> None:
    talker = HttpTalker(server.url)
    server.status, server.body = status, body
    (failed,) = talker.answer(QUESTION, SamplingParams())
    assert isinstance(failed, Failed)
    assert message in failed.error.message
    assert RemoteError(failed.error).exit_code == exit_code


def test_a_refusal_to_list_is_told(server: Server) -> None:
    server.status, server.models = 401, b'{"error": {"message": "wrong key"}}'
    with pytest.raises(Unauthorized, match="the server says: wrong key\nhint: MYNA_API_KEY holds"):
        HttpTalker(server.url)


def test_something_else_than_a_server_of_ours_is_unavailable(server: Server) -> None:
    server.models = b"hello"
    with pytest.raises(Unavailable, match=r"no server answers at .*\nhint: `myna serve` starts"):
        HttpTalker(server.url)


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"no server answers at http://127.0.0.1:1"):
        HttpTalker("http://127.0.0.1:1")


def test_a_server_that_went_away_is_a_failure(server: Server) -> None:
    talker = HttpTalker(server.url)
    talker._server.port = 1
    (failed,) = talker.answer(QUESTION, SamplingParams())
    assert isinstance(failed, Failed)
    assert "broke off" in failed.error.message


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ftp://x", "http://", "", "http://[", "http://x:y"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="no address of a server; give one such as"):
        HttpTalker(url)


def test_raw_text_is_refused(server: Server) -> None:
    with pytest.raises(InvalidRequest, match="can only be continued by a model in this process"):
        list(HttpTalker(server.url).answer(TextInput(prompt="x"), SamplingParams()))


def test_a_secure_address_uses_tls() -> None:
    with pytest.raises(Unavailable, match=r"https://127.0.0.1:1"):
        HttpTalker("https://127.0.0.1:1")
