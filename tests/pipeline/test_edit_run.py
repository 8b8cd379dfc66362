"""Edits that reuse steps: off is as ever, and what was reused is told.

Random weights change far more from step to step than trained ones, hence the high thresholds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from edit_pictures import file_of, mask_of, noise, pixels_of
from myna.core.events import EditProgress, Event, PictureDelta, StepReuse
from myna.core.progress import silent
from myna.core.requests import EditInput
from myna.diffusion.step_cache import StepCache
from myna.media.decoder import Decoder
from myna.models.tiny_image_edit import write_tiny_image_edit
from myna.pipeline.edit_parts import EditFiles, EditParts, open_edit_files
from myna.pipeline.edit_plan import make_plan
from myna.pipeline.edit_run import Cancelled, EditRun, Habits, Text
from myna.text import tokenizer_files

PNG = file_of(noise(90, 60))
NUM_STEPS = 12
NUM_BLOCKS = 3
THRESHOLD = 0.15


class Edits:
    """Run edits with a tiny model, whose blocks are all read from disk when `memory_bytes` is 0."""

    def __init__(self, folder: Path, *, memory_bytes: int) -> None:
        self.tokenizer = tokenizer_files.from_folder(folder / "tokenizer")
        self.decoder = Decoder(num_children=1)
        self.files: EditFiles = open_edit_files(folder)
        self.parts = EditParts(
            self.files, dtype=torch.float32, memory_bytes=memory_bytes, progress=silent
        )
        self.read: list[int] = []
        load = self.parts.blocks._load
        self.parts.blocks._load = lambda idx: (self.read.append(idx), load(idx))[1]

    def make(self, *, hear: Callable[[Event], None] | None = None, n: int = 1, **wishes) -> EditRun:
        """Prepare an edit; its events are kept, and `hear` gets each when it comes."""
        wishes = {"work_px": 96 * 96, "num_steps": NUM_STEPS, "guidance": 1.0} | wishes
        asked = EditInput(pictures=(PNG,), prompt="x", **wishes)
        plan = make_plan(
            asked, num_choices=n, seed=1, decoder=self.decoder, rule=self.files.rule, grid_px=16
        )
        self.events: list[Event] = []
        cancelled = threading.Event()

        def deliver(event: Event) -> None:
            self.events.append(event)
            if hear is not None:
                hear(event)

        self.cancel = cancelled.set
        return EditRun(
            self.parts,
            self.tokenizer,
            plan,
            Habits(schedule=self.files.schedule),
            deliver=deliver,
            cancelled=cancelled,
        )

    def run(self, **wishes) -> list[Event]:
        """Carry an edit out."""
        self.make(**wishes).run()
        return self.events


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_image_edit(tmp_path_factory.mktemp("edit"))


@pytest.fixture(scope="module")
def edits(folder: Path) -> Iterator[Edits]:
    made = Edits(folder, memory_bytes=10**9)
    yield made
    made.decoder.close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("myna.pipeline.edit_run.REPORT_S", 0.0)


def final(events: list[Event]) -> PictureDelta:
    return next(e for e in events if isinstance(e, PictureDelta) and e.preview_idx is None)


def reuse_of(events: list[Event]) -> StepReuse:
    found = final(events).reuse
    assert found is not None
    return found


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_off_and_zero_give_the_same_bytes(edits: Edits, guidance: float) -> None:
    plain = final(edits.run(guidance=guidance))
    careful = final(edits.run(guidance=guidance, step_cache=0.0))
    assert plain.reuse is None
    assert careful.reuse == StepReuse(
        num_reused=0, num_steps=NUM_STEPS, max_change=0.0, summed_change=0.0
    )
    assert plain.data == careful.data


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_where_steps_are_alike_most_are_reused_with_a_small_error(
    edits: Edits, guidance: float
) -> None:
    run = edits.make(guidance=guidance)
    sigmas = tuple(torch.linspace(0.502, 0.5, NUM_STEPS + 1).tolist())
    generator = torch.Generator().manual_seed(0)
    prompts = tuple(torch.randn(length, 32, generator=generator) for length in (11, 6))
    text = Text(prompts if guidance > 1 else prompts[:1], num_tokens=0, num_picture_tokens=0)
    with torch.inference_mode():
        sources = run.encode_sources()
        start = run.draw(0, text, sources, sigmas[:1])  # no step: the noise
        exact = run.draw(0, text, sources, sigmas)
        cache = StepCache(THRESHOLD, NUM_STEPS)
        found = run.draw(0, text, sources, sigmas, cache)
    reuse = cache.report()
    assert NUM_STEPS // 2 < reuse.num_reused < NUM_STEPS - 2
    error = float((found - exact).norm() / (exact - start).norm())
    assert 0 < error < THRESHOLD


@pytest.mark.parametrize("wishes", [{"guidance": 3.0}, {"num_previews": 2}, {}])
def test_steps_that_change_little_are_reused_and_told(edits: Edits, wishes) -> None:
    some = reuse_of(edits.run(step_cache=0.5, **wishes))
    most = reuse_of(edits.run(step_cache=1.0, **wishes))
    assert 0 < some.num_reused < most.num_reused == NUM_STEPS - 2
    assert 0 < some.max_change < 0.5
    assert some.max_change <= some.summed_change <= some.num_reused * some.max_change
    assert most.max_change < 1


def test_reused_steps_read_one_block_and_the_one_that_is_under_way(folder: Path) -> None:
    streamed = Edits(folder, memory_bytes=0)
    streamed.run(step_cache=1.0)
    streamed.decoder.close()
    whole = list(range(NUM_BLOCKS))
    assert streamed.read == whole + [0, 1] * (NUM_STEPS - 2) + whole


def test_each_picture_has_a_cache_of_its_own(edits: Edits) -> None:
    events = edits.run(step_cache=0.7, n=2)
    both = [e for e in events if isinstance(e, PictureDelta)]
    assert [picture.index for picture in both] == [0, 1]
    assert both[0].reuse != both[1].reuse
    alone = edits.run(step_cache=0.7)
    assert both[0].data == final(alone).data


def test_a_mask_is_kept_to(edits: Edits) -> None:
    mask = file_of(mask_of(90, 60, (20, 10, 60, 40)))
    events = edits.run(step_cache=1.0, mask=mask)
    assert reuse_of(events).num_reused == NUM_STEPS - 2
    found, original = pixels_of(final(events).data), pixels_of(PNG)
    assert (found[:10] == original[:10]).all()
    assert (found[10:40, 20:60] != original[10:40, 20:60]).any()


def test_progress_only_grows_and_tells_the_time_left(edits: Edits) -> None:
    events = edits.run(step_cache=1.0)
    drawing = [e for e in events if isinstance(e, EditProgress) and e.stage == "drawing"]
    assert len(drawing) == 2 * NUM_BLOCKS + NUM_STEPS - 2
    assert [e.done for e in drawing] == sorted(e.done for e in drawing)
    assert all(e.remaining_s is not None for e in drawing[1:])


def test_a_cancelled_edit_stops_at_the_next_reused_step(edits: Edits) -> None:
    heard = []

    def hear(event: Event) -> None:
        if isinstance(event, EditProgress) and event.stage == "drawing":
            heard.append(event)
            if event.done > 0.5:
                edits.cancel()

    with pytest.raises(Cancelled):
        edits.run(step_cache=1.0, hear=hear)
    assert sum(event.done > 0.5 for event in heard) == 1
