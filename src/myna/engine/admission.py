"""Who is let in: what a request may ask, whether it can ever fit, whether there is room in the
queue.

Not here: the bounds that need no engine to be known (sequence.Sampling).
"""

from __future__ import annotations

from collections.abc import Iterable

from myna.core.errors import ContextOverflow, InvalidRequest, Overloaded
from myna.engine.config import EngineConfig
from myna.engine.sequence import EngineRequest, Sequence

MIN_RETRY_S, MAX_RETRY_S = 1.0, 60.0


def check_fields(request: EngineRequest, *, max_choices: int, num_valid_tokens: int) -> None:
    """Refuse an empty prompt, too many choices and token ids that the model does not have."""
    if not request.token_ids:
        raise InvalidRequest("the prompt has no tokens; send at least one", param="prompt")
    if not 1 <= request.num_choices <= max_choices:
        raise InvalidRequest(
            f"`n` is {request.num_choices} but must be from 1 to {max_choices}", param="n"
        )
    _check_ids("prompt", request.token_ids, num_valid_tokens)
    _check_ids("logit_bias", request.sampling.logit_bias, num_valid_tokens)


def max_total_tokens(request: EngineRequest, config: EngineConfig) -> int:
    """Give the most tokens of prompt and answer together, or refuse what can never fit."""
    num_prompt, max_tokens = len(request.token_ids), request.sampling.max_tokens
    limit = config.max_total_tokens
    remedy = (
        "start with a larger `--max-context`"
        if limit == config.max_context
        else "give the key/value cache more memory"
    )
    num_least = 1 if max_tokens is None else max_tokens
    if num_prompt + min(num_least, 1) > limit:
        raise ContextOverflow(
            f"the prompt has {num_prompt} tokens but only {limit} fit together with the answer; "
            f"shorten it or {remedy}",
            param="prompt",
        )
    if num_prompt + num_least > limit:
        raise ContextOverflow(
            f"`max_tokens` is {max_tokens} but only {limit - num_prompt} fit after a prompt of "
            f"{num_prompt} tokens; lower it or {remedy}",
            param="max_tokens",
        )
    return limit if max_tokens is None else num_prompt + max_tokens


def check_queue(
    request: EngineRequest, config: EngineConfig, *, waiting: list[Sequence], tokens_per_s: float
) -> None:
    """Refuse a request that would make the queue longer than it may be; an empty one takes any."""
    num_waiting = len(waiting) + request.num_choices
    num_tokens = sum(sequence.num_pending for sequence in waiting) + len(request.token_ids)
    max_waiting, max_tokens = config.max_waiting_requests, config.max_waiting_tokens
    if not waiting or (num_waiting <= max_waiting and num_tokens <= max_tokens):
        return
    retry_after_s = min(max(num_tokens / max(tokens_per_s, 1.0), MIN_RETRY_S), MAX_RETRY_S)
    raise Overloaded(
        f"the queue is full: with this request {num_waiting} answers of {num_tokens} tokens would "
        f"wait, but at most {max_waiting} of {max_tokens} may; try again in {retry_after_s:.0f} s",
        retry_after_s=retry_after_s,
    )


def _check_ids(name: str, ids: Iterable[int], num_valid_tokens: int) -> None:
    wrong = next((token_id for token_id in ids if not 0 <= token_id < num_valid_tokens), None)
    if wrong is not None:
        raise InvalidRequest(
            f"`{name}` holds token id {wrong} but the model's go from 0 to {num_valid_tokens - 1}",
            param=name,
        )
