"""Placeholders and positions of Qwen3-Omni equal the reference's exactly, on random prompts."""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import Qwen3OmniMoeProcessor
from transformers.models.qwen3_omni_moe import modeling_qwen3_omni_moe as reference_code

from myna.models.qwen3_omni import inputs
from myna.models.qwen3_omni.inputs import Layout
from myna.models.qwen3_omni.positions import Medium

NUM_PROMPTS = 400
FPS = (2.0, 1.0, 3.0, 1.9933, 0.427, 24 / 11, 4.0, 7.3)
TEXT_ID = 100
MERGE = 2
RATE = 13
IDS = SimpleNamespace(
    audio=151675,
    audio_start=151669,
    audio_end=151670,
    image=151655,
    video=151656,
    vision_start=151652,
    vision_end=151653,
)
CONFIG = SimpleNamespace(
    media=IDS,
    positions_per_s=RATE,
    vision=SimpleNamespace(merge=MERGE, patch_frames=2),
    audio=SimpleNamespace(num_tokens=lambda length: 13 * (length // 100) + -(-(length % 100) // 8)),
)


class Prompt:
    """Draw a prompt with media, in our terms and in the reference's."""

    def __init__(self, seed: int, *, with_sound: bool) -> None:
        self.draw = random.Random(seed)
        self.with_sound = with_sound
        self.token_ids: list[int] = []
        self.media: list[Medium] = []
        self.image_grids: list[list[int]] = []
        self.video_grids: list[list[int]] = []
        self.seconds_per_step: list[float] = []
        self.sound_frames: list[int] = []
        fps = self.draw.choice(FPS)
        for _ in range(self.draw.randint(0, 5)):
            self.add_text()
            self.draw.choice((self.add_sound, self.add_picture, lambda: self.add_video(fps)))()
        self.token_ids += [TEXT_ID] * self.draw.choice((1, 5))
        self.layout: Layout = inputs.expand(self.token_ids, self.media, CONFIG)

    def add_text(self) -> None:
        self.token_ids += [TEXT_ID] * self.draw.choice((0, 1, 2, 17, 300))

    def add_sound(self) -> None:
        self.sound_frames.append(self.draw.randint(1, 900))
        self.media.append(inputs.sound(self.sound_frames[-1], CONFIG))
        self.token_ids += [IDS.audio_start, IDS.audio, IDS.audio_end]

    def add_picture(self) -> None:
        grid = (1, MERGE * self.draw.randint(1, 20), MERGE * self.draw.randint(1, 20))
        self.image_grids.append(list(grid))
        self.media.append(inputs.picture(grid, CONFIG))
        self.token_ids += [IDS.vision_start, IDS.image, IDS.vision_end]

    def add_video(self, fps: float) -> None:
        wide = self.draw.choice((4, 40))
        grid = (
            self.draw.randint(1, 12),
            MERGE * self.draw.randint(1, wide),
            MERGE * self.draw.randint(1, 4),
        )
        frames = self.draw.randint(1, 1500) if self.with_sound else None
        if frames is not None:
            self.sound_frames.append(frames)
        self.video_grids.append(list(grid))
        self.seconds_per_step.append(2 / fps)
        self.media.append(inputs.video(grid, CONFIG, fps=fps, sound_frames=frames))
        self.token_ids += [IDS.vision_start, IDS.video, IDS.vision_end]

    def reference(self, token_ids: Tensor, *, with_sound: bool) -> tuple[Tensor, Tensor]:
        """Ask the reference for positions, and how far decoding is ahead."""
        kind = reference_code.Qwen3OmniMoePreTrainedModelForConditionalGeneration
        network = SimpleNamespace(
            spatial_merge_size=MERGE,
            config=SimpleNamespace(
                image_token_id=IDS.image,
                video_token_id=IDS.video,
                audio_token_id=IDS.audio,
                vision_start_token_id=IDS.vision_start,
                audio_start_token_id=IDS.audio_start,
                position_id_per_seconds=RATE,
                audio_config=SimpleNamespace(n_window=50),
            ),
        )
        network.get_llm_pos_ids_for_vision = kind.get_llm_pos_ids_for_vision.__get__(network)
        found, delta = kind.get_rope_index(
            network,
            token_ids[None],
            torch.tensor(self.image_grids) if self.image_grids else None,
            torch.tensor(self.video_grids) if self.video_grids else None,
            torch.ones_like(token_ids)[None],
            with_sound,
            torch.tensor(self.sound_frames),
            torch.tensor(self.seconds_per_step),
        )
        return found[:, 0], delta

    def placeholders(self) -> list[int]:
        """Expand the prompt by the reference's own text replacement."""
        processor = object.__new__(Qwen3OmniMoeProcessor)
        processor.audio_token, processor.video_token, processor.image_token = "avi"
        processor.audio_bos_token, processor.audio_eos_token = "[]"
        processor.video_processor = SimpleNamespace(merge_size=MERGE)
        processor.image_processor = SimpleNamespace(merge_size=MERGE)
        letters = {
            "a": IDS.audio,
            "v": IDS.video,
            "i": IDS.image,
            "[": IDS.audio_start,
            "]": IDS.audio_end,
        }
        counts = [CONFIG.audio.num_tokens(frames) for frames in self.sound_frames]
        sounds = {"num_audio_tokens": np.array(counts)}
        pictures = {"image_grid_thw": np.array(self.image_grids)}
        videos = {
            "video_grid_thw": np.array(self.video_grids),
            "video_second_per_grid": self.seconds_per_step,
        }
        seen = dict.fromkeys((IDS.audio, IDS.image, IDS.video), 0)
        out: list[int] = []
        for token in self.token_ids:
            if token == IDS.audio:
                text = processor.replace_audio_token(sounds, seen[IDS.audio])
            elif token == IDS.image:
                text = processor.replace_image_token(pictures, seen[IDS.image])
            elif token == IDS.video:
                text = processor.replace_video_token(
                    videos,
                    seen[IDS.video],
                    processed_audio=sounds,
                    video_to_audio_indices={seen[IDS.video]: seen[IDS.audio]},
                    load_audio_from_video=self.with_sound,
                    position_id_per_seconds=float(RATE),
                )
                seen[IDS.audio] += self.with_sound
            else:
                out.append(token)
                continue
            seen[token] += 1
            out += [letters[letter] for letter in text]
        return out


@pytest.mark.parametrize("with_sound", [False, True], ids=["silent videos", "videos with sound"])
def test_placeholders_and_positions_equal_the_reference(*, with_sound: bool) -> None:
    sizes = set()
    for seed in range(NUM_PROMPTS // 2):
        prompt = Prompt(seed, with_sound=with_sound)
        layout = prompt.layout
        assert layout.token_ids.tolist() == prompt.placeholders(), seed
        expected, delta = prompt.reference(layout.token_ids, with_sound=with_sound)
        assert layout.positions.dtype == torch.float32
        assert torch.equal(layout.positions, expected.float()), seed
        assert layout.advance == float(delta), seed
        sizes.add(len(prompt.media))
    assert sizes == {0, 1, 2, 3, 4, 5}


def test_the_talkers_positions_equal_the_reference() -> None:
    """The reference hides from its talker that videos have sound."""
    compared = 0
    for seed in range(NUM_PROMPTS // 2):
        prompt = Prompt(seed, with_sound=True)
        layout = prompt.layout
        assert inputs.locate(layout.token_ids.tolist(), prompt.media, IDS) == layout.spans
        expected, _ = prompt.reference(layout.token_ids, with_sound=False)
        rows = torch.arange(len(layout.token_ids))
        found = inputs.talker_positions(
            layout, user_rows=rows, token_ids=layout.token_ids, config=CONFIG
        )
        assert torch.equal(found, expected.float()), seed
        compared += not torch.equal(found, layout.positions)
    assert compared > 10


def shift_after_media(layout: Layout) -> Layout:
    return replace(layout, positions=layout.positions + (layout.positions > 20))


def swap_height_and_width(layout: Layout) -> Layout:
    return replace(layout, positions=layout.positions[[0, 2, 1]])


def truncate_time(layout: Layout) -> Layout:
    return replace(layout, positions=layout.positions.floor())


@pytest.mark.parametrize("mutant", [shift_after_media, swap_height_and_width, truncate_time])
def test_mutants_of_positions_fail(mutant) -> None:
    prompts = (Prompt(seed, with_sound=True) for seed in range(NUM_PROMPTS))
    prompt = next(prompt for prompt in prompts if (prompt.layout.positions % 1).any())
    expected, _ = prompt.reference(prompt.layout.token_ids, with_sound=True)
    assert not torch.equal(mutant(prompt.layout).positions, expected)
