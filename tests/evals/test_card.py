"""The model card says what was measured, and nothing else."""

from __future__ import annotations

import msgspec
import pytest

from myna import embedded
from myna.evals import table
from myna.evals.card import CURVES, WHY, StageLog, TrainingLog, card, sparkline, thinned
from myna.evals.curves import curves
from myna.evals.report import KindReport, Report, RowReport

ROW = RowReport(
    name="scene",
    title="count and colour",
    unit="right",
    must=95,
    aim=95,
    measured=91.5,
    passes=False,
    count=200,
    note="to five",
    kinds=(KindReport(kind="count", figure=88.0), KindReport(kind="colour", figure=95.0)),
)
STAGE = StageLog(
    name="eyes", purpose="see", steps=900, hours=0.75, curve=(3.0, 2.0, 1.0), flop=2e15
)
TRAINING = TrainingLog(
    machine="two cores",
    num_parameters=18_500_000,
    size_bytes=14_000_000,
    stages=(STAGE,),
    spoken_hours=19.0,
    heard_hours=41.0,
    changed=("thinker: 0.01 nats apart a token",),
)


def test_the_card_of_the_model_in_the_box_is_what_its_files_say() -> None:
    folder = embedded.folder()
    if folder is None:
        return
    report = msgspec.json.decode((folder / "evaluation.json").read_bytes(), type=Report)
    training = msgspec.json.decode((folder / "training.json").read_bytes(), type=TrainingLog)
    assert (folder / "README.md").read_text("utf-8") == card(report, training)
    assert (folder / CURVES).read_text("utf-8") == curves(training.stages)
    assert {row.name for row in report.rows} == set(table.NAMES)
    assert {row.name for row in report.rows if row.passes is False} <= set(WHY)
    found = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    assert training.size_bytes == found


def test_figures_bars_and_costs_are_in_the_card() -> None:
    text = card(Report(model="nano", machine="two cores", rows=(ROW,)), TRAINING)
    assert "| count and colour | >= 95 % | >= 95 % | 91.5 % (missed) | 200 |" in text
    assert "- count and colour: count 88, colour 95" in text
    assert "- count and colour: to five" in text
    assert "18.5 million parameters in 14.0 MB" in text
    assert "| eyes | see | 900 | 0.8 | 2.0e+15 | 1 | █▅▁ |" in text
    assert "fluent-emoji-flat" in text
    assert "0.8 hours of one thread, on 41 hours of speech to hear, 19 hours of the voice" in text
    assert "Counted floating-point operations: 2.0e+15." in text
    assert "- thinker: 0.01 nats apart a token" in text
    assert "French" in text


def test_what_was_not_counted_is_left_out() -> None:
    uncounted = msgspec.structs.replace(STAGE, flop=None)
    training = msgspec.structs.replace(TRAINING, stages=(uncounted,), changed=())
    text = card(Report(model="nano", machine="two cores", rows=(ROW,)), training)
    assert "Counted" not in text
    assert "| eyes | see | 900 | 0.8 | - | 1 |" in text


def test_every_row_that_misses_says_why() -> None:
    rows = tuple(msgspec.structs.replace(ROW, name=name, title=name) for name in WHY)
    text = card(Report(model="nano", machine="m", rows=rows), TRAINING)
    assert set(WHY) <= set(table.NAMES)
    assert all(f"- {name}: {why}." in text for name, why in WHY.items())


def test_who_misses_nothing_explains_nothing() -> None:
    reached = msgspec.structs.replace(ROW, passes=True)
    assert "Why" not in card(Report(model="nano", machine="m", rows=(reached,)), TRAINING)


def test_a_card_without_kinds_leaves_them_out() -> None:
    plain = msgspec.structs.replace(ROW, kinds=(), note="")
    assert "By kind" not in card(Report(model="nano", machine="m", rows=(plain,)), TRAINING)


@pytest.mark.parametrize(
    ("values", "drawn"), [((), ""), ((1.0, 1.0), "▁▁"), ((0.0, 7.0), "▁█"), ((7.0, 0.0), "█▁")]
)
def test_curves_are_drawn_in_a_line(values: tuple[float, ...], drawn: str) -> None:
    assert sparkline(values) == drawn


def test_curves_are_thinned_by_averaging() -> None:
    assert thinned([1.0, 3.0, 5.0, 7.0], 2) == (2.0, 6.0)
    assert thinned([1.0, 2.0], 4) == (1.0, 2.0)
