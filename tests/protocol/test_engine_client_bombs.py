"""Hostile schemas, regexes and tools through HTTP: each is answered or refused, soon."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from grammar_bombs import Case, corpus
from myna.core.progress import silent
from myna.core.requests import Constraint
from myna.models.tiny import write_tiny_checkpoint
from myna.pipeline.load import LoadOptions
from myna.pipeline.service import load_local_service
from myna.server.settings import ServerSettings

MAX_CASE_S = 3.0
CROWDING_CPU_S = 0.2
CANARY_EVERY = 16  # cases
NUM_PARTS = 4
MAX_TOKENS = 8


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, serve: Any) -> Iterator[Any]:
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny", "qwen2")
    options = LoadOptions(model_id="tiny", dtype="float32", max_context=2**18)
    service = load_local_service(folder, options, silent)
    with serve(service, ServerSettings()) as live:
        yield live
    asyncio.run(service.close())


def body(case: Case | None) -> bytes:
    """Write a request that carries a case.

    A schema is put into the body as it is, be it JSON or not: the server reads it first.
    """
    fields: dict[str, Any] = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "sing"}],
        "max_tokens": MAX_TOKENS,
        "temperature": 0,
    }
    match case:
        case None:
            pass
        case Constraint(kind="json_schema", source=source) if source.startswith("{"):
            head = json.dumps(fields).removesuffix("}")
            form = f'{{"type": "json_schema", "json_schema": {{"name": "s", "schema": {source}}}}}'
            return f'{head}, "response_format": {form}}}'.encode()
        case Constraint(kind="json_schema", source=source):
            fields["structured_outputs"] = {"json": source}
        case Constraint(kind="regex", source=source):
            fields["structured_outputs"] = {"regex": source}
        case Constraint(source=source):
            fields["structured_outputs"] = {"grammar": source}
        case _:
            fields["tool_choice"] = "required"
            fields["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "parameters": read_or_text(tool.parameters)},
                }
                for tool in case
            ]
    return json.dumps(fields).encode()


def read_or_text(source: str) -> object:
    try:
        return json.loads(source)
    except ValueError:
        return source


def timed_post(live: Any, case: Case) -> tuple[int, bytes, float]:
    """Send a case; status 0 if there is no answer for long."""
    started_s = time.monotonic()
    try:
        status, _, answer = live.post("/v1/chat/completions", body(case))
    except TimeoutError:
        status, answer = 0, b""
    return status, answer, time.monotonic() - started_s


def crowding() -> float:
    """Tell how many times longer than on an idle machine computations take now.

    Between a case and its answer there are computations and no sleep, so that this is also how much
    longer a case may take. A wait that is none of the machine's doing is still found out.
    """
    started_s, started_cpu_s = time.monotonic(), time.thread_time()
    while (spent_s := time.thread_time() - started_cpu_s) < CROWDING_CPU_S:
        pass
    return (time.monotonic() - started_s) / spent_s


@pytest.mark.parametrize("part", range(NUM_PARTS))
def test_every_bomb_is_answered_or_refused_soon_and_the_canary_sings_on(
    live: Any, part: int
) -> None:
    def canary() -> object:
        status, _, answer = live.post("/v1/chat/completions", body(None))
        assert status == 200
        return json.loads(answer)["choices"]

    song = canary()
    slow: list[str] = []
    codes: Counter[int] = Counter()
    for number, (name, case) in enumerate(corpus()[part::NUM_PARTS]):
        status, answer, took_s = timed_post(live, case)
        if took_s > MAX_CASE_S and took_s > MAX_CASE_S * crowding():
            slow.append(f"{name}: {took_s:.1f} s")
        codes[status] += 1
        if status != 200:
            assert status in (400, 413), (name, status, answer)
            error = json.loads(answer)["error"]
            assert error.keys() == {"message", "type", "param", "code"}
            assert error["message"]
            assert error["type"] == "invalid_request_error"
        if number % CANARY_EVERY == 0:
            assert canary() == song, name
    assert slow == []
    assert codes[200] >= 20 / NUM_PARTS
    assert codes[400] >= 100 / NUM_PARTS
    assert canary() == song
    deadline_s = time.monotonic() + MAX_CASE_S
    while live.service._thread.stats.used_blocks:  # the last step may not have been counted yet
        assert time.monotonic() < deadline_s, "a bomb has left blocks behind"
        time.sleep(0.001)
