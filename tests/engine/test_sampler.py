"""Sampling agrees with transformers' processors, draws what it should, and never mixes requests."""

from __future__ import annotations

import math

import pytest
import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from myna.core.errors import InternalError
from myna.core.requests import RequestId
from myna.engine.sampler import adjust, choose, distribution, draw, keep_nucleus, score, uniform
from myna.engine.sequence import EngineRequest, Sampling, Sequence

NUM_TRIALS = 3
LARGE_V = 20_000  # wider than the first two guesses at a nucleus
EDGE_ATOL = 1e-5  # transformers adds a whole vocabulary's probabilities in float32
PROBABILITY_ATOL = 1e-6  # float32 softmax over a few thousand terms


def make_sequence(
    prompt: tuple[int, ...] = (0,),
    answer: tuple[int, ...] = (),
    *,
    make_mask=None,
    make_override=None,
    **fields,
) -> Sequence:
    request = EngineRequest(
        id=RequestId("a"),
        token_ids=prompt,
        sampling=Sampling(**fields),
        make_mask=make_mask,
        make_override=make_override,
    )
    sequence = Sequence(request, 0, seed=1, arrival=0)
    for token_id in answer:
        sequence.append(token_id)
    return sequence


def probabilities(scores: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Spread our distribution over the whole vocabulary, (V,)."""
    ids, weights = distribution(scores, sampling)
    spread = weights if ids is None else torch.zeros_like(scores).index_copy(0, ids, weights)
    return spread / spread.sum()


def random_logits(seed: int, vocab_size: int) -> torch.Tensor:
    return 4 * torch.randn(vocab_size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("vocab_size", [50, LARGE_V])
@pytest.mark.parametrize(
    ("top_k", "top_p", "min_p"),
    [(None, 1.0, 0.0), (7, 1.0, 0.0), (None, 0.8, 0.0), (20, 0.8, 0.0), (None, 0.9999, 0.0),
     (None, 1.0, 0.1), (30, 0.95, 0.05), (1, 1.0, 0.0), (None, 1e-6, 0.0), (10**6, 0.5, 0.2)],
)  # fmt: skip
def test_the_distribution_is_that_of_transformers(vocab_size, top_k, top_p, min_p):
    for trial in range(NUM_TRIALS):
        prompt, answer, logits = (1, 2, 3, 3), (5, 6, 5), random_logits(trial, vocab_size)
        sequence = make_sequence(
            prompt,
            answer,
            temperature=0.7,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=1.3,
        )
        oracle = LogitsProcessorList(
            [RepetitionPenaltyLogitsProcessor(1.3), TemperatureLogitsWarper(0.7)]
        )
        if top_k is not None:
            oracle.append(TopKLogitsWarper(min(top_k, vocab_size)))
        if top_p < 1.0:
            oracle.append(TopPLogitsWarper(top_p))
        if min_p > 0.0:
            oracle.append(MinPLogitsWarper(min_p))
        wanted = oracle(torch.tensor([prompt + answer]), logits[None].clone())[0].softmax(-1)
        found = probabilities(adjust(logits, sequence), sequence.sampling)
        torch.testing.assert_close(found, wanted, atol=PROBABILITY_ATOL, rtol=0)
        differ = (found > 0) != (wanted > 0)  # by rounding, at the nucleus' far edge
        assert (found + wanted)[differ].sum().item() <= EDGE_ATOL


def test_top_k_keeps_all_that_equal_the_last_kept():
    scores = torch.tensor([1.0, 3.0, 2.0, 2.0, 0.0])
    found = probabilities(scores, Sampling(top_k=2))
    assert (found > 0).tolist() == [False, True, True, True, False]


def test_a_nucleus_keeps_the_token_that_reaches_the_share():
    kept = keep_nucleus(torch.tensor([0.1, 0.5, 0.2, 0.2]), 0.6)
    assert kept[1] > 0
    assert int((kept > 0).sum()) == 2


def test_a_nucleus_may_be_wider_than_the_first_guess():
    probabilities = torch.linspace(1.0, 2.0, LARGE_V).softmax(-1)
    kept = keep_nucleus(probabilities, 0.5) > 0
    first = int(kept.nonzero()[0])
    assert kept[first:].all()
    assert probabilities[first:].sum() >= 0.5 > probabilities[first + 1 :].sum()


def test_presence_and_frequency_penalties_count_the_answer_only():
    sequence = make_sequence((1, 1, 2), (3, 3, 4), presence_penalty=0.5, frequency_penalty=0.25)
    scores = adjust(torch.zeros(6), sequence)
    assert scores.tolist() == [0.0, 0.0, 0.0, -1.0, -0.75, 0.0]


def test_a_repetition_penalty_counts_the_prompt_too():
    sequence = make_sequence((1,), (2,), repetition_penalty=2.0)
    scores = adjust(torch.tensor([1.0, 1.0, -1.0, 1.0]), sequence)
    assert scores.tolist() == [1.0, 0.5, -2.0, 1.0]


def test_a_bias_is_added():
    sequence = make_sequence(logit_bias={1: 5.0, 2: -100.0})
    assert adjust(torch.zeros(3), sequence).tolist() == [0.0, 5.0, -100.0]


@pytest.mark.parametrize("answer", [(), (4,), (4, 5), (4, 5, 6), (5, 6, 4, 5)])
def test_a_sequence_is_biased_as_by_transformers(answer):
    prompt, logits = (1, 2, 4, 5), random_logits(0, 20)
    biases = (((7,), 1.5), ((4, 5, 6), -2.0), ((2, 4, 5, 6), 3.0), ((5, 6, 4), 0.5), ((9,) * 12, 4))
    oracle = LogitsProcessorList(
        [
            SequenceBiasLogitsProcessor([[list(ids), float(value)] for ids, value in biases]),
            RepetitionPenaltyLogitsProcessor(1.3),
        ]
    )
    wanted = oracle(torch.tensor([prompt + answer]), logits[None].clone())[0]
    sequence = make_sequence(prompt, answer, sequence_bias=biases, repetition_penalty=1.3)
    torch.testing.assert_close(adjust(logits, sequence), wanted, atol=0, rtol=0)


def test_adjusting_leaves_the_logits_as_they_were():
    logits = random_logits(0, 20)
    before = logits.clone()
    choose(logits, make_sequence((1,), (2,), repetition_penalty=2.0, logit_bias={3: 1.0}))
    assert torch.equal(logits, before)


def test_no_stop_token_is_chosen_before_the_least_number_of_tokens():
    stops = frozenset({1, 999})
    logits = torch.tensor([0.0, 9.0, 1.0])
    early = make_sequence((0,), (0,), temperature=0.0, min_tokens=2, stop_token_ids=stops)
    late = make_sequence((0,), (0, 0), temperature=0.0, min_tokens=2, stop_token_ids=stops)
    assert choose(logits, early).token_id == 2
    assert choose(logits, late).token_id == 1


def test_stop_tokens_stay_possible_when_they_stop_nothing():
    sequence = make_sequence(
        temperature=0.0, min_tokens=2, stop_token_ids=frozenset({1}), ignore_eos=True
    )
    assert choose(torch.tensor([0.0, 9.0]), sequence).token_id == 1


class Allow:
    """A constraint that allows the same ids always."""

    def __init__(self, *ids: int, size: int) -> None:
        self.allowed = torch.zeros(size, dtype=torch.bool)
        self.allowed[list(ids)] = True
        self.seen: list[list[int]] = []
        self.accepted: list[int] = []

    def mask(self, token_ids):
        self.seen.append(list(token_ids))
        return self.allowed

    def accept(self, token_id: int) -> None:
        self.accepted.append(token_id)


@pytest.mark.parametrize("size", [3, 5, 8])
def test_a_mask_allows_only_what_it_says(size):
    mask = Allow(1, 2, size=size)
    sequence = make_sequence((0,), (1,), temperature=0.0, make_mask=lambda _: mask)
    assert choose(torch.tensor([9.0, 1.0, 2.0, 9.0, 9.0]), sequence).token_id == 2
    assert (mask.seen, mask.accepted) == ([[1]], [1])


def test_a_mask_that_allows_nothing_is_an_error():
    sequence = make_sequence(make_mask=lambda _: Allow(size=3))
    with pytest.raises(InternalError, match="the constraint leaves no token that could come next"):
        choose(torch.zeros(3), sequence)


class Force:
    """Force one token after a number of tokens."""

    def next_forced(self, token_ids):
        return 3 if len(token_ids) == 2 else None


def test_a_forced_token_replaces_the_choice_and_keeps_its_score():
    logits = torch.tensor([9.0, 0.0, 0.0, 0.0])
    free = make_sequence((0,), (0,), temperature=0.0, make_override=lambda _: Force())
    bound = make_sequence(
        (0,), (0, 0), temperature=0.0, logprobs=1, make_override=lambda _: Force()
    )
    assert choose(logits, free).token_id == 0
    forced = choose(logits, bound)
    assert forced.token_id == 3
    assert forced.logprob == pytest.approx(logits.log_softmax(-1)[3].item())
    assert forced.top[0][0] == 0


@pytest.mark.parametrize("vocab_size", [64, 151_936])
def test_greedy_ties_go_to_the_lowest_id(vocab_size):
    logits = torch.zeros(vocab_size)
    places = [vocab_size // 3, vocab_size // 2, vocab_size - 1]
    logits[places] = 1.0
    assert choose(logits, make_sequence(temperature=0.0)).token_id == places[0]


def test_scores_are_of_the_untouched_row():
    logits = random_logits(3, 30)
    sequence = make_sequence(
        temperature=0.2, top_k=3, repetition_penalty=1.5, logprobs=4, logit_bias={5: 3.0}
    )
    found = choose(logits, sequence)
    wanted = logits.log_softmax(-1)
    assert found.logprob == pytest.approx(wanted[found.token_id].item())
    ranked = wanted.sort(descending=True)
    assert [token_id for token_id, _ in found.top] == ranked.indices[:4].tolist()
    assert [value for _, value in found.top] == pytest.approx(ranked.values[:4].tolist())


def test_equal_alternatives_are_listed_by_id():
    assert [token_id for token_id, _ in score(torch.zeros(4), 2, num_top=4).top] == [0, 1, 2, 3]


def test_scoring_may_ask_for_more_alternatives_than_there_are():
    assert len(score(torch.zeros(4), 2, num_top=9).top) == 4


def test_nothing_is_scored_unless_asked_for():
    assert choose(torch.zeros(4), make_sequence()).logprob is None


def test_draws_follow_the_distribution():
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    sampling = Sampling(temperature=1.0)
    counts = torch.zeros(4)
    num_draws = 4000
    for position in range(num_draws):
        counts[draw(logits, sampling, point=uniform(7, 0, position))] += 1
    wanted = logits.softmax(-1)
    spread = (wanted * (1 - wanted) / num_draws).sqrt()
    assert ((counts / num_draws - wanted).abs() < 4 * spread).all()


@pytest.mark.parametrize("point", [0.0, 0.5, 1 - 2**-48])
def test_no_point_draws_a_forbidden_token(point):
    logits = torch.tensor([-math.inf, 0.0, -math.inf, 0.0, -math.inf])
    assert draw(logits, Sampling(), point=point) in (1, 3)
    assert draw(logits, Sampling(top_k=4), point=point) in (1, 3)


def test_points_differ_by_seed_choice_and_position_only():
    points = {
        uniform(seed, choice, position)
        for seed in (0, 1, 11)
        for choice in range(3)
        for position in (0, 1, 11, 111)
    }
    assert len(points) == 3 * 3 * 4
    assert all(0 <= point < 1 for point in points)
    assert uniform(5, 0, 3) == uniform(5, 0, 3)


def test_every_position_of_every_seed_is_drawn_anew():
    logits = torch.zeros(1000)
    drawn = {
        choose(logits, make_sequence((0,), (0,) * num_before)).token_id for num_before in range(20)
    }
    assert len(drawn) > 15


def test_near_equal_tokens_do_not_change_places():
    logits = torch.tensor([1.0, 1.0, 1.0, 0.0])
    nudged = logits + torch.tensor([0.0, 1e-6, -1e-6, 0.0])
    sampling = Sampling(top_k=3, top_p=0.99)
    for number in range(50):
        point = uniform(number, 0, 0)
        assert draw(logits, sampling, point=point) == draw(nudged, sampling, point=point)
