"""Reading answers token by token."""

from hypothesis import given
from hypothesis import strategies as st

from myna.core.events import ReasoningDelta, TextDelta, TokenLogprob, ToolCallDelta
from myna.text.answer import AnswerEvent, AnswerParser, Reasoning, new_call_id
from myna.text.tokenizer import Tokenizer

CALL = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'


def score(tokenizer: Tokenizer, token_id: int) -> TokenLogprob:
    """Make a log-probability that can be told from others."""
    raw = tokenizer.token_bytes(token_id)
    return TokenLogprob(
        token_id=token_id, token=raw.decode(errors="replace"), token_bytes=raw, logprob=-token_id
    )


def run(parser: AnswerParser, tokenizer: Tokenizer, ids: list[int]) -> list[AnswerEvent]:
    """Feed tokens until a stop string, then end."""
    events: list[AnswerEvent] = []
    for token_id in ids:
        events += parser.feed(token_id, score(tokenizer, token_id))
        if parser.stop is not None:
            break
    return events + parser.finish()


def text_of(events: list[AnswerEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def reasoning_of(events: list[AnswerEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, ReasoningDelta))


def scored_ids(events: list[AnswerEvent]) -> list[int]:
    """List the tokens whose log-probabilities came with text."""
    return [s.token_id for e in events if isinstance(e, TextDelta) for s in e.logprobs]


def test_reasoning_text_and_calls_come_apart(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(f"why\n</think>\n\nLook: 🤖\n{CALL}\n{CALL}")
    parser = AnswerParser(
        tokenizer,
        index=3,
        reasoning=Reasoning.IN_PROMPT,
        has_tools=True,
        make_call_id=iter(["first", "second"]).__next__,
    )
    events = run(parser, tokenizer, ids)
    assert reasoning_of(events) == "why"
    assert text_of(events) == "Look: 🤖"
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    begun = [(call.call_idx, call.id, call.name) for call in calls if call.name is not None]
    assert begun == [(0, "first", "f"), (1, "second", "f")]
    for call_idx in (0, 1):
        parts = [call.arguments for call in calls if call.call_idx == call_idx]
        assert "".join(parts) == '{"a": 1}'
    assert all(event.index == 3 for event in events)
    assert parser.num_calls == 2
    assert parser.finish_reason("stop") == "tool_calls"
    assert parser.finish_reason("length") == "length"
    think_end = tokenizer.id_of("</think>")
    assert think_end is not None
    assert parser.num_reasoning_tokens == ids.index(think_end) + 1


def test_without_reasoning_and_tools_tags_are_text(tokenizer: Tokenizer) -> None:
    text = f"<think>a</think>{CALL}"
    parser = AnswerParser(tokenizer)
    assert text_of(run(parser, tokenizer, tokenizer.encode(text))) == text
    assert not parser.is_reasoning
    assert parser.num_calls == parser.num_reasoning_tokens == 0
    assert parser.finish_reason("stop") == "stop"


def test_stop_strings_end_the_answer_and_not_the_reasoning(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("a END b</think>c END d")
    parser = AnswerParser(tokenizer, stops=["END"], reasoning=Reasoning.IN_PROMPT)
    events = run(parser, tokenizer, ids)
    assert (reasoning_of(events), text_of(events)) == ("a END b", "c ")
    assert parser.stop == "END"
    assert parser.feed(ids[0]) == []


def test_tokens_of_a_stop_string_have_no_logprobs(tokenizer: Tokenizer) -> None:
    before = tokenizer.encode("good ")
    ids = before + [i for character in "STOP" for i in tokenizer.encode(character)]
    events = run(AnswerParser(tokenizer, stops=["STOP"], has_tools=True), tokenizer, ids)
    assert text_of(events) == "good "
    assert scored_ids(events) == before


def test_every_token_of_plain_text_has_its_logprob_once(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("naïve 🤖🤖 日本 <tool_ no call ")
    for has_tools in (False, True):
        events = run(AnswerParser(tokenizer, has_tools=has_tools), tokenizer, ids)
        assert scored_ids(events) == ids


def test_tokens_of_reasoning_and_calls_have_no_logprobs(tokenizer: Tokenizer) -> None:
    answer = tokenizer.encode("yes")
    ids = tokenizer.encode("<think>why</think>") + answer + tokenizer.encode(CALL)
    parser = AnswerParser(tokenizer, reasoning=Reasoning.IN_ANSWER, has_tools=True)
    events = run(parser, tokenizer, ids)
    assert (reasoning_of(events), text_of(events)) == ("why", "yes")
    assert scored_ids(events) == answer


def test_a_logprob_comes_with_the_beginning_of_its_text(tokenizer: Tokenizer) -> None:
    parser = AnswerParser(tokenizer, stops=["b!"])
    first, second = tokenizer.encode("a")[0], tokenizer.encode("b")[0]
    assert scored_ids(parser.feed(first, score(tokenizer, first))) == [first]
    assert parser.feed(second, score(tokenizer, second)) == []
    assert scored_ids(parser.finish()) == [second]


@given(data=st.data())
def test_no_tokens_break_the_parser(tokenizer: Tokenizer, data: st.DataObject) -> None:
    """Any ids: the text is what whole parsing gives, and no event is empty."""
    special = [tokenizer.id_of(t) for t in ("<think>", "</think>", "<tool_call>", "</tool_call>")]
    ids = data.draw(
        st.lists(
            st.integers(0, tokenizer.vocab_size - 1) | st.sampled_from([i for i in special if i]),
            max_size=30,
        )
    )
    parser = AnswerParser(
        tokenizer, stops=["ab"], reasoning=data.draw(st.sampled_from(Reasoning)), has_tools=True
    )
    events = run(parser, tokenizer, ids)
    assert all(e.text for e in events if isinstance(e, TextDelta | ReasoningDelta))
    assert "ab" not in text_of(events)
    assert parser.finish() == []


def test_call_ids_differ() -> None:
    assert new_call_id() != new_call_id()
    assert new_call_id().startswith("call_")
