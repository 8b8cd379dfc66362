"""The session as a machine: what is said and done, in which order, without a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from myna.core.errors import Overloaded
from myna.core.events import AudioDelta, Failed, Finished, TextDelta, ToolCallDelta, Usage
from myna.core.messages import AudioPart, ImagePart, VideoPart
from myna.core.requests import ChatInput
from myna.media.turns import Paused, Started, Stopped
from myna.server.realtime.dialects import BETA, DASHSCOPE
from myna.server.realtime.effects import Ask, Close, Stop
from myna.server.realtime.server_events import ServerEvent

START, STOP = Started(at_sample=12_000), Stopped(at_sample=36_000)
PICTURE = "iVBORw0KGgo="


def names(said: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in said]


def error_of(said: list[dict[str, Any]]) -> dict[str, Any]:
    (event,) = [event for event in said if event["type"] == "error"]
    error: dict[str, Any] = event["error"]
    return error


def kinds(line: Any) -> list[str]:
    return [type(output).__name__ for output in line.outputs if not isinstance(output, ServerEvent)]


def test_a_turn_becomes_an_item_and_is_answered(line: Any) -> None:
    line.turn(data=bytes(24_000))
    assert names(line.turn(START)) == ["input_audio_buffer.speech_started"]
    said = line.turn(STOP)
    assert names(said) == [
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    started = line.said[1]
    assert started["audio_start_ms"] == 200  # what is kept before speech began is part of it
    assert started["item_id"] == said[1]["item_id"] == said[2]["item"]["id"]
    (ask,) = line.asks()
    question = ask.request.input
    assert isinstance(question, ChatInput)
    (part,) = question.messages[0].content
    assert isinstance(part, AudioPart)
    assert part.data.startswith(b"RIFF")
    assert ask.request.speech is not None


def test_a_spoken_answer_has_all_its_events_in_order(line: Any) -> None:
    line.ask("hi")
    said = line.answer(line.asks()[0].key)
    assert names(said) == [
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    response = said[-1]["response"]
    assert response["status"] == "completed"
    assert response["usage"] == {
        "total_tokens": 12,
        "input_tokens": 7,
        "output_tokens": 5,
        "input_token_details": {"text_tokens": 7, "audio_tokens": 0, "cached_tokens": 0},
        "output_token_details": {"text_tokens": 3, "audio_tokens": 2},
    }
    assert line.session.num_open == 0


def test_a_call_is_told_how_fast_its_speech_is_made(line: Any) -> None:
    line.ask("hi")
    key = line.asks()[0].key
    sounds = [
        AudioDelta(index=0, pcm=b"11", rate_hz=24_000, realtime_factor=factor)
        for factor in (None, 1.25, 0.5)
    ]
    end = Finished(index=0, reason="stop", usage=Usage(prompt_tokens=1, completion_tokens=1))
    said = line.serve(key, *sounds, end)
    told = [event.get("myna") for event in said if event["type"] == "response.output_audio.delta"]
    assert told == [None, {"realtime_factor": 1.25}, {"realtime_factor": 0.5}]
    assert said[-1]["response"]["myna"] == {"realtime_factor": 0.5}


def test_speech_stops_the_answer_in_the_same_moment(line: Any) -> None:
    line.ask("hi")
    key = line.asks()[0].key
    line.serve(
        key, TextDelta(index=0, text="word "), AudioDelta(index=0, pcm=b"11", rate_hz=24_000)
    )
    line.outputs.clear()
    said = line.turn(START)
    assert names(said)[0] == "input_audio_buffer.speech_started"
    assert said[-1]["response"]["status_details"] == {
        "type": "cancelled",
        "reason": "turn_detected",
    }
    assert [output for output in line.outputs if isinstance(output, Stop)] == [Stop(key=key)]
    assert line.serve(key, TextDelta(index=0, text="late")) == []
    item = line.session.conversation.items[-1]
    assert (item.status, item.parts[0].text) == ("incomplete", "word ")


def test_an_answer_may_be_kept_from_interruption(line: Any) -> None:
    line.update(
        audio={"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}}
    )
    line.ask("hi")
    said = [*line.turn(START), *line.turn(STOP)]
    assert "response.done" not in names(said)
    assert len(line.asks()) == 1


def test_truncation_cuts_the_transcript_to_what_was_heard(line: Any) -> None:
    line.ask("hi")
    done = line.answer(line.asks()[0].key, "one two three four five six", seconds=3.0)[-1]
    item_id = done["response"]["output"][0]["id"]
    said = line.say(
        type="conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1500
    )
    assert names(said) == ["conversation.item.truncated"]
    (item,) = [item for item in line.session.conversation.items if item.id == item_id]
    assert item.parts[0].text in ("one two", "one two three")
    line.ask("go on")
    question = line.asks()[1].request.input
    assert isinstance(question, ChatInput)
    assert [turn.text for turn in question.messages] == ["hi", item.parts[0].text, "go on"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"item_id": "nobody"}, "There is no item 'nobody'"),
        ({"content_index": 1}, "has no sound at `content_index` 1"),
        ({"audio_end_ms": 5000}, "is 5000, but the sound lasts 1000 ms"),
    ],
)
def test_a_truncation_that_makes_no_sense_is_refused(
    line: Any, fields: dict[str, Any], message: str
) -> None:
    line.ask("hi")
    done = line.answer(line.asks()[0].key)[-1]
    item_id = done["response"]["output"][0]["id"]
    cut = {"item_id": item_id, "content_index": 0, "audio_end_ms": 10, **fields}
    said = line.say(type="conversation.item.truncate", event_id="mine", **cut)
    error = error_of(said)
    assert message in error["message"]
    assert error["event_id"] == "mine"
    asked = line.session.conversation.items[0].id
    said = line.say(type="conversation.item.truncate", item_id=asked, audio_end_ms=1)
    assert "only answers are truncated" in error_of(said)["message"]


def test_a_call_of_a_function_is_an_item_of_its_own(line: Any) -> None:
    tool = {"type": "function", "name": "look", "parameters": {"type": "object"}}
    line.update(tools=[tool], tool_choice="required")
    line.ask("hi")
    request = line.asks()[0].request
    assert isinstance(request.input, ChatInput)
    assert (request.input.tools[0].name, request.input.tool_choice) == ("look", "required")
    said = line.serve(
        line.asks()[0].key,
        TextDelta(index=0, text="Let me see."),
        ToolCallDelta(index=0, call_idx=0, id="call_9", name="look", arguments='{"a"'),
        ToolCallDelta(index=0, call_idx=0, arguments=": 1}"),
        Finished(index=0, reason="tool_calls", usage=Usage(prompt_tokens=1, completion_tokens=1)),
    )
    message, call = said[-1]["response"]["output"]
    assert message["type"] == "message"
    assert (call["call_id"], call["name"], call["arguments"]) == ("call_9", "look", '{"a": 1}')
    output = {"type": "function_call_output", "call_id": "call_9", "output": "4"}
    line.say(type="conversation.item.create", item=output)
    line.say(type="response.create", response={"tool_choice": {"type": "function", "name": "look"}})
    question = line.asks()[1].request.input
    assert isinstance(question, ChatInput)
    assert [turn.role for turn in question.messages] == ["user", "assistant", "tool"]
    assert question.messages[1].tool_calls[0].id == "call_9"
    assert question.tool_choice == "required"


def test_a_tool_that_is_not_there_cannot_be_required(line: Any) -> None:
    named = {"type": "function", "name": "look"}
    for choice, why in (
        ("required", "`tool_choice` is required but `tools` is empty."),
        (named, "`tool_choice` names 'look', which is not in `tools`."),
    ):
        error = error_of(line.update(tool_choice=choice))
        assert (error["message"], error["param"]) == (why, "session.tool_choice")


def test_a_failed_answer_says_why(line: Any) -> None:
    line.ask("hi")
    failed = Failed(error=Overloaded("too much").info())
    (done,) = line.serve(line.asks()[0].key, failed)
    details = done["response"]["status_details"]
    assert details["type"] == "failed"
    assert details["error"]["message"] == "too much"


def test_an_answer_cut_at_its_length_is_incomplete(line: Any) -> None:
    line.say(type="response.create", response={"instructions": "Hi.", "max_output_tokens": 3})
    request = line.asks()[0].request
    assert request.sampling.max_tokens == 3
    cut = Finished(index=0, reason="length", usage=Usage(prompt_tokens=1, completion_tokens=3))
    done = line.serve(line.asks()[0].key, TextDelta(index=0, text="a b c"), cut)[-1]
    assert done["response"]["status_details"]["reason"] == "max_output_tokens"


def test_one_answer_of_the_conversation_at_a_time_and_some_beside_it(line: Any) -> None:
    line.ask("hi")
    second = line.say(type="response.create")
    assert error_of(second)["code"] == "conversation_already_has_active_response"
    for _ in range(3):
        assert names(line.say(type="response.create", response={"conversation": "none"})) == [
            "response.created"
        ]
    said = line.say(type="response.create", response={"conversation": "none"})
    assert "4 answers are under way" in error_of(said)["message"]


def test_an_answer_is_cancelled_by_its_id_or_without(line: Any) -> None:
    assert error_of(line.say(type="response.cancel"))["code"] == "response_cancel_not_active"
    line.ask("hi")
    said = line.say(type="response.cancel", response_id="resp_other")
    assert error_of(said)["param"] == "response_id"
    said = line.say(type="response.cancel")
    assert said[-1]["response"]["status_details"]["reason"] == "client_cancelled"
    line.say(type="response.create")
    said = line.say(type="output_audio_buffer.clear")
    assert said[-1]["response"]["status"] == "cancelled"


def test_there_must_be_something_to_answer(line: Any) -> None:
    assert error_of(line.say(type="response.create"))["code"] == "conversation_empty"


def test_turns_by_hand_need_sound(line: Any) -> None:
    line.update(audio={"input": {"turn_detection": None}})
    said = line.say(type="input_audio_buffer.commit")
    assert error_of(said)["code"] == "input_audio_buffer_commit_empty"
    line.sound()
    assert names(line.say(type="input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"
    assert line.asks() == []
    line.sound()
    assert names(line.say(type="input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert error_of(line.say(type="input_audio_buffer.commit"))


def test_sound_by_hand_is_bounded_and_long_turns_are_cut(open_line: Callable[..., Any]) -> None:
    line = open_line(max_turn_s=1.0)
    line.turn(START)
    said = [event for _ in range(6) for event in line.sound(bytes(9600))]
    assert "input_audio_buffer.speech_stopped" in names(said)
    line.update(audio={"input": {"turn_detection": None}})
    for _ in range(5):
        line.sound(bytes(9600))
    assert error_of(line.sound(bytes(9600)))["code"] == "input_audio_buffer_full"


def test_silence_is_not_kept(line: Any) -> None:
    for _ in range(100):
        line.sound(bytes(9600))
    line.turn(START)
    line.turn(STOP)
    (item,) = line.session.conversation.items
    assert len(item.parts[0].data) < 2 * 24_000 * 1.5


def test_what_was_said_is_written_down_and_stays(line: Any) -> None:
    line.update(audio={"input": {"transcription": {"language": "de", "prompt": "names"}}})
    line.turn(START)
    line.turn(STOP)
    hear, _ = line.asks()
    said = line.serve(hear.key, TextDelta(index=0, text=" Guten Tag. "))
    assert names(said) == ["conversation.item.input_audio_transcription.delta"]
    usage = Finished(index=0, reason="stop", usage=Usage(prompt_tokens=1, completion_tokens=1))
    (done,) = line.serve(hear.key, usage)
    assert done["transcript"] == "Guten Tag."
    assert line.session.conversation.items[0].parts[0].text == "Guten Tag."


def test_a_transcript_that_fails_leaves_the_turn(line: Any) -> None:
    line.update(audio={"input": {"transcription": {}}})
    line.turn(START)
    line.turn(STOP)
    (failed,) = line.serve(line.asks()[0].key, Failed(error=Overloaded("too much").info()))
    assert failed["type"] == "conversation.item.input_audio_transcription.failed"
    assert failed["error"]["message"] == "too much"
    assert line.session.num_open == 1


@pytest.mark.parametrize(
    ("words", "silence_s"),
    [("I am done.", 0.3), ("and then I", 0.6), ("I was going to", 1.2), ("first,", 1.2), ("", 0.6)],
)
def test_semantic_turns_wait_by_what_was_said(line: Any, words: str, silence_s: float) -> None:
    line.update(audio={"input": {"turn_detection": {"type": "semantic_vad"}}})
    line.turn(START)
    assert line.finder.silence_s == 0.6
    line.turn(Paused(at_sample=20_000))
    (ask,) = line.asks()
    usage = Finished(index=0, reason="stop", usage=Usage(prompt_tokens=1, completion_tokens=1))
    assert line.serve(ask.key, TextDelta(index=0, text=words), usage) == []
    assert line.finder.silence_s == pytest.approx(silence_s)
    line.turn(STOP)
    assert line.session.num_open == 1


def test_a_pause_that_is_judged_too_late_is_forgotten(line: Any) -> None:
    line.update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}})
    line.turn(START)
    line.turn(Paused(at_sample=20_000))
    first = line.asks()[0]
    line.turn(Paused(at_sample=30_000))
    assert Stop(key=first.key) in line.outputs
    line.turn(STOP)
    assert line.serve(first.key, TextDelta(index=0, text="late")) == []
    assert line.finder.silence_s == pytest.approx(0.6 * 1.6)


def test_what_a_camera_sees_joins_the_turn(line: Any) -> None:
    line.say(type="input_image_buffer.append", image=PICTURE)
    line.turn(START)
    line.turn(STOP)
    question = line.asks()[0].request.input
    assert isinstance(question, ChatInput)
    assert isinstance(question.messages[0].content[0], ImagePart)
    line.say(type="response.cancel")
    for _ in range(2):
        line.say(type="input_image_buffer.append", image=f"data:image/png;base64,{PICTURE}")
    line.turn(START)
    line.turn(STOP)
    question = line.asks()[1].request.input
    assert isinstance(question, ChatInput)
    assert isinstance(question.messages[1].content[0], VideoPart)


def test_a_model_that_only_writes_says_so(open_line: Callable[..., Any]) -> None:
    line = open_line(card={"inputs": ("text",), "outputs": ("text",), "voices": ()})
    assert line.said[0]["session"]["output_modalities"] == ["text"]
    assert "takes text, not sound" in error_of(line.sound())["message"]
    said = line.say(type="input_image_buffer.append", image=PICTURE)
    assert "does not take pictures" in error_of(said)["message"]
    said = line.update(output_modalities=["audio"])
    assert "answers with text only" in error_of(said)["message"]
    said = line.say(type="response.create", response={"output_modalities": ["audio"]})
    assert error_of(said)["param"] == "response.output_modalities"
    line.ask("hi")
    line.serve(line.asks()[0].key, TextDelta(index=0, text="hello"))
    assert "response.output_text.delta" in names(line.said)


def test_the_first_change_tells_the_dialect(open_line: Callable[..., Any]) -> None:
    line = open_line()
    (said,) = line.say(type="session.update", session={"modalities": ["text"], "voice": "aiden"})
    assert said["session"]["modalities"] == ["text"]
    assert line.session.dialect is BETA
    line = open_line()
    line.say(type="session.update", session={"instructions": "Be brief."})
    assert line.session.dialect.name == "openai"


def test_formats_by_their_old_names(open_line: Callable[..., Any]) -> None:
    line = open_line(dialect=DASHSCOPE, is_dialect_known=True)
    assert line.session.config.input.rate_hz == 16_000
    assert line.detections[0].silence_s == 0.8
    flat = {"input_audio_format": "g711_ulaw", "output_audio_format": "pcm24", "temperature": 0.5}
    (said,) = line.say(type="session.update", session=flat)
    assert said["session"]["input_audio_format"] == "g711_ulaw"
    said = line.say(type="session.update", session={"input_audio_format": "mp3"})
    assert "there is no audio format 'mp3'" in error_of(said)["message"]


def test_a_call_is_finished_when_nothing_is_open(open_line: Callable[..., Any]) -> None:
    line = open_line(dialect=DASHSCOPE)
    line.ask("hi")
    assert line.say(type="session.finish") == []
    said = line.answer(line.asks()[0].key)
    assert names(said)[-1] == "session.finished"
    assert isinstance(line.outputs[-1], Close)
    assert error_of(line.say(type="response.create"))["code"] == "no_responses"


def test_time_is_bounded(open_line: Callable[..., Any]) -> None:
    line = open_line(idle_s=10.0, session_s=30.0)
    line.now_s += 9.0
    line.sound()
    assert line.session.next_tick_s == 119.0
    assert line.take(line.session.tick(now_s=115.0)) == []
    said = line.take(line.session.tick(now_s=119.0))
    assert "has sent nothing for 10 s" in error_of(said)["message"]
    assert line.outputs[-1] == Close(code=1001, reason="session expired")
    line = open_line(idle_s=100.0, session_s=30.0)
    said = line.take(line.session.tick(now_s=130.0))
    assert error_of(said)["code"] == "session_expired"
    assert line.take(line.session.tick(now_s=131.0)) == []


def test_silence_after_an_answer_is_answered(line: Any) -> None:
    turns = {"type": "server_vad", "idle_timeout_ms": 5000}
    line.update(audio={"input": {"turn_detection": turns}})
    line.sound()
    line.ask("hi")
    line.answer(line.asks()[0].key, seconds=2.0)
    assert line.session.next_tick_s == pytest.approx(107.0)
    said = line.take(line.session.tick(now_s=107.0))
    assert names(said)[0] == "input_audio_buffer.timeout_triggered"
    assert names(said)[-1] == "response.created"


def test_a_session_that_only_listens_never_answers(line: Any) -> None:
    line.say(type="session.update", session={"type": "transcription"})
    line.turn(START)
    line.turn(STOP)
    assert kinds(line) == ["Ask"]
    assert error_of(line.say(type="response.create"))["code"] == "no_responses"


def test_going_away_is_told(line: Any) -> None:
    assert names(line.take(line.session.go_away())) == ["session.going_away"]


def test_every_ask_has_its_own_id(line: Any) -> None:
    line.ask("hi")
    line.say(type="response.create", response={"conversation": "none"})
    ids = [output.request.id for output in line.outputs if isinstance(output, Ask)]
    assert len(set(ids)) == 2
