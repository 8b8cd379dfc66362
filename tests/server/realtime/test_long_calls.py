"""Long calls: what a session forgets, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from myna.core.errors import ContextOverflow
from myna.core.events import Failed, Finished, TextDelta, Usage
from myna.core.messages import AudioPart
from myna.core.requests import ChatInput
from myna.media.turns import Started, Stopped

START, STOP = Started(at_sample=12_000), Stopped(at_sample=36_000)


def test_a_full_conversation_fails_the_answer(open_line: Callable[..., Any]) -> None:
    line = open_line(max_items=1)
    line.ask("hi")
    said = line.serve(line.asks()[0].key, TextDelta(index=0, text="hello"))
    assert said[-1]["response"]["status"] == "failed"
    assert (
        "The conversation has 1 items" in said[-1]["response"]["status_details"]["error"]["message"]
    )
    assert line.session.num_open == 0


def test_a_conversation_that_is_too_long_loses_its_oldest_turns(line: Any) -> None:
    for idx in range(8):
        line.ask(f"turn {idx}")
        line.answer(line.asks()[-1].key, f"answer {idx}")
    line.ask("last turn")
    too_long = Failed(error=ContextOverflow("too long").info())
    key = line.asks()[-1].key
    lengths = []
    for _ in range(3):
        assert line.serve(key, too_long) == []
        question = line.asks()[-1].request.input
        assert isinstance(question, ChatInput)
        assert question.messages[0].role == "user"
        assert question.messages[-1].text == "last turn"
        lengths.append(len(question.messages))
    assert lengths == [9, 5, 3]
    line.serve(key, too_long)
    done = line.serve(key, too_long)[-1]
    assert done["response"]["status_details"]["error"]["code"] == "context_length_exceeded"
    assert len(line.session.conversation.items) == 17
    line.ask("on we go")
    line.answer(line.asks()[-1].key)


def test_a_long_call_never_holds_more_media_than_a_request_may(line: Any) -> None:
    line.update(audio={"input": {"transcription": {}}})
    done = Finished(index=0, reason="stop", usage=Usage(prompt_tokens=1, completion_tokens=1))
    for idx in range(40):
        line.turn(START)
        line.turn(STOP)
        hear, ask = line.asks()[-2:]
        line.serve(hear.key, TextDelta(index=0, text=f"turn {idx}"), done)
        question = ask.request.input
        assert isinstance(question, ChatInput)
        sounds = [part for turn in question.messages for part in turn.content]
        assert sum(isinstance(part, AudioPart) for part in sounds) <= 12
        assert isinstance(question.messages[-1].content[0], AudioPart)
        line.answer(ask.key)
    assert "turn 0" in [turn.text for turn in question.messages]


def test_old_sounds_are_forgotten_and_their_words_stay(open_line: Callable[..., Any]) -> None:
    line = open_line(max_media_bytes=30_000)
    content = [{"type": "input_audio", "audio": "AAAA" * 5000, "transcript": "first words"}]
    for _ in range(3):
        item = {"type": "message", "role": "user", "content": content}
        line.say(type="conversation.item.create", item=item)
    line.say(type="response.create")
    question = line.asks()[0].request.input
    assert isinstance(question, ChatInput)
    kinds_of = [type(turn.content[0]).__name__ for turn in question.messages]
    assert kinds_of == ["TextPart", "TextPart", "AudioPart"]
