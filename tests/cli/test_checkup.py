"""`myna check`: a healthy model passes, and each kind of sick one fails its question."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from myna.cli.checkup import MAX_PERPLEXITY, NUM_TOKENS, PARAGRAPHS, WORDS, check_up
from myna.core.errors import InternalError
from myna.core.events import (
    Accepted,
    Event,
    Failed,
    Finished,
    PromptEcho,
    TextDelta,
    TokenLogprob,
    Usage,
)
from myna.core.requests import ChatInput, Request, TextInput
from myna.core.service import Health, ModelCard

QUESTIONS = (*PARAGRAPHS, "memory", "chat", "greedy", "seeds")


class Patient:
    """Answer as a healthy model would, but for one illness."""

    def __init__(self, illness: str = "") -> None:
        self.illness = illness
        self.num_requests = 0
        self.is_closed = False

    async def models(self) -> tuple[ModelCard, ...]:
        return (
            ModelCard(
                id="patient",
                family="none",
                context_length=1000,
                created_s=0,
                has_chat_template=self.illness != "no template",
            ),
        )

    async def tokenize(self, text: str) -> tuple[int, ...]:
        return tuple(range(len(text.split())))

    async def health(self) -> Health:
        return Health(ready=True)

    async def close(self) -> None:
        self.is_closed = True

    async def generate(self, request: Request) -> AsyncIterator[Event]:
        self.num_requests += 1
        usage = Usage(prompt_tokens=1, completion_tokens=1)
        question, sampling = request.input, request.sampling
        if isinstance(question, ChatInput):
            yield Accepted(prompt_tokens=1 if self.illness == "bare template" else 20)
            text = "Hello!<|im_end|>" if self.illness == "shown marker" else "Hello!"
            yield TextDelta(index=0, text=text)
            yield Finished(index=0, reason="stop", usage=usage)
            return
        assert isinstance(question, TextInput)
        yield Accepted(prompt_tokens=5)
        if question.echo:
            yield PromptEcho(index=0, text=question.prompt, logprobs=self.read(question.prompt))
        elif self.illness == "faulty":
            yield Failed(error=InternalError("it fell over").info())
            return
        else:
            for position in range(sampling.max_tokens or 0):
                yield self.choose(request, position)
        yield Finished(index=0, reason="length", usage=usage)

    def read(self, text: str) -> tuple[TokenLogprob, ...]:
        name = next((name for name in PARAGRAPHS if PARAGRAPHS[name] == text), "")
        words = text.split()
        perplexities = [math.exp(1.0)] * len(words)
        if not name:
            again = 1000.0 if self.illness == "forgetful" else 2.0
            perplexities = [1000.0 if i < len(words) / 2 else again for i in range(len(words))]
        elif self.illness == name:
            perplexities = [MAX_PERPLEXITY[name] * 1.1] * len(words)
        elif self.illness == "not a number":
            perplexities[3] = math.nan
        return tuple(
            TokenLogprob(
                token_id=i,
                token=word,
                token_bytes=b"",
                logprob=None if i == 0 else -math.log(perplexities[i]),
            )
            for i, word in enumerate(words)
        )

    def choose(self, request: Request, position: int) -> TextDelta:
        seed = request.sampling.seed
        token_id = position
        if self.illness == "restless" and position == 3:
            token_id = self.num_requests
        if seed is not None:
            token_id = 1 if self.illness == "deaf to seeds" else seed
        top = -0.1 if self.illness == "contrary" else -0.5
        likeliest = TokenLogprob(token_id=0, token="x", token_bytes=b"x", logprob=top)
        token = TokenLogprob(
            token_id=token_id, token="x", token_bytes=b"x", logprob=-0.5, top=(likeliest,)
        )
        return TextDelta(index=0, text=f"{token_id} ", logprobs=(token,))


async def test_a_healthy_model_passes_everything() -> None:
    verdicts = await check_up(Patient())
    assert [verdict.name for verdict in verdicts if not verdict.passed] == []
    assert len(verdicts) == len(QUESTIONS)
    assert all(verdict.found for verdict in verdicts)


@pytest.mark.parametrize(
    ("illness", "names", "found"),
    [
        ("story", {"perplexity of story"}, "110, at most 100"),
        ("facts", {"perplexity of facts"}, "66, at most 60"),
        ("counting", {"perplexity of counting"}, "3.3, at most 3"),
        ("not a number", {f"perplexity of {name}" for name in PARAGRAPHS}, "inf, at most"),
        ("forgetful", {"memory of the context"}, "perplexity 1000, then 1000"),
        ("shown marker", {"chat template and stop tokens"}, "shows <|im_end|>"),
        ("bare template", {"chat template and stop tokens"}, "1 tokens for 2 of words"),
        ("restless", {"greedy choice"}, "not twice the same"),
        ("contrary", {"greedy choice"}, "not each the likeliest"),
        ("deaf to seeds", {"seeds"}, "another does not change it"),
        ("faulty", {"greedy choice", "seeds"}, "it fell over"),
    ],
)
async def test_each_illness_fails_its_own_question(
    illness: str, names: set[str], found: str
) -> None:
    failed = {each.name: each for each in await check_up(Patient(illness)) if not each.passed}
    assert set(failed) == names
    assert found in next(iter(failed.values())).found


async def test_a_model_without_a_template_is_no_worse_for_it() -> None:
    verdicts = await check_up(Patient("no template"))
    assert all(verdict.passed for verdict in verdicts)
    assert "it has none; raw text only" in [verdict.found for verdict in verdicts]


def test_the_list_is_one_of_different_words() -> None:
    words = WORDS.split()
    assert len(set(words)) == len(words) == 20
    assert NUM_TOKENS > 1


def test_check_writes_verdicts_and_a_line_to_report(
    myna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = Patient()
    monkeypatch.setattr("myna.cli.commands.check.load_here", lambda *_: patient)
    code, out, _ = myna("check", "--echo")
    assert code == 0
    assert out.splitlines()[0].startswith("pass  perplexity of story")
    assert out.splitlines()[-1].startswith("pass: model=patient family=none quantization=none")
    assert "passed=7/7" in out
    assert patient.is_closed


def test_check_fails_with_the_model(myna: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("myna.cli.commands.check.load_here", lambda *_: Patient("forgetful"))
    code, out, _ = myna("check", "--echo", "--json")
    assert code == 1
    answer = json.loads(out)
    assert not answer["passed"]
    assert answer["report"].startswith("FAIL: model=patient")


def test_an_echo_is_no_model(myna: Any) -> None:
    assert myna("check", "--echo")[0] == 1
