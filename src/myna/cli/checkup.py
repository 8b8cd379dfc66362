"""What `myna check` asks of a loaded model: questions whose right answers need no reference.

A healthy model of any size predicts plain text far better than chance, repeats a list it has just
read, stops by itself, and chooses tokens as it was told. A wrong table of positions, a permuted
matrix or a misread special token fails one of these. Not here: quality; that takes benchmarks.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import msgspec

from myna.cli.asking import collect, plain_sampling
from myna.core.errors import RemoteError
from myna.core.events import Accepted, Event, Finished, PromptEcho, TextDelta, TokenLogprob
from myna.core.messages import text_message
from myna.core.requests import ChatInput, SamplingParams, TextInput
from myna.core.service import Service

PARAGRAPHS = {
    "story": (
        "The old woman opened the window and looked out at the sea. It had rained all night, but "
        "now the sky was clear and the first boats were coming back to the harbour. She put the "
        "kettle on the stove, took two cups from the shelf and waited for her son, who was always "
        "hungry when he came home from fishing."
    ),
    "facts": (
        "Water freezes at zero degrees Celsius and boils at one hundred degrees Celsius at sea "
        "level. The Earth goes around the Sun once a year, and the Moon goes around the Earth "
        "about once a month. Plants use the light of the Sun to make sugar from water and carbon "
        "dioxide, and they give off oxygen while they do so."
    ),
    "counting": (
        "one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, "
        "fourteen, fifteen, sixteen, seventeen, eighteen, nineteen, twenty, twenty-one, "
        "twenty-two, twenty-three, twenty-four, twenty-five, twenty-six, twenty-seven"
    ),
}
# Healthy models of 0.1 and 0.5 billion parameters reach 23, 13 and 1.7; broken ones, thousands.
MAX_PERPLEXITY = {"story": 100.0, "facts": 60.0, "counting": 3.0}
WORDS = (
    "river stone basket yellow engine paper window cloud hammer silver garden bottle winter "
    "ladder pocket music butter harbour feather candle"
)
MIN_REPETITION_GAIN = 20.0  # how many times likelier a word of the list becomes when read again
MARKERS = ("<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|eot_id|>", "</s>", "<\uff5c")
NUM_TOKENS = 24
MAX_ANSWER_TOKENS = 128


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Say whether one question was answered well, and what came."""

    name: str
    passed: bool
    found: str


async def check_up(service: Service) -> tuple[Verdict, ...]:
    """Ask everything; a question that fails altogether is a verdict too."""
    questions: tuple[tuple[str, Callable[[Service], Awaitable[Verdict]]], ...] = (
        *((f"perplexity of {name}", _perplexity_of(name)) for name in PARAGRAPHS),
        ("memory of the context", _repetition),
        ("chat template and stop tokens", _chat),
        ("greedy choice", _greedy),
        ("seeds", _seeds),
    )
    verdicts = []
    for name, question in questions:
        try:
            verdict = await question(service)
        except RemoteError as error:
            verdict = Verdict(name=name, passed=False, found=error.message)
        verdicts.append(msgspec.structs.replace(verdict, name=name))
    return tuple(verdicts)


async def _read(service: Service, text: str) -> list[TokenLogprob]:
    """Let the model read a text, and return how it predicted each token after the first."""
    question = TextInput(prompt=text, echo=True)
    events = await collect(service, question, SamplingParams(max_tokens=0, logprobs=0))
    return [
        token
        for event in events
        if isinstance(event, PromptEcho)
        for token in event.logprobs or ()
        if token.logprob is not None
    ]


def _perplexity(tokens: list[TokenLogprob]) -> float:
    """Give e to the mean surprise; infinite if a number is none."""
    surprises = [-(token.logprob if token.logprob is not None else 0.0) for token in tokens]
    if not surprises or not all(math.isfinite(surprise) for surprise in surprises):
        return math.inf
    return math.exp(min(sum(surprises) / len(surprises), 100.0))


def _perplexity_of(name: str) -> Callable[[Service], Awaitable[Verdict]]:
    async def ask(service: Service) -> Verdict:
        perplexity = _perplexity(await _read(service, PARAGRAPHS[name]))
        limit = MAX_PERPLEXITY[name]
        found = f"{perplexity:.4g}, at most {limit:g}"
        return Verdict(name=name, passed=perplexity <= limit, found=found)

    return ask


async def _repetition(service: Service) -> Verdict:
    """A list read twice is surprising once; wrong positions or caches surprise twice."""
    tokens = await _read(service, f"{WORDS}\n{WORDS}")
    middle = len(tokens) // 2
    first, again = _perplexity(tokens[:middle]), _perplexity(tokens[middle:])
    return Verdict(
        name="",
        passed=math.isfinite(again) and first / again >= MIN_REPETITION_GAIN,
        found=f"perplexity {first:.4g}, then {again:.4g}; due: {MIN_REPETITION_GAIN:g} times less",
    )


async def _chat(service: Service) -> Verdict:
    """A rendered chat is longer than its words, and its answer shows no special token."""
    (card,) = await service.models()
    if not card.has_chat_template:
        return Verdict(name="", passed=True, found="it has none; raw text only")
    question = "Say hello."
    words = await service.tokenize(question)
    events = await collect(
        service,
        ChatInput(messages=(text_message("user", question),)),
        SamplingParams(max_tokens=MAX_ANSWER_TOKENS, temperature=0.0),
    )
    num_prompt_tokens = next(event.prompt_tokens for event in events if isinstance(event, Accepted))
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    reason = next(event.reason for event in events if isinstance(event, Finished))
    shown = [marker for marker in MARKERS if marker in text]
    return Verdict(
        name="",
        passed=num_prompt_tokens > len(words) and not shown,
        found=f"{num_prompt_tokens} tokens for {len(words)} of words; answer ends by {reason}"
        + (f" and shows {shown[0]}" if shown else ""),
    )


async def _greedy(service: Service) -> Verdict:
    """Without temperature the likeliest token is taken, each time the same."""
    question = TextInput(prompt=PARAGRAPHS["story"])
    sampling = plain_sampling(NUM_TOKENS, temperature=0.0, logprobs=2)
    runs = [_tokens(await collect(service, question, sampling)) for _ in range(2)]
    same = [token.token_id for token in runs[0]] == [token.token_id for token in runs[1]]
    likeliest = all(
        token.top and token.logprob is not None and token.logprob >= (token.top[0].logprob or 0.0)
        for token in runs[0]
    )
    return Verdict(
        name="",
        passed=same and likeliest and len(runs[0]) == NUM_TOKENS,
        found=f"{len(runs[0])} tokens, {'twice the same' if same else 'not twice the same'}, "
        f"{'each' if likeliest else 'not each'} the likeliest",
    )


async def _seeds(service: Service) -> Verdict:
    """The same seed gives the same answer, another seed another one."""
    answers = []
    for seed in (1, 1, 2):
        events = await collect(
            service,
            TextInput(prompt=PARAGRAPHS["story"]),
            plain_sampling(NUM_TOKENS, temperature=1.0, seed=seed),
        )
        answers.append("".join(event.text for event in events if isinstance(event, TextDelta)))
    first, again, other = answers
    return Verdict(
        name="",
        passed=first == again != other,
        found=f"one seed {'repeats' if first == again else 'does not repeat'} its answer, another "
        f"{'changes' if first != other else 'does not change'} it",
    )


def _tokens(events: list[Event]) -> list[TokenLogprob]:
    return [token for event in events if isinstance(event, TextDelta) for token in event.logprobs]
