"""What an edit works on: sizes, masks, and everything that is refused."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from edit_pictures import file_of, mask_of, noise
from myna.core.errors import InvalidRequest, RemoteError
from myna.core.requests import EditInput
from myna.media.decoder import Decoder
from myna.media.patches import PatchRule
from myna.pipeline.edit_plan import EditPlan, fitted, make_plan, token_grid

RULE = PatchRule(
    patch_px=14, min_px=3136, max_px=12_845_056, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
)
PNG = file_of(noise(60, 40))


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(num_children=1)
    yield made
    made.close()


@pytest.fixture
def plan(decoder: Decoder):
    def make(*pictures: bytes, num_choices: int = 1, seed: int | None = 1, **wishes) -> EditPlan:
        wishes = {"prompt": "x", "work_px": 128 * 128} | wishes
        asked = EditInput(pictures=pictures or (PNG,), **wishes)
        return make_plan(
            asked, num_choices=num_choices, seed=seed, decoder=decoder, rule=RULE, grid_px=16
        )

    return make


@pytest.mark.parametrize(
    ("size", "look", "work"),
    [
        ((1024, 1024), (384, 384), (1024, 1024)),
        ((1920, 1080), (512, 288), (1376, 768)),
        ((1024, 768), (448, 320), (1184, 896)),
        ((1000, 1500), (320, 480), (832, 1248)),
        ((3000, 1000), (672, 224), (1760, 576)),
    ],
)
def test_sizes_of_the_released_model(size, look, work) -> None:
    assert (fitted(384**2, *size), fitted(1024**2, *size)) == (look, work)


def test_the_answer_has_the_pictures_own_size(plan) -> None:
    made = plan()
    assert (made.out, made.work, made.is_on_grid) == ((60, 40), (160, 96), True)
    assert made.sources[0].shape == (96, 160, 3)
    assert token_grid(made.work, 16) == (6, 10)
    assert (made.seeds, made.mask) == ((1,), None)


def test_a_size_may_be_asked_for(plan) -> None:
    made = plan(size=(100, 90))
    assert (made.out, made.work, made.is_on_grid) == ((100, 90), (96, 80), False)


def test_the_grid_is_the_last_pictures_and_with_a_mask_the_firsts(plan) -> None:
    other = file_of(noise(30, 70))
    assert plan(PNG, other).out == (30, 70)
    mask = file_of(mask_of(60, 40, (10, 10, 20, 20)))
    made = plan(PNG, other, mask=mask)
    assert made.out == (60, 40)
    assert made.mask is not None
    assert (made.mask[10:20, 10:20] == 1).all()
    assert made.mask.sum() == 100


def test_each_choice_has_its_seed(plan) -> None:
    assert plan(num_choices=3, seed=5).seeds == (5, 6, 7)
    assert plan(seed=None).seeds != plan(seed=None).seeds


def test_colours_of_print_are_read(plan) -> None:
    cmyk = Image.merge(
        "CMYK", [Image.fromarray(np.full((40, 60), level, np.uint8)) for level in (0, 255, 255, 0)]
    )
    made = plan(file_of(cmyk, "JPEG"))
    assert made.base[20, 30].tolist()[0] > 200
    assert made.base[20, 30].tolist()[1] < 60


def test_one_pixel_is_a_picture(plan) -> None:
    made = plan(file_of(noise(1, 1)))
    assert (made.out, made.work) == ((1, 1), (128, 128))


@pytest.mark.parametrize(
    ("wishes", "error", "message"),
    [
        ({"pictures": ()}, InvalidRequest, "0 pictures came; the model edits 1 to 3"),
        ({"pictures": (PNG,) * 4}, InvalidRequest, "4 pictures came"),
        ({"pictures": (b"no picture",)}, RemoteError, "not understood"),
        ({"pictures": (PNG[:-30],)}, RemoteError, "damaged"),
        ({"pictures": (file_of(noise(200, 4)),)}, InvalidRequest, "image 1 is 200 x 4: one side"),
        ({"pictures": (file_of(Image.new("L", (9000, 6000))),)}, RemoteError, "54.0 megapixels"),
        ({"prompt": " "}, InvalidRequest, "the prompt is empty"),
        ({"prompt": "x" * 8001}, InvalidRequest, "8001 characters, above 8000"),
        ({"negative_prompt": "x" * 8001}, InvalidRequest, "`negative_prompt` has 8001"),
        ({"mask": file_of(mask_of(61, 40, (0, 0, 9, 9)))}, InvalidRequest, "mask is 61 x 40, but"),
        ({"mask": file_of(mask_of(60, 40, (0, 0, 0, 0)))}, InvalidRequest, "marks nothing"),
        ({"mask": b"no mask"}, RemoteError, "not understood"),
        ({"size": (10, 10)}, InvalidRequest, "`size` is 10x10; 4096 to 4194304 pixels"),
        ({"size": (4000, 100)}, InvalidRequest, "at most 16 times the other"),
        ({"size": (9000, 9000)}, InvalidRequest, "`size` is 9000x9000"),
        ({"size": (0, 90)}, InvalidRequest, "`size` is 0x90"),
        ({"work_px": 100}, InvalidRequest, "`work_px` is 100; give 4096"),
        ({"guidance": 0.5}, InvalidRequest, "`guidance` is 0.5; give 1 to 20"),
        ({"num_previews": 9}, InvalidRequest, "`partial_images` is 9; give 0 to 3"),
        ({"step_cache": -0.1}, InvalidRequest, "`step_cache` is -0.1; give 0 to 1"),
        ({"step_cache": 1.5}, InvalidRequest, "`step_cache` is 1.5"),
        ({"step_cache": float("nan")}, InvalidRequest, "`step_cache` is nan"),
        ({"quality": 101}, InvalidRequest, "`quality` is 101"),
    ],
)
def test_what_is_wrong_is_named(decoder: Decoder, wishes, error, message: str) -> None:
    asked = EditInput(**({"pictures": (PNG,), "prompt": "x"} | wishes))
    with pytest.raises(error, match=message):
        make_plan(asked, num_choices=1, seed=0, decoder=decoder, rule=RULE, grid_px=16)


def test_an_error_says_which_file_it_is_about(plan) -> None:
    with pytest.raises(RemoteError) as caught:
        plan(PNG, mask=b"no mask")
    assert caught.value.param == "mask"
    with pytest.raises(RemoteError) as caught:
        plan(b"no picture")
    assert caught.value.param == "image"


def test_too_many_choices_are_refused(plan) -> None:
    with pytest.raises(InvalidRequest, match="`n` is 11; give 1 to 10"):
        plan(num_choices=11)
