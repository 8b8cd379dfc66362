"""The engine answers as the network alone would, and one request's trouble stays its own."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from myna.core.errors import ContextOverflow, DeadlineExceeded, InternalError, InvalidRequest
from myna.engine.tempo import MIN_TOKENS

LONG_S = 3600.0
LOGPROB_ATOL = 1e-4  # float32, two layers, in batches of other shapes


def test_one_request_gets_the_tokens_of_the_network_alone(kit):
    engine = kit.make_engine()
    prompt = kit.random_prompts(1, 1, 40)[0]
    engine.add(kit.make_request("a", prompt, max_tokens=20))
    outputs = kit.run_all(engine)
    assert kit.tokens_of(outputs, "a") == kit.obvious_greedy(kit.FakeDecoder(), prompt, 20)


def test_each_layer_of_a_prompt_is_told(kit):
    told = []
    engine = kit.make_engine(on_layer=lambda: told.append("layer"))
    engine.add(kit.make_request("a", [1, 2, 3], max_tokens=1))
    engine.step()
    assert len(told) == kit.num_layers


def test_many_requests_get_the_tokens_of_the_network_alone(kit):
    engine = kit.make_engine()
    prompts = kit.random_prompts(2, 12, 60)
    for number, prompt in enumerate(prompts):
        engine.add(kit.make_request(str(number), prompt, max_tokens=5 + number))
    outputs = kit.run_all(engine)
    for number, prompt in enumerate(prompts):
        wanted = kit.obvious_greedy(kit.FakeDecoder(), prompt, 5 + number)
        assert kit.tokens_of(outputs, str(number)) == wanted


def test_the_last_output_tells_why_and_how_much(kit):
    engine = kit.make_engine()
    engine.add(kit.make_request("a", [1, 2, 3], max_tokens=5))
    last = kit.run_all(engine)[-1]
    assert last.finish_reason == "length"
    account = last.account
    assert (account.prompt_tokens, account.completion_tokens, account.cached_tokens) == (3, 5, 0)
    timings = account.timings
    assert min(timings.queue_s, timings.prefill_s, timings.decode_s) >= 0


def test_a_stop_token_ends_the_answer_and_is_reported(kit):
    wanted = kit.obvious_greedy(kit.FakeDecoder(), [1, 2, 3], 8)
    stop = wanted[4]
    engine = kit.make_engine()
    engine.add(kit.make_request("a", [1, 2, 3], stop_token_ids=frozenset({stop})))
    outputs = kit.run_all(engine)
    assert kit.tokens_of(outputs, "a") == wanted[: wanted.index(stop) + 1]
    assert outputs[-1].finish_reason == "stop"


def test_an_ignored_stop_token_ends_nothing(kit):
    wanted = kit.obvious_greedy(kit.FakeDecoder(), [1, 2, 3], 8)
    engine = kit.make_engine()
    engine.add(
        kit.make_request(
            "a", [1, 2, 3], max_tokens=8, stop_token_ids=frozenset(wanted), ignore_eos=True
        )
    )
    assert kit.tokens_of(kit.run_all(engine), "a") == wanted


def test_without_a_limit_an_answer_fills_the_context(kit):
    engine = kit.make_engine(max_context=32)
    engine.add(kit.make_request("a", [1, 2, 3]))
    assert len(kit.tokens_of(kit.run_all(engine), "a")) == 29


def test_no_tokens_asked_for_ends_after_the_prompt(kit):
    engine = kit.make_engine()
    engine.add(kit.make_request("a", [1, 2, 3], max_tokens=0, prompt_logprobs=True))
    (output,) = kit.run_all(engine)
    assert (output.token, output.finish_reason) == (None, "length")
    assert len(output.prompt_scores) == 3


@pytest.mark.parametrize("preempts", [False, True])
def test_a_scored_prompt_has_the_log_probabilities_of_the_network(kit, preempts):
    prompt = [token_id for part in kit.random_prompts(3, 3, 30) for token_id in part]
    engine = kit.make_engine(max_step_tokens=len(prompt) // 3)
    engine.add(kit.make_request("warm", prompt, max_tokens=1))
    kit.run_all(engine)
    engine.add(kit.make_request("a", prompt, max_tokens=3, prompt_logprobs=True, logprobs=2))
    num_steps = 0

    def preempt_early(engine):
        nonlocal num_steps
        num_steps += 1
        if preempts and num_steps in (2, 4):
            engine.scheduler.preempt(engine.scheduler.running[0])

    outputs = kit.run_all(engine, preempt_early)
    scores = outputs[0].prompt_scores
    assert [score.token_id for score in scores] == prompt
    assert scores[0].logprob is None
    wanted = kit.whole_logits(kit.FakeDecoder(), prompt).log_softmax(-1)
    for position, score in enumerate(scores[1:]):
        row = wanted[position]
        assert score.logprob == pytest.approx(row[score.token_id].item(), abs=LOGPROB_ATOL)
        assert [token_id for token_id, _ in score.top] == row.topk(2).indices.tolist()
    assert all(output.prompt_scores is None for output in outputs[1:])


def test_log_probabilities_are_those_of_the_network(kit):
    prompt = [5, 6, 7]
    engine = kit.make_engine()
    engine.add(kit.make_request("a", prompt, max_tokens=4, logprobs=3))
    outputs = kit.run_all(engine)
    tokens = prompt + kit.tokens_of(outputs, "a")
    wanted = kit.whole_logits(kit.FakeDecoder(), tokens).log_softmax(-1)
    for position, output in enumerate(outputs, start=len(prompt) - 1):
        found = output.token
        row = wanted[position]
        assert found.logprob == pytest.approx(row[found.token_id].item(), abs=LOGPROB_ATOL)
        assert [token_id for token_id, _ in found.top] == row.topk(3).indices.tolist()


# Choices.


def test_choices_read_their_prompt_once_and_differ_by_their_index(kit):
    prompt = kit.random_prompts(5, 1, 1)[0] * 41
    engine = kit.make_engine()
    engine.add(kit.make_request("a", prompt, max_tokens=6, num_choices=4, temperature=1.0, seed=3))
    outputs = kit.run_all(engine)
    answers = [kit.tokens_of(outputs, "a", index) for index in range(4)]
    assert len({tuple(answer) for answer in answers}) > 1
    ends = [output for output in outputs if output.finish_reason is not None]
    assert sorted(output.index for output in ends) == [0, 1, 2, 3]
    assert sorted(output.account.cached_tokens for output in ends) == [0, 40, 40, 40]


def test_choices_share_their_prompt_even_when_requests_share_nothing(kit):
    prompt = [3] * 41
    engine = kit.make_engine(prefix_caching=False)
    outputs = []
    for name in "ab":
        engine.add(kit.make_request(name, prompt, max_tokens=2, num_choices=2))
        outputs += kit.run_all(engine)
    ends = [output for output in outputs if output.finish_reason is not None]
    cached = {(end.request_id, end.index): end.account.cached_tokens for end in ends}
    assert cached == {("a", 0): 0, ("a", 1): 40, ("b", 0): 0, ("b", 1): 40}


def test_a_choice_has_the_tokens_it_would_have_alone(kit):
    def answers(num_choices):
        engine = kit.make_engine()
        request = kit.make_request(
            "a", [1, 2, 3], max_tokens=9, temperature=1.0, seed=5, num_choices=num_choices
        )
        engine.add(request)
        outputs = kit.run_all(engine)
        return [kit.tokens_of(outputs, "a", index) for index in range(num_choices)]

    assert answers(3)[:1] == answers(1)


def test_choices_without_a_seed_differ_from_one_request_to_the_next(kit):
    engine = kit.make_engine()
    for name in "ab":
        engine.add(kit.make_request(name, [1, 2, 3], max_tokens=30, temperature=2.0))
    outputs = kit.run_all(engine)
    assert kit.tokens_of(outputs, "a") != kit.tokens_of(outputs, "b")


# Endings from outside.


def test_finishing_one_choice_leaves_the_others(kit):
    engine = kit.make_engine()
    engine.add(kit.make_request("a", [1, 2, 3], max_tokens=9, num_choices=2))
    engine.step()
    account = engine.finish("a", 0)
    assert account.completion_tokens == 1
    assert engine.finish("a", 0) is None
    outputs = kit.run_all(engine)
    assert {output.index for output in outputs} == {1}
    assert engine.finish("a", 1) is None


def test_cancelling_releases_every_block_at_once(kit):
    engine = kit.make_engine()
    for name in "abc":
        engine.add(kit.make_request(name, [1] * 50, num_choices=3))
    for _ in range(6):
        engine.step()
    assert engine.pool.num_used > 0
    for name in "abc":
        assert engine.cancel(name)
        assert not engine.cancel(name)
        engine.pool.check_integrity()
    assert engine.pool.num_used == 0
    assert not engine.has_work()
    assert engine.step() == []
    assert engine.stats().cancelled_requests == 3


def test_a_cancelled_request_id_may_be_used_again(kit):
    engine = kit.make_engine()
    engine.add(kit.make_request("a", [1]))
    with pytest.raises(AssertionError, match="request id 'a' is already in use"):
        engine.add(kit.make_request("a", [1]))
    engine.cancel("a")
    engine.add(kit.make_request("a", [1], max_tokens=1))
    assert len(kit.run_all(engine)) == 1


def test_a_passed_deadline_fails_waiting_and_running_requests(kit, monkeypatch):
    engine = kit.make_engine(max_running=1)
    soon_s = time.monotonic() + LONG_S
    for name in "ab":
        engine.add(kit.make_request(name, [1, 2], deadline_s=soon_s))
    engine.add(kit.make_request("c", [1, 2], max_tokens=2))
    assert engine.step()[0].error is None
    later = SimpleNamespace(monotonic=lambda: soon_s)
    monkeypatch.setattr("myna.engine.engine.time", later)
    outputs = kit.run_all(engine)
    errors = {output.request_id: output.error for output in outputs if output.error is not None}
    assert errors.keys() == {"a", "b"}
    assert isinstance(errors["a"], DeadlineExceeded)
    assert "the deadline passed after 1 tokens of the answer" in errors["a"].message
    assert len(kit.tokens_of(outputs, "c")) == 2


# Trouble stays where it belongs.


class Broken:
    """A constraint that raises after a number of tokens."""

    def __init__(self, after: int, error: Exception) -> None:
        self.after = after
        self.error = error

    def mask(self, token_ids):
        if len(token_ids) >= self.after:
            raise self.error

    def accept(self, token_id):
        pass


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (RuntimeError("secret"), InternalError, "choosing the next token failed"),
        (InvalidRequest("no such rule"), InvalidRequest, "no such rule"),
    ],
)
def test_a_failing_constraint_ends_its_own_request_only(kit, caplog, error, kind, text):
    engine = kit.make_engine()
    engine.add(kit.make_request("a", [1, 2, 3], max_tokens=8))
    engine.add(kit.make_request("b", [4] * 9, num_choices=2, make_mask=lambda _: Broken(3, error)))
    engine.add(kit.make_request("c", [1, 2, 3], max_tokens=8))
    outputs = kit.run_all(engine)
    failures = [output for output in outputs if output.error is not None]
    assert [output.request_id for output in failures] == ["b"]
    assert [output for output in outputs if output.request_id == "b"][-1] is failures[0]
    assert isinstance(failures[0].error, kind)
    assert text in failures[0].error.message
    assert "secret" not in failures[0].error.message
    kit.check_others(engine, outputs, "ac")
    assert engine.stats().failed_requests == 1


# What is refused.


def test_a_refused_request_leaves_no_trace(kit):
    engine = kit.make_engine(max_context=16)
    with pytest.raises(ContextOverflow):
        engine.add(kit.make_request("a", [1] * 17))
    assert not engine.has_work()
    assert engine.step() == []


def test_a_preempted_sequence_waits_with_all_its_tokens(kit):
    engine = kit.make_engine()
    engine.add(kit.make_request("a", [1] * 10))
    engine.step()
    engine.scheduler.preempt(engine.scheduler.running[0])
    stats = engine.stats()
    assert (stats.num_waiting, stats.waiting_tokens, stats.num_preemptions) == (1, 11, 1)


def test_right_guesses_make_a_step_answer_several_tokens(kit):
    engine = kit.make_engine(max_guesses=4)
    bias = {7: 100.0}
    engine.add(kit.make_request("a", [1, 2], max_tokens=20, logit_bias=bias))
    num_steps = 0

    def count(engine):
        nonlocal num_steps
        num_steps += 1

    outputs = kit.run_all(engine, count)
    assert kit.tokens_of(outputs, "a") == [7] * 20
    assert num_steps < 12
    assert [output.finish_reason for output in outputs] == [None] * 19 + ["length"]


def test_a_stop_token_ends_the_answer_among_right_guesses(kit):
    engine = kit.make_engine(max_guesses=4)
    request = kit.make_request(
        "a",
        [1, 2, 7, 7, 7, 8, 7, 7],
        max_tokens=20,
        logit_bias={7: 50.0, 8: 50.0},
        stop_token_ids=frozenset({8}),
    )
    engine.add(request)
    outputs = kit.run_all(engine)
    tokens = kit.tokens_of(outputs, "a")
    alone = kit.make_engine()
    alone.add(request)
    assert tokens == kit.tokens_of(kit.run_all(alone), "a")


def test_stats_count_what_happened(kit):
    engine = kit.make_engine(max_running=1)
    for name in "ab":
        engine.add(kit.make_request(name, [1] * 10, max_tokens=3))
    engine.step()
    stats = engine.stats()
    assert (stats.num_running, stats.num_waiting, stats.waiting_tokens) == (1, 1, 10)
    assert stats.used_blocks + stats.cached_blocks + stats.free_blocks == 256
    kit.run_all(engine)
    stats = engine.stats()
    assert (stats.prompt_tokens, stats.cached_tokens, stats.output_tokens) == (20, 8, 6)
    assert (stats.finished_choices, stats.num_running, stats.num_waiting) == (2, 0, 0)
    assert stats.tokens_per_s > 0


def test_how_far_a_prompt_is_read_is_told_after_each_step(kit):
    told: list[int] = []
    engine = kit.make_engine(max_step_tokens=64)
    engine.add(kit.make_request("a", [5] * 150, max_tokens=3, on_read=told.append))
    kit.run_all(engine)
    assert told == [64, 128, 150]


def test_prompts_are_read_in_short_chunks_while_others_need_the_processor(kit):
    decoder = kit.FakeDecoder()
    engine = kit.make_engine(decoder, max_step_tokens=64, prefill_chunk_tokens=32)
    engine.add(kit.make_request("a", [5] * 120, max_tokens=1))
    for slack_s in (0.0, 1e9, None):
        engine.step(slack_s)
    assert decoder.batch_sizes == [MIN_TOKENS, 32, 64]
