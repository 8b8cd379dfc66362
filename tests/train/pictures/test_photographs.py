import random

import numpy as np
import pytest
from PIL import Image

from myna.train.pictures import photographs


def test_rough_photographs_are_cut_and_smooth_ones_left_out(tmp_path):
    (tmp_path / "mate" / "nature").mkdir(parents=True)
    rough = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(rough).save(tmp_path / "mate" / "nature" / "Rough.jpg")
    Image.new("RGB", (300, 300), (9, 9, 200)).save(tmp_path / "mate" / "nature" / "Sky.jpg")
    count = photographs.cut(tmp_path, tmp_path)
    assert 1 <= count <= photographs.NUM_CUTTINGS
    found = photographs.load(tmp_path)
    assert found.pixels.shape == (count, photographs.SIDE_PX, photographs.SIDE_PX, 3)
    assert found.draw(random.Random(0), 50, 40).size == (50, 40)


def test_without_photographs_the_packages_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="apt-get install mate-backgrounds"):
        photographs.cut(tmp_path, tmp_path)


def test_cuttings_that_were_not_made_name_the_stage(tmp_path):
    with pytest.raises(FileNotFoundError, match="run the stage 'icons' first"):
        photographs.load(tmp_path)


def test_a_field_has_detail_at_all_scales():
    made = np.asarray(photographs.field(random.Random(1), 96, 64), np.float32)
    assert made.shape == (64, 96, 3)
    assert made.std() > 10
    fine, coarse = (np.abs(made[:, step:] - made[:, :-step]).mean() for step in (1, 16))
    assert coarse > 1.5 * fine > 0
