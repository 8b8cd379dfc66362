"""Choose a token from a row of logits.

The order: sequence bias, repetition penalty, presence and frequency penalties, logit bias, masks
(stop tokens before `min_tokens`, then the constraint), temperature, top-k, top-p, min-p, draw.
Log-probabilities are those of the model's own row, before all of it, as OpenAI's are. Each row is
treated alone: nothing of one request can reach another's.
Source: the processors and warpers of transformers 5.23 `generation/logits_process.py`.
Differs: presence and frequency penalties, which transformers lacks, count the answer's tokens only
(OpenAI's API reference); equal logits are resolved by the lowest id.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

import torch
from torch import Tensor

from myna.core.errors import InternalError
from myna.engine.sequence import Sampling, Sequence, TokenScore
from myna.engine.tally import TokenTally

UNIFORM_BITS = 48  # few enough that `uniform() * total` can never round up to the total
# How many of the likeliest tokens are ranked first to find a nucleus, and how many times more when
# it is wider: to sort a whole vocabulary for each token would cost more than a small model's step.
NUCLEUS_GUESS, NUCLEUS_GROWTH = 1024, 8


def choose(logits: Tensor, sequence: Sequence) -> TokenScore:
    """Choose a sequence's next token, and score it if asked for.

    Args:
        logits: (V,) float32, not changed.
        sequence: whose next token it is; not changed.
    """
    token_id = _forced(sequence)
    if token_id is None:
        adjusted = adjust(logits, sequence)
        sampling = sequence.sampling
        if sampling.temperature == 0.0:
            token_id = int(adjusted.numpy().argmax())  # torch's own is slower by far
        else:
            point = uniform(sequence.seed, sequence.index, sequence.num_output)
            token_id = draw(adjusted, sampling, point=point)
    if sequence.sampling.logprobs is None:
        return TokenScore(token_id)
    return score(logits, token_id, num_top=sequence.sampling.logprobs)


def score(logits: Tensor, token_id: int, *, num_top: int) -> TokenScore:
    """Give a token's log-probability and the `num_top` likeliest tokens with theirs."""
    logprobs = logits.log_softmax(-1)  # (V,)
    top = logprobs.topk(min(num_top, logprobs.shape[-1]))
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ranked = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
    return TokenScore(token_id, logprobs[token_id].item(), tuple(ranked))


def adjust(logits: Tensor, sequence: Sequence) -> Tensor:
    """Apply penalties, bias and masks.

    Returns:
        (V,), a new tensor if anything had to be changed.
    """
    sampling = sequence.sampling
    scores = logits
    pushed = [
        (ids[-1], value) for ids, value in sampling.sequence_bias if sequence.ends_with(ids[:-1])
    ]
    if pushed:
        scores = _add(scores, pushed)
    if sequence.tally is not None:
        scores = penalise(scores, sequence.tally, sampling)
    if sampling.logit_bias:
        scores = _add(scores, sampling.logit_bias.items())
    if sequence.num_output < sampling.min_tokens and not sampling.ignore_eos:
        stops = [idx for idx in sampling.stop_token_ids if 0 <= idx < scores.shape[0]]
        scores = scores.index_fill(0, torch.tensor(stops, dtype=torch.int64), -math.inf)
    if sequence.mask is not None:
        allowed = sequence.mask.mask(sequence.output_ids)
        if allowed is not None:
            scores = _keep(scores, allowed)
    if scores is not logits and scores.amax().item() == -math.inf:
        raise InternalError("the constraint leaves no token that could come next")
    return scores


def penalise(scores: Tensor, tally: TokenTally, sampling: Sampling) -> Tensor:
    """Lower the scores of tokens that were seen: in the prompt or answer (repetition), in the
    answer (the others).
    """
    ids = tally.ids
    seen = scores[ids]
    if sampling.repetition_penalty != 1.0:
        penalty = sampling.repetition_penalty
        seen = torch.where(seen < 0, seen * penalty, seen / penalty)
    counts = tally.output_counts
    seen = seen - sampling.presence_penalty * (counts > 0) - sampling.frequency_penalty * counts
    return scores.index_copy(0, ids, seen)


def distribution(scores: Tensor, sampling: Sampling) -> tuple[Tensor | None, Tensor]:
    """Apply temperature and the filters.

    Args:
        scores: (V,) adjusted logits.
        sampling: its temperature is above 0.

    Returns:
        ids: (C,) the ids left by top-k, rising; `None` stands for all of them.
        weights: (C,) float32, proportional to their probabilities; 0 for what top-p and min-p took.
    """
    ids = None
    if sampling.top_k is not None and sampling.top_k < scores.shape[0]:
        # Ids in rising order, not by rank: near-equal tokens cannot change places and so the draw.
        floor = scores.topk(sampling.top_k).values[-1]
        ids = (scores >= floor).nonzero().squeeze(-1)  # (C,)
        scores = scores[ids]
    weights = ((scores - scores.amax()) / sampling.temperature).softmax(-1)  # (C,)
    if sampling.top_p < 1.0:
        weights = keep_nucleus(weights, sampling.top_p)
    if sampling.min_p > 0.0:
        weights = weights.where(weights >= sampling.min_p * weights.amax(), 0.0)
    return ids, weights


def keep_nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Zero all but the likeliest tokens whose probabilities first reach `top_p` together.

    Args:
        probabilities: (C,)
        top_p: below 1.
    """
    num_all, num_ranked = probabilities.shape[0], NUCLEUS_GUESS
    ranked, order = probabilities.topk(min(num_ranked, num_all))
    while num_ranked < num_all and ranked.sum().item() < top_p:
        num_ranked *= NUCLEUS_GROWTH
        ranked, order = probabilities.topk(min(num_ranked, num_all))
    before = ranked.cumsum(0, dtype=torch.float64) - ranked  # what all likelier tokens have
    num_kept = int((before < top_p).sum())
    kept = order[:num_kept]
    return torch.zeros_like(probabilities).index_copy(0, kept, ranked[:num_kept])


def draw(scores: Tensor, sampling: Sampling, *, point: float) -> int:
    """Take the token in whose part of [0, 1) the point lies; the parts are in order of ids."""
    ids, weights = distribution(scores, sampling)
    cumulative = weights.cumsum(0, dtype=torch.float64)  # (C,)
    place = int(torch.searchsorted(cumulative, point * cumulative[-1].item(), right=True))
    return place if ids is None else int(ids[place])


def uniform(seed: int, choice: int, position: int) -> float:
    """Give the number in [0, 1) for one token of one choice.

    It is a hash and not a generator's next output: a token that is computed again gets the same
    number, and no request can shift another's.
    """
    digest = hashlib.sha256(f"{seed}/{choice}/{position}".encode()).digest()
    return int.from_bytes(digest[: UNIFORM_BITS // 8], "big") / (1 << UNIFORM_BITS)


def _add(scores: Tensor, biases: Iterable[tuple[int, float]]) -> Tensor:
    ids, values = zip(*biases, strict=True)
    return scores.index_add(0, torch.tensor(ids), torch.tensor(values, dtype=scores.dtype))


def _forced(sequence: Sequence) -> int | None:
    if sequence.override is None:
        return None
    return sequence.override.next_forced(sequence.output_ids)


def _keep(scores: Tensor, allowed: Tensor) -> Tensor:
    """Forbid what a mask does not allow; ids beyond the mask's end are forbidden, its rows beyond V
    ignored.
    """
    num_known = min(scores.shape[0], allowed.shape[0])
    kept = torch.full_like(scores, -math.inf)
    kept[:num_known] = scores[:num_known].masked_fill(~allowed[:num_known], -math.inf)
    return kept
