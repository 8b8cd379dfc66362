"""Prompts: placeholders become as many tokens as there are embeddings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from myna.core.errors import BadCheckpoint, InvalidRequest
from myna.models.qwen3_omni import inputs
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.positions import Medium, Picture, Sound, Video

LAYOUTS = Path(__file__).parents[1] / "layouts"
RELEASED = LAYOUTS / "qwen3-omni-30b-a3b-instruct.config.json"
CONFIG = Config.from_hf(json.loads(RELEASED.read_text(encoding="utf-8")))
THINKER = CONFIG.thinker
IDS = THINKER.media
HEARD = [IDS.audio_start, IDS.audio, IDS.audio_end]
SEEN = [IDS.vision_start, IDS.image, IDS.vision_end]
WATCHED = [IDS.vision_start, IDS.video, IDS.vision_end]
VOCABULARY = {
    "<|audio_start|>": 151669,
    "<|audio_pad|>": 151675,
    "<|audio_end|>": 151670,
    "<|vision_start|>": 151652,
    "<|image_pad|>": 151655,
    "<|video_pad|>": 151656,
    "<|vision_end|>": 151653,
    "<|im_start|>": 151644,
    "<|im_end|>": 151645,
    "system": 8948,
    "user": 872,
    "assistant": 77091,
}


def test_media_are_described_in_tokens() -> None:
    assert inputs.sound(101, THINKER) == Sound(14)
    assert inputs.picture((1, 4, 6), THINKER) == Picture(2, 3)
    assert inputs.video((3, 4, 6), THINKER, fps=4, sound_frames=None) == Video(3, 2, 3, 0.5)
    heard = inputs.video((3, 4, 6), THINKER, fps=2, sound_frames=100)
    assert heard == Video(3, 2, 3, 1.0, Sound(13))


def test_a_sound_without_a_frame_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="a sound lasts less than a hundredth of a second"):
        inputs.sound(0, THINKER)


def test_placeholders_become_as_many_tokens_as_embeddings() -> None:
    prompt = [7, *HEARD, 7, *SEEN, *WATCHED]
    media = [Sound(2), Picture(1, 3), Video(2, 1, 1, 1.0)]
    layout = inputs.expand(prompt, media, THINKER)
    assert layout.token_ids.tolist() == [
        *(7, IDS.audio_start, IDS.audio, IDS.audio, IDS.audio_end, 7),
        *(IDS.vision_start, IDS.image, IDS.image, IDS.image, IDS.vision_end),
        *(IDS.vision_start, IDS.video, IDS.video, IDS.vision_end),
    ]
    assert layout.audio_rows.tolist() == [2, 3]
    assert layout.visual_rows.tolist() == [7, 8, 9, 12, 13]
    assert [(span.start, span.stop) for span in layout.spans] == [(1, 5), (6, 11), (11, 15)]
    assert layout.positions.shape == (3, 15)
    assert layout.advance == float(layout.positions.max()) + 1 - 15


def test_a_videos_sound_is_heard_between_its_steps() -> None:
    media = [Video(2, 1, 1, seconds_per_step=2 / 13, sound=Sound(3))]
    layout = inputs.expand([*WATCHED, 7], media, THINKER)
    a, v = IDS.audio, IDS.video
    assert layout.token_ids.tolist() == [
        *(IDS.vision_start, IDS.audio_start, v, a, a, v, a, IDS.audio_end, IDS.vision_end, 7)
    ]
    assert layout.audio_rows.tolist() == [3, 4, 6]
    assert layout.visual_rows.tolist() == [2, 5]
    assert (layout.spans[0].start, layout.spans[0].stop) == (0, 9)


def test_a_prompt_without_media_stays_as_it_is() -> None:
    layout = inputs.expand([1, 2, 3], [], THINKER)
    assert layout.token_ids.tolist() == [1, 2, 3]
    assert torch.equal(layout.positions, torch.arange(3.0).expand(3, -1))
    assert layout.advance == 0


def test_media_are_found_again_in_a_part_of_the_prompt() -> None:
    media: list[Medium] = [Sound(2), Video(2, 1, 1, 2 / 13, Sound(3)), Picture(1, 1)]
    layout = inputs.expand([7, *HEARD, *WATCHED, 7, *SEEN], media, THINKER)
    assert inputs.locate(layout.token_ids.tolist(), media, IDS) == layout.spans
    late = inputs.locate(layout.token_ids[5:].tolist(), media[1:], IDS)
    assert [(span.start, span.stop) for span in late] == [(0, 9), (10, 13)]


def test_the_talker_counts_only_the_turns_it_reads() -> None:
    """A picture in the first turn is not read; one in the second is, then text."""
    layout = inputs.expand([*SEEN, 7, *SEEN], [Picture(1, 9), Picture(1, 2)], THINKER)
    rows = torch.arange(11, 16)  # a text token, start, two of the picture, end
    tokens = torch.cat((layout.token_ids[rows], torch.tensor([7, 7])))
    found = inputs.talker_positions(layout, user_rows=rows, token_ids=tokens, config=THINKER)
    height = [0, 1, 2, 2, 4, 5, 6]
    assert found.tolist() == [height, height, [0, 1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize(
    ("prompt", "media", "message"),
    [
        (HEARD, [], "places for a sound, but no media came with it"),
        ([7], [Picture(1, 1)], "places for no media, but a picture came with it"),
        ([*SEEN, *HEARD], [Sound(1), Picture(1, 1)], "a picture, a sound, but a sound, a picture"),
        ([*HEARD, *HEARD], [Sound(1)], "a sound, a sound, but a sound came"),
    ],
)
def test_media_that_do_not_fit_their_places_are_refused(
    prompt: list[int], media: list[Medium], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        inputs.expand(prompt, media, THINKER)


@pytest.mark.parametrize(
    "prompt",
    [
        [IDS.image],
        [IDS.vision_start, IDS.image],
        [IDS.image, IDS.vision_end],
        [IDS.audio_start, IDS.image, IDS.audio_end],
    ],
)
def test_a_place_that_nothing_encloses_is_refused(prompt: list[int]) -> None:
    with pytest.raises(InvalidRequest, match="a picture that is not between its start and end"):
        inputs.expand(prompt, [Picture(1, 1)], THINKER)


def test_the_tokenizer_must_number_special_tokens_as_the_config_does() -> None:
    inputs.check_tokens(CONFIG, VOCABULARY.get)
    for token in VOCABULARY:
        with pytest.raises(BadCheckpoint, match="give it the number 5; they belong to different"):
            inputs.check_tokens(CONFIG, {**VOCABULARY, token: 5}.get)
    with pytest.raises(BadCheckpoint, match=r"'<\|audio_pad\|>' .* lack it"):
        inputs.check_tokens(CONFIG, {**VOCABULARY, "<|audio_pad|>": None}.get)


def test_a_model_that_only_writes_needs_no_roles() -> None:
    silent = Config(thinker=THINKER)
    media_only = {token: number for token, number in VOCABULARY.items() if "im_" not in token}
    inputs.check_tokens(silent, media_only.get)
