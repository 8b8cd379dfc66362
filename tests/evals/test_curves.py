"""Curves are drawn from their first to their last value, each on its own scale."""

from __future__ import annotations

from xml.etree import ElementTree

from myna.evals.card import StageLog
from myna.evals.curves import COLUMNS, HIGH_PX, MARGIN_PX, PANEL_PX, curves


def stage(name: str, *values: float) -> StageLog:
    return StageLog(name=name, purpose="see", steps=900, hours=0.5, curve=values)


def test_each_stage_gets_a_panel_with_its_range() -> None:
    drawn = curves([stage("ears", 4.0, 3.0, 1.0), stage("none", 1.0), stage("eyes", 2.0, 2.0)])
    root = ElementTree.fromstring(drawn)
    assert (root.get("width"), root.get("height")) == (str(COLUMNS * PANEL_PX), str(HIGH_PX))
    texts = [item.text for item in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["ears", "4", "1", "900 steps", "eyes", "2", "2", "900 steps"]
    line = next(root.iter("{http://www.w3.org/2000/svg}polyline")).get("points")
    first, *_, last = str(line).split()
    assert first == f"{MARGIN_PX:.1f},{MARGIN_PX:.1f}"
    assert last == f"{PANEL_PX - MARGIN_PX:.1f},{HIGH_PX - MARGIN_PX:.1f}"


def test_stages_without_a_curve_leave_nothing() -> None:
    assert "polyline " not in curves([])
