"""No prompt, no medium and no key reaches the log, whatever is asked and however it ends."""

from __future__ import annotations

import base64
import logging
from typing import Any

import httpx
import pytest

from myna.core.echo import EchoService
from myna.server.app import create_app
from myna.server.settings import ServerSettings

KEY, WORD = "key-that-nobody-may-see", "Rumpelstilzchen"
TURNS = [{"role": "user", "content": f"my name is {WORD}"}]
SOUND = {"files": {"file": (WORD, WORD.encode())}, "data": {"prompt": WORD}}
PICTURE = f"data:image/png;base64,{base64.b64encode(WORD.encode()).decode()}"
ASKED: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/chat/completions", {"json": {"messages": TURNS}}),
    ("POST", "/v1/chat/completions", {"json": {"messages": TURNS, "stream": True}}),
    ("POST", "/v1/chat/completions", {"json": {"messages": TURNS, "model": WORD}}),
    ("POST", "/v1/chat/completions", {"json": {"messages": WORD}}),
    ("POST", "/v1/chat/completions", {"content": b"{" + WORD.encode()}),
    ("POST", "/v1/completions", {"json": {"prompt": f"{WORD}\n/fail {WORD}"}}),
    ("POST", "/v1/completions", {"json": {"prompt": f"/refuse {WORD}"}}),
    ("POST", "/v1/responses", {"json": {"input": WORD, "instructions": WORD}}),
    ("POST", "/v1/responses", {"json": {"input": f"{WORD}\n/fail {WORD}", "stream": True}}),
    ("POST", "/v1/audio/speech", {"json": {"input": WORD}}),
    ("POST", "/v1/audio/transcriptions", SOUND),
    ("POST", "/v1/audio/transcriptions", SOUND | {"data": {"response_format": "srt"}}),
    ("POST", "/v1/images/edits", {"json": {"prompt": WORD, "images": [PICTURE]}}),
    ("POST", "/v1/realtime/client_secrets", {"json": {"session": {"instructions": WORD}}}),
    ("POST", "/api/chat", {"json": {"model": "echo", "messages": TURNS}}),
    ("POST", "/api/generate", {"json": {"model": "echo", "prompt": WORD, "system": WORD}}),
    ("POST", "/tokenize", {"json": {"prompt": WORD}}),
    ("POST", "/apply-template", {"json": {"messages": TURNS}}),
    ("GET", f"/v1/models?who={WORD}", {}),
    ("GET", "/v1/models", {"headers": {"authorization": f"Bearer {WORD}"}}),
    ("GET", "/v1/models", {"headers": {"authorization": f"Bearer {KEY}", "x-name": WORD}}),
]


@pytest.mark.parametrize(("method", "path", "asked"), ASKED)
async def test_the_log_tells_nothing_of_what_was_said(
    caplog: pytest.LogCaptureFixture, method: str, path: str, asked: dict[str, Any]
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the client's own log
    app = create_app(EchoService(is_editor=True), settings=ServerSettings(api_keys=(KEY,)))
    transport = httpx.ASGITransport(app)
    headers = {"authorization": f"Bearer {KEY}", **asked.get("headers", {})}
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        await client.request(method, path, **{**asked, "headers": headers})
    ours = [record for record in caplog.records if record.name.startswith("myna")]
    assert any("event=request" in record.getMessage() for record in ours)
    for record in ours:
        told = f"{record.getMessage()} {record.exc_text or ''}"
        assert WORD not in told
        assert KEY not in told
