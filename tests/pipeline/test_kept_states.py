"""Hidden states are found again exactly when all that they depend on is the same."""

from __future__ import annotations

import pytest
import torch

from myna.layers.cache import Rows
from myna.models.qwen3_omni.config import MediaIds
from myna.models.qwen3_omni.inputs import Layout
from myna.models.qwen3_omni.positions import Sound, Span
from myna.pipeline import kept_states
from myna.pipeline.kept_states import KeptStates, MediaStates, media_states

IDS = MediaIds(
    audio=90, image=91, video=92, audio_start=93, audio_end=94, vision_start=95, vision_end=96
)
WIDTH = 4


def states(
    text: int = 1, *, digests: tuple[bytes, ...] = (b"a", b"b"), depth: int = 2
) -> MediaStates:
    """Lay out a text token and a sound of two tokens, for each digest."""
    tokens: list[int] = []
    spans = []
    for _ in digests:
        tokens += [text, IDS.audio_start, IDS.audio, IDS.audio, IDS.audio_end]
        spans.append(Span(Sound(2), len(tokens) - 4, len(tokens)))
    layout = Layout(torch.tensor(tokens), torch.zeros(3, len(tokens)), tuple(spans), IDS)
    rows = layout.audio_rows
    empty = Rows(rows, torch.full((len(rows), WIDTH), torch.nan))
    return media_states(empty, layout, digests, depth=depth)


def read(found: MediaStates) -> None:
    """Write states as a network would: the tokens' numbers."""
    found.rows.values.copy_(found.rows.rows[:, None].float())


def test_what_was_read_is_known_again() -> None:
    kept, first = KeptStates(), states()
    assert kept.recall(first) == 1
    read(first)
    kept.keep(first, num_read=10)
    again = states()
    assert kept.recall(again) is None
    assert torch.equal(again.rows.values, first.rows.values)
    longer = states(digests=(b"a", b"b", b"c"))
    assert kept.recall(longer) == 11
    assert torch.equal(longer.rows.values[:4], first.rows.values)
    assert longer.rows.values[4:].isnan().all()


def test_a_medium_that_is_not_read_to_its_end_is_not_kept() -> None:
    kept, first = KeptStates(), states()
    read(first)
    kept.keep(first, num_read=9)
    assert kept.recall(states()) == 6


def test_what_is_kept_stays_as_it_was() -> None:
    kept, first = KeptStates(), states()
    read(first)
    kept.keep(first, num_read=10)
    first.rows.values.zero_()
    again = states()
    kept.recall(again)
    assert again.rows.values[0, 0] == 2


@pytest.mark.parametrize(
    "other",
    [states(7), states(digests=(b"x", b"b")), states(depth=3)],
    ids=["text", "medium", "depth"],
)
def test_another_beginning_is_not_known(other: MediaStates) -> None:
    kept, first = KeptStates(), states()
    read(first)
    kept.keep(first, num_read=10)
    assert kept.recall(other) == 1


def test_the_longest_unused_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_states, "KEPT_BYTES", 2 * 2 * WIDTH * 4)
    kept, first, second = KeptStates(), states(1), states(2, digests=(b"a",))
    for found in (first, second):
        read(found)
        kept.keep(found, num_read=10)
    assert kept.recall(states(2, digests=(b"a",))) is None
    assert kept.recall(states(1)) == 1
