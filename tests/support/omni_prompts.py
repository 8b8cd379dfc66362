"""Conversations of mixed media for the tiny Qwen3-Omni, in our terms and in the reference's."""

from __future__ import annotations

import random

import torch
from torch import Tensor
from torch.nn import functional

from myna.layers.cache import Tap
from myna.models.qwen3_omni import inputs
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.inputs import Layout
from myna.models.qwen3_omni.positions import Medium
from myna.models.qwen3_omni.thinker import Thinker, fresh_states, prompt_batch
from myna.models.tiny_omni import token_ids

NUM_TEXT_IDS = 250
FPS = (2.0, 1.9933, 3.0)
IDS = token_ids()
LINE = IDS["Ċ"]  # the line break, in the byte-level alphabet
PLACES = {
    kind: [IDS[f"<|{edge}_start|>"], IDS[f"<|{kind}_pad|>"], IDS[f"<|{edge}_end|>"]]
    for kind, edge in (("audio", "audio"), ("image", "vision"), ("video", "vision"))
}
Shown = tuple[Tensor, tuple[int, int, int]]


class Conversation:
    """Draw some turns; the answer to the last is open.

    Args:
        seed: of everything drawn.
        config: of the model.
        has_media: or only text.
    """

    def __init__(self, seed: int, config: Config, *, has_media: bool = True) -> None:
        self.config = config.thinker
        self.draw = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.with_sound = seed % 3 == 1
        self.fps = self.draw.choice(FPS)
        self.token_ids: list[int] = []
        self.media: list[Medium] = []
        self.mels: list[Tensor] = []
        self.images: list[Shown] = []
        self.videos: list[Shown] = []
        self.shown: list[Shown] = []
        kinds = [self.add_sound, self.add_picture, self.add_video, self.add_picture]
        kinds = self.draw.sample(kinds, self.draw.randint(1, 4)) if has_media else []
        split = self.draw.randint(0, len(kinds))
        self.turn("system", [])
        if split:
            self.turn("user", kinds[:split])
            self.turn("assistant", [])
        self.turn("user", kinds[split:])
        self.token_ids += [IDS["<|im_start|>"], IDS["assistant"], LINE]

    def turn(self, role: str, media: list[object]) -> None:
        self.token_ids += [IDS["<|im_start|>"], IDS[role], LINE]
        for add in media:
            add()
            self.add_text()
        self.add_text()
        self.token_ids += [IDS["<|im_end|>"], LINE]

    def add_text(self) -> None:
        count = self.draw.randint(1, 6)
        self.token_ids += [self.draw.randrange(NUM_TEXT_IDS) for _ in range(count)]

    def add_mel(self) -> int:
        num_frames = self.draw.choice((30, 130, 250))
        mel = torch.rand(self.config.audio.num_mels, num_frames, generator=self.generator)
        self.mels.append(mel * 2.5 - 1)
        return num_frames

    def add_sound(self) -> None:
        self.media.append(inputs.sound(self.add_mel(), self.config))
        self.token_ids += PLACES["audio"]

    def patches(self, grid: tuple[int, int, int]) -> Tensor:
        shape = (grid[0] * grid[1] * grid[2], self.config.vision.patch_width)
        rows = torch.rand(shape, generator=self.generator) * 2 - 1
        self.shown.append((rows, grid))
        return rows

    def add_picture(self) -> None:
        grid = (1, 2 * self.draw.randint(1, 3), 2 * self.draw.randint(1, 3))
        self.media.append(inputs.picture(grid, self.config))
        self.images.append((self.patches(grid), grid))
        self.token_ids += PLACES["image"]

    def add_video(self) -> None:
        grid = (self.draw.randint(1, 3), 2 * self.draw.randint(1, 2), 4)
        frames = self.add_mel() if self.with_sound else None
        medium = inputs.video(grid, self.config, fps=self.fps, sound_frames=frames)
        self.media.append(medium)
        self.videos.append((self.patches(grid), grid))
        self.token_ids += PLACES["video"]

    def layout(self) -> Layout:
        return inputs.expand(self.token_ids, self.media, self.config)

    def batch(self, thinker: Thinker, layout: Layout, *, depth: int):
        """Encode the media; returns the prompt's batch, and where states will be written."""
        heard = thinker.audio_tower(self.mels, pad_together=True) if self.mels else None
        seen = None
        if self.shown:
            rows, grids = zip(*self.shown, strict=True)
            seen = thinker.visual(torch.cat(rows), grids)
        states = fresh_states(layout, width=self.config.text.width, dtype=torch.float32)
        batch = prompt_batch(layout, heard=heard, seen=seen, tap=Tap(depth, states))
        return batch, states

    def arguments(self, expanded: Tensor) -> dict[str, object]:
        """Say the same to the reference."""
        said: dict[str, object] = {
            "input_ids": expanded[None],
            "attention_mask": torch.ones_like(expanded)[None],
            "use_audio_in_video": self.with_sound,
        }
        if self.mels:
            longest = max(mel.shape[1] for mel in self.mels)
            padded = [functional.pad(mel, (0, longest - mel.shape[1])) for mel in self.mels]
            lengths = torch.tensor([mel.shape[1] for mel in self.mels])
            said["input_features"] = torch.stack(padded)
            said["feature_attention_mask"] = (torch.arange(longest) < lengths[:, None]).long()
        if self.images:
            rows, grids = zip(*self.images, strict=True)
            said |= {"pixel_values": torch.cat(rows), "image_grid_thw": torch.tensor(grids)}
        if self.videos:
            rows, grids = zip(*self.videos, strict=True)
            said["pixel_values_videos"] = torch.cat(rows)
            said["video_grid_thw"] = torch.tensor(grids)
            said["video_second_per_grid"] = torch.tensor([2 / self.fps] * len(grids))
        return said
