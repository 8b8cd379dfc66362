"""Refusals say what was asked, what there is, and what to do."""

from __future__ import annotations

import pytest

from myna.core.errors import ContextOverflow, InvalidRequest, Overloaded


@pytest.mark.parametrize(
    ("token_ids", "fields", "param", "text"),
    [
        ([], {}, "prompt", "the prompt has no tokens"),
        ([1, 64], {}, "prompt", "`prompt` holds token id 64 but the model's go from 0 to 63"),
        ([-1], {}, "prompt", "`prompt` holds token id -1"),
        ([1], {"num_choices": 0}, "n", "`n` is 0 but must be from 1 to 16"),
        ([1], {"num_choices": 17}, "n", "`n` is 17 but must be from 1 to 16"),
        ([1], {"logit_bias": {64: 1.0}}, "logit_bias", "`logit_bias` holds token id 64"),
    ],
)
def test_a_wrong_field_is_named(kit, token_ids, fields, param, text):
    with pytest.raises(InvalidRequest) as caught:
        kit.make_engine().add(kit.make_request("a", token_ids, **fields))
    assert text in caught.value.message
    assert caught.value.param == param


def test_a_prompt_longer_than_the_context_is_refused_with_both_lengths(kit):
    engine = kit.make_engine(max_context=32)
    with pytest.raises(ContextOverflow) as caught:
        engine.add(kit.make_request("a", [1] * 40))
    assert "the prompt has 40 tokens but only 32 fit" in caught.value.message
    assert "`--max-context`" in caught.value.message
    assert caught.value.code == "context_length_exceeded"


def test_a_prompt_that_leaves_no_room_for_an_answer_is_refused(kit):
    engine = kit.make_engine(max_context=32)
    with pytest.raises(ContextOverflow, match="the prompt has 32 tokens"):
        engine.add(kit.make_request("a", [1] * 32))
    engine.add(kit.make_request("a", [1] * 32, max_tokens=0))
    engine.add(kit.make_request("b", [1] * 31, max_tokens=1))


def test_an_answer_longer_than_the_rest_of_the_context_is_refused(kit):
    engine = kit.make_engine(max_context=32)
    with pytest.raises(ContextOverflow) as caught:
        engine.add(kit.make_request("a", [1] * 30, max_tokens=9))
    assert "`max_tokens` is 9 but only 2 fit after a prompt of 30" in caught.value.message
    assert caught.value.param == "max_tokens"


def test_what_can_never_fit_the_cache_is_refused(kit):
    engine = kit.make_engine(num_kv_tokens=16)
    with pytest.raises(ContextOverflow, match="give the key/value cache more memory"):
        engine.add(kit.make_request("a", [1] * 10, max_tokens=7))
    engine.add(kit.make_request("a", [1] * 10, max_tokens=6))
    assert len(kit.run_all(engine)) == 6


def test_a_full_queue_refuses_with_a_time_to_try_again(kit):
    engine = kit.make_engine(max_waiting_requests=2)
    for name in "ab":
        engine.add(kit.make_request(name, [1]))
    with pytest.raises(Overloaded) as caught:
        engine.add(kit.make_request("c", [1]))
    assert "3 answers of 3 tokens would wait, but at most 2" in caught.value.message
    assert caught.value.retry_after_s >= 1.0
    engine.step()
    engine.add(kit.make_request("c", [1]))


def test_a_queue_with_too_many_tokens_refuses(kit):
    engine = kit.make_engine(max_waiting_tokens=50)
    engine.add(kit.make_request("a", [1] * 40))
    with pytest.raises(Overloaded, match="at most 256 of 50 may"):
        engine.add(kit.make_request("b", [1] * 11))


def test_choices_behind_their_first_sibling_count_as_waiting(kit):
    engine = kit.make_engine(max_waiting_requests=4)
    engine.add(kit.make_request("a", [1], num_choices=4))
    with pytest.raises(Overloaded, match="the queue is full"):
        engine.add(kit.make_request("b", [1]))


def test_an_empty_queue_takes_what_is_longer_than_itself(kit):
    engine = kit.make_engine(max_waiting_tokens=5)
    engine.add(kit.make_request("a", [1] * 30, max_tokens=1))
    assert len(kit.run_all(engine)) == 1
