"""Learning curves as an SVG file: a small panel for each stage of training, beside the card.

Not here: curves in one line of text (card).
"""

from __future__ import annotations

from collections.abc import Sequence

from myna.evals.card import StageLog

COLUMNS = 3
PANEL_PX, HIGH_PX, MARGIN_PX = 220, 130, 26
STYLE = (
    "text{font:11px sans-serif;fill:#777}.name{font-weight:bold}"
    "polyline{fill:none;stroke:#3b7dd8;stroke-width:1.5}path{stroke:#aaa;fill:none}"
)


def curves(stages: Sequence[StageLog]) -> str:
    """Draw the mean losses of all stages that have some, each on a scale of its own."""
    drawn = [stage for stage in stages if len(stage.curve) > 1]
    rows = -(-len(drawn) // COLUMNS)
    panels = "\n".join(
        f'<g transform="translate({i % COLUMNS * PANEL_PX},{i // COLUMNS * HIGH_PX})">\n'
        f"{_panel(stage)}\n</g>"
        for i, stage in enumerate(drawn)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{COLUMNS * PANEL_PX}" '
        f'height="{rows * HIGH_PX}">\n<style>{STYLE}</style>\n{panels}\n</svg>\n'
    )


def _panel(stage: StageLog) -> str:
    low, high = min(stage.curve), max(stage.curve)
    spread = (high - low) or 1.0
    wide, tall = PANEL_PX - 2 * MARGIN_PX, HIGH_PX - 2 * MARGIN_PX
    points = " ".join(
        f"{MARGIN_PX + wide * i / (len(stage.curve) - 1):.1f},"
        f"{MARGIN_PX + tall * (high - value) / spread:.1f}"
        for i, value in enumerate(stage.curve)
    )
    left, bottom, right = MARGIN_PX, HIGH_PX - MARGIN_PX, PANEL_PX - MARGIN_PX
    return "\n".join(
        (
            f'<path d="M{left} {MARGIN_PX}V{bottom}H{right}"/>',
            f'<polyline points="{points}"/>',
            f'<text class="name" x="{left}" y="15">{stage.name}</text>',
            f'<text x="{left + 4}" y="{MARGIN_PX + 4}">{high:.3g}</text>',
            f'<text x="{left + 4}" y="{bottom - 4}">{low:.3g}</text>',
            f'<text x="{right}" y="{bottom + 14}" text-anchor="end">{stage.steps} steps</text>',
        )
    )
