"""The stages are known, ordered, and say how far they have come."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna.core.errors import InvalidRequest
from myna.train import recipe
from myna.train.workshop import folder


def test_every_stage_comes_after_what_it_needs() -> None:
    seen: set[str] = set()
    for stage in recipe.STAGES:
        assert set(stage.needs) <= seen, stage.name
        seen.add(stage.name)


def test_an_unknown_stage_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match=r"no stage 'nose'; the stages are tokenizer, icons"):
        recipe.find("nose")


def test_the_state_is_read_off_the_curve(workshop: Path) -> None:
    assert recipe.state("ears") == recipe.State()
    assert not (workshop / "ears").exists()
    path = folder("ears") / "curve.jsonl"
    path.write_text('{"step": 1, "seconds": 2.0}\n{"step": 9, "seconds": 1800.0, "loss": 0.5}\n')
    assert recipe.state("ears") == recipe.State(9, 0.5, (("loss", 0.5),))
