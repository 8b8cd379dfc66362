"""Check a loaded model in about two minutes, without a network: is it whole, and does it speak?

Damage that no checksum shows (a wrong rotation, a swapped tensor, a tokenizer of another model)
makes text no likelier than noise; that is what is looked for.
Not here: reading the files (load), and printing (cli).
"""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator

from myna.core.errors import MynaError
from myna.core.events import Event, Finished, PromptEcho, ReasoningDelta, TextDelta
from myna.core.messages import text_message
from myna.core.requests import ChatInput, SamplingParams, TextInput
from myna.core.service import Service
from myna.pipeline.check_media import check_media
from myna.pipeline.findings import Finding, ask
from myna.pipeline.load import LoadedModel
from myna.text.tokenizer import Tokenizer

MAX_PERPLEXITY = 120.0  # the smallest real models stay far below, damaged ones far above
MIN_GAIN = 2.0  # how much likelier a text must be than its own words shuffled
MULTILINGUAL = "naïve café, 你好世界, привет, 🐦 x²  two  spaces\n\ttab 12345"

PARAGRAPHS = (
    "The river was low that summer, and the boys from the village walked across it in the evening "
    "without taking off their shoes. On the other side there was an old mill that nobody had used "
    "for years. They sat on its steps, threw small stones into the water, and talked about what "
    "they would do when they were grown up and could go wherever they wanted.",
    "Water boils at one hundred degrees Celsius at sea level, but at a lower temperature in the "
    "mountains, because the pressure of the air is lower there. This is why it takes longer to "
    "cook rice or potatoes at a great height: the water is boiling, but it is not as hot as it "
    "would be at home.",
    "To make a simple bread you need flour, water, salt and yeast. Mix them in a bowl until you "
    "have a soft dough, and let it rest for an hour in a warm place. Then shape it into a loaf, "
    "let it rise again, and bake it in a hot oven for about forty minutes, until the crust is "
    "brown and the bottom sounds hollow when you knock on it.",
)


async def check_model(model: LoadedModel, service: Service) -> AsyncIterator[Finding]:
    """Run every check, yielding each as it ends.

    Args:
        model: what the service runs.
        service: answers the checks' requests.
    """
    yield _round_trip(model.tokenizer)
    yield _special_ids(model)
    if model.template is not None:
        yield _template(model)
    for number, paragraph in enumerate(PARAGRAPHS, start=1):
        yield await _perplexity(service, paragraph, number=number)
    yield await _repeatability(service)
    yield await _variety(service)
    if model.template is not None:
        yield await _answer(service)
        async for finding in check_media(model.card, service):
            yield finding


def _round_trip(tokenizer: Tokenizer) -> Finding:
    ids = tokenizer.encode(MULTILINGUAL)
    back = tokenizer.decode(ids)
    return Finding(
        name="text survives the tokenizer",
        passed=back == MULTILINGUAL,
        detail=f"{len(MULTILINGUAL)} characters, {len(ids)} tokens"
        + ("" if back == MULTILINGUAL else f"; came back as {back!r}"),
    )


def _special_ids(model: LoadedModel) -> Finding:
    tokenizer = model.tokenizer
    stops = {token_id: tokenizer.token_of(token_id) for token_id in sorted(model.stop_ids)}
    known = all(
        token is not None and tokenizer.encode(token) == [token_id]
        for token_id, token in stops.items()
    )
    listed = ", ".join(f"{token_id} {token}" for token_id, token in stops.items()) or "none"
    return Finding(
        name="an answer can end", passed=bool(stops) and known, detail=f"end tokens: {listed}"
    )


def _template(model: LoadedModel) -> Finding:
    assert model.template is not None
    try:
        rendered = model.template.render([text_message("user", "Hello")])
    except MynaError as error:
        return Finding(name="the chat template renders", passed=False, detail=error.message)
    ids = model.tokenizer.encode_rendered(rendered)
    bos_id = model.tokenizer.bos_id
    num_bos = 0 if bos_id is None else ids.count(bos_id)
    doubled = bos_id is not None and ids[:2] == [bos_id, bos_id]
    return Finding(
        name="the chat template renders",
        passed="Hello" in rendered and not doubled,
        detail=f"{len(ids)} tokens, {num_bos} of them {model.tokenizer.token_of(bos_id or 0)}"
        if bos_id is not None
        else f"{len(ids)} tokens",
    )


async def _perplexity(service: Service, paragraph: str, *, number: int) -> Finding:
    """Compare a paragraph with its own words in a random order."""
    words = paragraph.split(" ")
    random.Random(number).shuffle(words)
    as_written = await _perplexity_of(service, paragraph)
    shuffled = await _perplexity_of(service, " ".join(words))
    gain = shuffled / as_written
    return Finding(
        name=f"paragraph {number} is likely text",
        passed=as_written < MAX_PERPLEXITY and gain > MIN_GAIN,
        detail=f"perplexity {as_written:.1f}, its words shuffled {shuffled:.1f}",
    )


async def _perplexity_of(service: Service, text: str) -> float:
    sampling = SamplingParams(temperature=0.0, max_tokens=0, logprobs=0)
    events = await ask(service, TextInput(prompt=text, echo=True), sampling)
    (echo,) = [event for event in events if isinstance(event, PromptEcho)]
    scores = [score.logprob for score in echo.logprobs or () if score.logprob is not None]
    return math.exp(-sum(scores) / max(len(scores), 1))


async def _repeatability(service: Service) -> Finding:
    first, second = [await _continue(service, temperature=1.0, seed=1) for _ in range(2)]
    return Finding(
        name="the same seed gives the same text", passed=first == second, detail=repr(first[:60])
    )


async def _variety(service: Service) -> Finding:
    texts = {await _continue(service, temperature=1.0, seed=seed) for seed in range(4)}
    return Finding(
        name="other seeds give other text",
        passed=len(texts) > 1,
        detail=f"{len(texts)} texts from 4 seeds",
    )


async def _continue(service: Service, *, temperature: float, seed: int) -> str:
    sampling = SamplingParams(temperature=temperature, seed=seed, max_tokens=16)
    return _text(await ask(service, TextInput(prompt=PARAGRAPHS[0][:80]), sampling))


async def _answer(service: Service) -> Finding:
    """Ask an easy question; any answer passes, the reader judges what it says."""
    question = ChatInput(messages=(text_message("user", "What is the capital of France?"),))
    events = await ask(service, question, SamplingParams(temperature=0.0, max_tokens=48))
    text = _text(events)
    (finished,) = [event for event in events if isinstance(event, Finished)]
    return Finding(
        name="it answers a question",
        passed=bool(text.strip()),
        detail=f"{text!r} {finished.reason}",
    )


def _text(events: list[Event]) -> str:
    return "".join(e.text for e in events if isinstance(e, TextDelta | ReasoningDelta))
