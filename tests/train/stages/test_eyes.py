"""The eyes' stage on pictures that need no downloads."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import ImageFont

from myna.train.loop import Schedule, Trainer
from myna.train.pictures import asking, figures
from myna.train.pictures.asking import Studio
from myna.train.pictures.fonts import Fonts
from myna.train.pictures.icons import Icons
from myna.train.pictures.labels import SLOTS
from myna.train.pictures.names import NAMES
from myna.train.stages import eyes as stage


class OneFont(Fonts):
    def draw(self, rng, size_px):
        return ImageFont.load_default(size_px)


@pytest.fixture(scope="module")
def studio():
    looks = np.stack([figures.draw(shape, (250, 80, 20)) for shape in figures.SHAPES])
    names = {name: (i,) for i, name in enumerate(NAMES[: len(looks)])}
    return Studio(Icons(looks, names), OneFont(()))


@pytest.fixture(scope="module")
def gallery(studio):
    return stage.Gallery(studio, seed=1)


def test_a_batch_depends_on_its_step_alone(gallery):
    one, other = gallery.at(7, 8), gallery.at(7, 8)
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.cut.rows, b.cut.rows)
        assert np.array_equal(a.labels.thing, b.labels.thing)
    assert not np.array_equal(one[0].cut.rows, gallery.at(8, 8)[0].cut.rows)


def test_every_token_has_a_label(gallery):
    rng = random.Random(2)
    samples = [gallery.draw(rng, least_ease=0.5) for _ in range(40)]
    samples.append(gallery.step_of_clip(rng))
    for sample in samples:
        assert len(sample.labels.thing) == sample.cut.num_tokens
        assert sample.labels.characters.shape == (sample.cut.num_tokens, SLOTS)
        assert sample.cut.grid[0] == 1


def test_whitened_patches_vary_equally_in_all_components(gallery):
    eyes = stage.build()
    stage.whiten(eyes, gallery)
    still = [gallery.draw(random.Random(i)) for i in range(60)]
    rows = torch.from_numpy(np.concatenate([sample.cut.rows for sample in still]))
    out = eyes.visual.patch_embed(rows)
    strong = out.std(0)[20 : len(out[0]) * 7 // 8]
    assert 0.4 < strong.min() < strong.max() < 2.5


def test_eyes_learn_a_few_pictures_by_heart(gallery, tmp_path):
    torch.manual_seed(0)
    eyes = stage.build()
    stage.whiten(eyes, gallery)
    samples = gallery.at(0, 6)
    curve = []
    schedule = Schedule(steps=14, rate=2e-3, warmup=3)
    trainer = Trainer(eyes, tmp_path, schedule, dtype=torch.float32)

    def at(step):
        found = stage.losses(eyes, samples)
        curve.append(float(found["loss"].detach()))
        return found

    trainer.run(at)
    assert curve[-1] < 0.6 * curve[0]


def test_a_run_stops_in_time_and_leaves_a_checkpoint(studio, workshop, monkeypatch):
    monkeypatch.setattr(stage, "open_studio", lambda: studio)
    monkeypatch.setattr(stage, "BATCH", 4)
    monkeypatch.setattr(stage, "NUM_PATCH_SAMPLES", 40)
    stage.run(minutes=1e-6, report=lambda line: None)
    assert (workshop / "eyes" / "state.safetensors").exists()


def test_the_studio_of_training_needs_the_stage_before(workshop):
    with pytest.raises(FileNotFoundError, match="run the stage 'icons' first"):
        asking.open_studio()
