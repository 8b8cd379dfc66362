"""Checks of ears, eyes and voice: on echo they find fault, and they ask for what they should."""

from __future__ import annotations

import pytest

from myna.core.progress import silent
from myna.media.decoder import Decoder
from myna.media.limits import MediaBudget, MediaLimits
from myna.models.tiny_omni import write_tiny_omni
from myna.pipeline.check import check_model
from myna.pipeline.check_media import SPOKEN_FILE, red_circle_png, word_errors
from myna.pipeline.load import LoadOptions, load_model
from myna.pipeline.service import LocalService


@pytest.mark.parametrize(
    ("heard", "errors"),
    [
        ("A small bird sings!", 0.0),
        ("a small bird SINGS", 0.0),
        ("a bird sings", 0.25),
        ("a small dog sings", 0.25),
        ("", 1.0),
        ("a small bird sings and sings", 0.5),
    ],
)
def test_word_errors_count_what_was_missed_changed_and_added(heard: str, errors: float):
    assert word_errors("A small bird sings", heard) == pytest.approx(errors)


def test_the_samples_are_a_sound_and_a_picture():
    decoder = Decoder(num_children=1)
    budget = MediaBudget(MediaLimits())
    sound = decoder.audio(SPOKEN_FILE.read_bytes(), budget)
    picture = decoder.image(red_circle_png(), budget)
    decoder.close()
    assert 2.0 < sound.duration_s < 5.0
    assert tuple(picture.pixels[112, 112]) == (255, 0, 0)
    assert tuple(picture.pixels[2, 2]) == (255, 255, 255)


async def test_an_omni_model_of_noise_is_asked_everything_and_fails(tmp_path):
    write_tiny_omni(tmp_path / "omni", seed=0)
    options = LoadOptions(model_id="omni", dtype="float32", max_context=2048)
    model = load_model(tmp_path / "omni", options, silent)
    service = LocalService(model)
    try:
        findings = {f.name: f async for f in check_model(model, service)}
    finally:
        await service.close()
    media = [name for name in findings if name.startswith(("it hears", "it sees", "it under"))]
    assert len(media) == 3
    assert not any(findings[name].passed for name in media)
