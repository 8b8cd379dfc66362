"""`/v1/responses`: whole, streamed, continued, read again; refusals."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgspec
import pytest

from myna.core.echo import EchoService
from myna.server.app import App, create_app
from myna.server.settings import ServerSettings

CALL = {"type": "function", "name": "get", "parameters": {"type": "object"}}


async def ask(client: httpx.AsyncClient, asked: Any, /, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/v1/responses", json={"input": asked, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def stream(client: httpx.AsyncClient, asked: Any, /, **fields: Any) -> list[dict[str, Any]]:
    body = {"input": asked, "stream": True, **fields}
    answer = await client.post("/v1/responses", json=body)
    assert answer.status_code == 200, answer.text
    events = []
    for block in answer.text.strip().split("\n\n"):
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


async def test_a_text_is_answered_by_one_message(client: httpx.AsyncClient) -> None:
    response = await ask(client, "hello world", instructions="be brief", temperature=0.5)
    assert response["id"].startswith("resp_")
    assert (response["object"], response["status"]) == ("response", "completed")
    (item,) = response["output"]
    assert (item["type"], item["role"], item["status"]) == ("message", "assistant", "completed")
    assert item["content"] == [
        {"type": "output_text", "text": "hello world", "annotations": [], "logprobs": []}
    ]
    assert response["usage"] == {
        "input_tokens": 2,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 4,
    }
    assert (response["temperature"], response["instructions"]) == (0.5, "be brief")
    assert response["text"]["format"] == {"type": "text"}


async def test_events_add_up_to_the_whole_response(client: httpx.AsyncClient) -> None:
    asked = "/think hm hm\n/call get {}\nhello world"
    events = await stream(client, asked, tools=[CALL])
    assert [event["type"].removeprefix("response.") for event in events] == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("reasoning_text.delta", "reasoning_text.delta", "reasoning_text.done"),
        *("content_part.done", "output_item.done", "output_item.added", "content_part.added"),
        *("output_text.delta", "output_text.delta", "output_text.done"),
        *("content_part.done", "output_item.done", "output_item.added"),
        *("function_call_arguments.delta", "function_call_arguments.done"),
        *("output_item.done", "completed"),
    ]
    added = [event["item"] for event in events if event["type"].endswith("item.added")]
    assert [item.get("content") for item in added] == [[], [], None]
    done = [event["item"] for event in events if event["type"].endswith("item.done")]
    whole = await ask(client, asked, tools=[CALL])
    assert events[-1]["response"]["output"] == done
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message", "function_call"]
    assert [item.get("content") for item in whole["output"]] == [
        item.get("content") for item in done
    ]
    assert whole["output"][2]["arguments"] == done[2]["arguments"] == "{}"
    text = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    assert text == "hello world"


async def test_an_answer_cut_short_is_incomplete(client: httpx.AsyncClient) -> None:
    response = await ask(client, "one two three", max_output_tokens=2)
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"
    events = await stream(client, "one two three", max_output_tokens=2)
    assert events[-1]["type"] == "response.incomplete"


async def test_an_empty_answer_is_an_empty_message(client: httpx.AsyncClient) -> None:
    response = await ask(client, None)
    assert [item["content"][0]["text"] for item in response["output"]] == [""]


async def test_a_failure_after_the_first_word_is_an_event(client: httpx.AsyncClient) -> None:
    events = await stream(client, "hello\n/fail it broke")
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["status"] == "failed"
    assert events[-1]["response"]["error"] == {"code": "internal_error", "message": "it broke"}


async def test_a_refusal_has_its_own_status(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/responses", json={"input": "/refuse full", "stream": True})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"


async def test_a_deadline_ends_a_stream_with_an_error_event() -> None:
    settings = ServerSettings(deadline_s=0.05, overtime_s=0.0)
    app = create_app(EchoService(delay_s=0.04), settings=settings)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        events = await stream(client, "one two three four")
    assert events[-1]["type"] == "error"
    assert events[-1]["code"] == "deadline_exceeded"


async def test_a_kept_response_can_be_continued(client: httpx.AsyncClient, app: App) -> None:
    first = await ask(client, "one", instructions="only now")
    second = await ask(client, "two", previous_response_id=first["id"])
    kept = app.context.kept.get(second["id"], owner="")
    assert [(turn.role, turn.text) for turn in kept.past] == [
        *(("user", "one"), ("assistant", "one"), ("user", "two"), ("assistant", "two"))
    ]
    items = (await client.get(f"/v1/responses/{second['id']}/input_items")).json()
    assert [item["content"] for item in items["data"]] == [[{"type": "input_text", "text": "two"}]]
    assert items["first_id"] == items["last_id"] == items["data"][0]["id"]


async def test_a_kept_response_can_be_read_and_deleted(client: httpx.AsyncClient) -> None:
    response = await ask(client, "hi")
    address = f"/v1/responses/{response['id']}"
    assert (await client.get(address)).json() == response
    deleted = (await client.delete(address)).json()
    assert deleted == {"id": response["id"], "object": "response", "deleted": True}
    answer = await client.get(address)
    assert answer.status_code == 404
    assert "There is no response" in answer.json()["error"]["message"]


async def test_what_is_not_to_be_kept_is_not(client: httpx.AsyncClient) -> None:
    response = await ask(client, "hi", store=False)
    body = {"input": "on", "previous_response_id": response["id"]}
    answer = await client.post("/v1/responses", json=body)
    assert answer.status_code == 404
    assert answer.json()["error"]["param"] == "previous_response_id"


async def test_a_response_is_its_owners_alone() -> None:
    app = create_app(EchoService(), settings=ServerSettings(api_keys=("a", "b")))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        client.headers["authorization"] = "Bearer a"
        address = f"/v1/responses/{(await ask(client, 'secret'))['id']}"
        assert (await client.get(address)).status_code == 200
        client.headers["authorization"] = "Bearer b"
        for method in ("GET", "DELETE"):
            assert (await client.request(method, address)).status_code == 404


async def test_items_become_turns(client: httpx.AsyncClient, app: App) -> None:
    response = await ask(
        client,
        [
            {"role": "developer", "content": "rules"},
            {"role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
            {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "look"}]},
            {"type": "function_call", "call_id": "c1", "name": "get", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "It rains."}]},
            {"role": "user", "content": "thanks"},
        ],
    )
    turns = app.context.kept.get(response["id"], owner="").past
    assert [(turn.role, turn.text) for turn in turns[:-1]] == [
        ("system", "rules"),
        ("user", "weather?"),
        ("assistant", ""),
        ("tool", "rain"),
        ("assistant", "It rains."),
        ("user", "thanks"),
    ]
    assert turns[2].reasoning == "look"
    assert turns[2].tool_calls[0].name == "get"
    assert turns[3].tool_call_id == "c1"
    items = (await client.get(f"/v1/responses/{response['id']}/input_items")).json()["data"]
    assert [item["type"] for item in items] == [
        *("message", "message", "function_call_output", "function_call", "message", "message")
    ]


async def test_input_tokens_are_counted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/responses/input_tokens", json={"input": "one two"})
    assert answer.json() == {"object": "response.input_tokens", "input_tokens": 3}


async def test_a_required_tool_is_called(client: httpx.AsyncClient) -> None:
    named = {"type": "function", "name": "get"}
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [named]}
    for choice in ("required", named, allowed):
        response = await ask(client, "", tools=[CALL], tool_choice=choice)
        assert response["output"][-1]["name"] == "get"
        assert response["tool_choice"] == choice


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"background": True}, "background", "not run in the background"),
        ({"n": 2}, "n", "a response is one answer"),
        ({"conversation": "c"}, "conversation", "previous_response_id"),
        ({"input": [{"content": "x"}]}, "input[0].role", "is missing"),
        ({"input": [{"type": "odd"}]}, "input[0].type", "'odd' are not taken"),
        ({"input": [{"type": "function_call"}]}, "input[0].call_id", "is missing"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name", "is missing"),
        ({"input": [{"type": "function_call_output"}]}, "input[0].call_id", "is missing"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "'web_search' are not run here"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "is missing"),
        ({"tool_choice": "required"}, "tool_choice", "`tools` is empty"),
        ({"tool_choice": {"type": "odd"}}, "tool_choice", "cannot be read"),
        ({"tool_choice": {"type": "function", "name": "a"}}, "tool_choice", "names 'a'"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema", "is missing"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    client: httpx.AsyncClient, fields: dict[str, Any], param: str, message: str
) -> None:
    answer = await client.post("/v1/responses", json={"input": "hi", **fields})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert message in error["message"]


async def test_to_cancel_a_response_that_ended_changes_nothing(client: httpx.AsyncClient) -> None:
    response = await ask(client, "hi")
    answer = await client.post(f"/v1/responses/{response['id']}/cancel")
    assert answer.json() == response
    assert (await client.post("/v1/responses/resp_x/cancel")).status_code == 404


async def test_a_kept_response_may_be_streamed_again(client: httpx.AsyncClient) -> None:
    response = await ask(client, "one two", max_output_tokens=1)
    answer = await client.get(f"/v1/responses/{response['id']}?stream=true")
    name, data = answer.text.strip().split("\n")
    assert name == "event: response.incomplete"
    assert json.loads(data.removeprefix("data: "))["response"] == response


async def test_a_schema_reaches_the_service(client: httpx.AsyncClient) -> None:
    schema = {"type": "json_schema", "name": "x", "schema": {"type": "object"}}
    response = await ask(client, "hi", text={"format": schema})
    assert response["text"]["format"] == schema


async def test_a_model_without_a_template_is_refused(service: EchoService) -> None:

    service.card = msgspec.structs.replace(service.card, has_chat_template=False)
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        answer = await client.post("/v1/responses", json={"input": "hi"})
    assert "has no chat template" in answer.json()["error"]["message"]
