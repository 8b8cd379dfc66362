"""Prompts of mixed media through encoders, layout and thinker: logits and greedy text equal the
reference's, through the real loader.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import Qwen3OmniMoeConfig, Qwen3OmniMoeForConditionalGeneration
from transformers.utils import logging as reference_logging

from closeness import compare
from myna.layers.cache import PackedBatch, Rows
from myna.layers.dense_cache import DenseCache
from myna.models.qwen3_omni import inputs
from myna.models.qwen3_omni.config import Config, ThinkerConfig
from myna.models.qwen3_omni.positions import Medium
from myna.models.qwen3_omni.thinker import Thinker, prompt_batch
from myna.models.qwen3_omni.weights import THINKER_RULES
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint

RELEASED = Path(__file__).parents[1] / "models/layouts/qwen3-omni-30b-a3b-thinking.config.json"
NUM_SEEDS = 20
NUM_NEW_TOKENS = 8
NUM_TEXT_IDS = 100
FPS = (2.0, 1.9933, 3.0)

AUDIO = {
    "d_model": 32,
    "encoder_layers": 1,
    "num_hidden_layers": 1,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "downsample_hidden_size": 4,
    "output_dim": 32,
    "n_window_infer": 200,
}
VISION = {
    "depth": 3,
    "hidden_size": 32,
    "num_heads": 2,
    "intermediate_size": 48,
    "patch_size": 4,
    "num_position_embeddings": 36,
    "out_hidden_size": 32,
    "deepstack_visual_indexes": [0, 1],
}
TEXT = {
    "vocab_size": 128,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_experts": 6,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "rope_scaling": {"rope_type": "default", "interleaved": True, "mrope_section": [4, 2, 2]},
}
IDS = {
    "audio_token_id": 120,
    "audio_start_token_id": 121,
    "audio_end_token_id": 122,
    "image_token_id": 123,
    "video_token_id": 124,
    "vision_start_token_id": 125,
    "vision_end_token_id": 126,
}


@dataclass(frozen=True)
class Pair:
    """Hold the same weights twice: in the reference's thinker and in ours."""

    reference: nn.Module
    ours: Thinker
    config: ThinkerConfig


def redraw(network: nn.Module, seed: int) -> None:
    """Draw all weights anew: matrices keep their input's size, norms and biases are felt."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_(0, 0.3, generator=generator)
        elif parameter.ndim == 1:
            parameter.data.uniform_(0.5, 1.5, generator=generator)
        else:
            is_convolution = parameter.ndim > 3
            fan_in = parameter[0].numel() if is_convolution else parameter.shape[-1]
            parameter.data.normal_(0, fan_in**-0.5, generator=generator)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Iterator[Pair]:
    """Save the reference as it would a release, and load that."""
    values = json.loads(RELEASED.read_text(encoding="utf-8"))
    del values["dtype"], values["model_type"], values["architectures"]
    thinker = values["thinker_config"]
    del thinker["dtype"]
    thinker |= IDS
    for part, changes in (("audio", AUDIO), ("vision", VISION), ("text", TEXT)):
        thinker[f"{part}_config"] |= changes
    folder = tmp_path_factory.mktemp("omni")
    reference_logging.disable_progress_bar()
    reference = Qwen3OmniMoeForConditionalGeneration(Qwen3OmniMoeConfig(**values)).eval()
    redraw(reference, 0)
    reference.save_pretrained(folder, max_shard_size="100KB")
    config = Config.from_hf(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    with torch.device("meta"):
        ours = Thinker(config.thinker)
    load_weights(ours, open_checkpoint(folder), THINKER_RULES, dtype=torch.float32)
    yield Pair(reference.thinker, ours, config.thinker)
    reference_logging.enable_progress_bar()


class Prompt:
    """Draw a prompt with its media, in our terms and in the reference's."""

    def __init__(self, seed: int, config: ThinkerConfig) -> None:
        self.config = config
        self.draw = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.with_sound = seed % 2 == 1
        self.fps = self.draw.choice(FPS)
        self.token_ids: list[int] = []
        self.media: list[Medium] = []
        self.mels: list[Tensor] = []
        self.images: list[tuple[Tensor, tuple[int, int, int]]] = []
        self.videos: list[tuple[Tensor, tuple[int, int, int]]] = []
        self.shown: list[tuple[Tensor, tuple[int, int, int]]] = []
        kinds = [self.add_sound, self.add_picture, self.add_picture, self.add_video, self.add_sound]
        for add in self.draw.sample(kinds, 4):
            self.add_text()
            add()
        self.add_text()

    def add_text(self) -> None:
        num_tokens = self.draw.randint(1, 9)
        self.token_ids += [self.draw.randrange(NUM_TEXT_IDS) for _ in range(num_tokens)]

    def add_mel(self) -> int:
        num_frames = self.draw.choice((30, 130, 350))
        mel = torch.rand(self.config.audio.num_mels, num_frames, generator=self.generator)
        self.mels.append(mel * 2.5 - 1)
        return num_frames

    def add_sound(self) -> None:
        self.media.append(inputs.sound(self.add_mel(), self.config))
        self.token_ids += [121, 120, 122]

    def patches(self, grid: tuple[int, int, int]) -> Tensor:
        num_rows = grid[0] * grid[1] * grid[2]
        width = self.config.vision.patch_width
        rows = torch.rand(num_rows, width, generator=self.generator) * 2 - 1
        self.shown.append((rows, grid))
        return rows

    def add_picture(self) -> None:
        grid = (1, 2 * self.draw.randint(1, 4), 2 * self.draw.randint(1, 4))
        self.media.append(inputs.picture(grid, self.config))
        self.images.append((self.patches(grid), grid))
        self.token_ids += [125, 123, 126]

    def add_video(self) -> None:
        grid = (self.draw.randint(1, 4), 2 * self.draw.randint(1, 3), 4)
        frames = self.add_mel() if self.with_sound else None
        medium = inputs.video(grid, self.config, fps=self.fps, sound_frames=frames)
        self.media.append(medium)
        self.videos.append((self.patches(grid), grid))
        self.token_ids += [125, 124, 126]

    def batch(self, ours: Thinker) -> tuple[PackedBatch, float]:
        """Encode the media; returns the prompt's batch, and how far decoding is ahead."""
        layout = inputs.expand(self.token_ids, self.media, self.config)
        heard = ours.audio_tower(self.mels, pad_together=True) if self.mels else None
        seen = None
        if self.shown:
            rows, grids = zip(*self.shown, strict=True)
            seen = ours.visual(torch.cat(rows), grids)
        return prompt_batch(layout, heard=heard, seen=seen), layout.advance

    def arguments(self, token_ids: Tensor) -> dict[str, object]:
        """Say the same to the reference."""
        said: dict[str, object] = {
            "input_ids": token_ids[None],
            "attention_mask": torch.ones_like(token_ids)[None],
            "use_audio_in_video": self.with_sound,
        }
        if self.mels:
            longest = max(mel.shape[1] for mel in self.mels)
            padded = [nn.functional.pad(mel, (0, longest - mel.shape[1])) for mel in self.mels]
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


def our_logits(ours: Thinker, batch: PackedBatch, *, chunk: int | None = None) -> Tensor:
    """Run a prompt, whole or in chunks."""
    caches = [DenseCache() for _ in range(ours.decoder.num_layers)]
    num_tokens = len(batch.token_ids)
    chunk = chunk or num_tokens
    hidden = [
        ours.decoder(batch.cut(start, min(start + chunk, num_tokens)), caches)
        for start in range(0, num_tokens, chunk)
    ]
    return ours.decoder.logits(torch.cat(hidden))


def greedy(ours: Thinker, batch: PackedBatch, ahead: float) -> list[int]:
    """Continue a prompt with the likeliest tokens."""
    caches = [DenseCache() for _ in range(ours.decoder.num_layers)]
    tokens: list[int] = []
    first = len(batch.token_ids)
    for position in range(first, first + NUM_NEW_TOKENS):
        logits = ours.decoder.logits(ours.decoder(batch, caches)[-1:])
        tokens.append(int(logits.argmax()))
        batch = PackedBatch(torch.tensor(tokens[-1:]), torch.tensor([position + ahead]))
    return tokens


def check(found: Tensor, wanted: Tensor) -> None:
    compare({"logits": found}, {"logits": wanted})


@pytest.mark.parametrize("seed", range(NUM_SEEDS))
def test_logits_and_greedy_text_equal_the_reference(pair: Pair, seed: int) -> None:
    prompt = Prompt(seed, pair.config)
    with torch.inference_mode():
        batch, ahead = prompt.batch(pair.ours)
        said = prompt.arguments(batch.token_ids)
        pair.reference.rope_deltas = None
        check(our_logits(pair.ours, batch), pair.reference(**said).logits[0])
        check(our_logits(pair.ours, batch, chunk=7), pair.reference(**said).logits[0])
        continued = pair.reference.generate(
            **said, max_new_tokens=NUM_NEW_TOKENS, do_sample=False, eos_token_id=None
        )
        assert greedy(pair.ours, batch, ahead) == continued[0, len(batch.token_ids) :].tolist()


def forget_deepstack(batch: PackedBatch) -> PackedBatch:
    return replace(batch, added=())


def add_deepstack_a_layer_late(batch: PackedBatch) -> PackedBatch:
    return replace(batch, added=((), *batch.added))


def swap_deepstack(batch: PackedBatch) -> PackedBatch:
    return replace(batch, added=batch.added[::-1])


def forget_sound(batch: PackedBatch) -> PackedBatch:
    return replace(batch, replaced=batch.replaced[1:])


def exchange_embeddings(batch: PackedBatch) -> PackedBatch:
    first, *others = batch.replaced
    return replace(batch, replaced=(Rows(first.rows, first.values.roll(1, 0)), *others))


def shift_late_positions(batch: PackedBatch) -> PackedBatch:
    late = torch.arange(len(batch.token_ids)) >= len(batch.token_ids) // 2
    return replace(batch, positions=batch.positions + late)


def flatten_positions(batch: PackedBatch) -> PackedBatch:
    return replace(batch, positions=torch.arange(len(batch.token_ids)))


def exchange_height_and_width(batch: PackedBatch) -> PackedBatch:
    return replace(batch, positions=batch.positions[[0, 2, 1]])


def truncate_time(batch: PackedBatch) -> PackedBatch:
    return replace(batch, positions=batch.positions.floor())


MUTANTS = (
    forget_deepstack,
    add_deepstack_a_layer_late,
    swap_deepstack,
    forget_sound,
    exchange_embeddings,
    shift_late_positions,
    flatten_positions,
    exchange_height_and_width,
    truncate_time,
)


@pytest.fixture(scope="module")
def rich(pair: Pair) -> tuple[PackedBatch, Tensor]:
    """Draw a prompt with every kind of media and fractions of positions."""
    prompts = (Prompt(seed, pair.config) for seed in range(1, 99, 2))
    prompt = next(p for p in prompts if p.images and p.videos and 2 / p.fps % 1)
    with torch.inference_mode():
        batch, _ = prompt.batch(pair.ours)
        pair.reference.rope_deltas = None
        expected = pair.reference(**prompt.arguments(batch.token_ids)).logits[0]
    return batch, expected


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_every_mutant_fails(pair: Pair, rich: tuple[PackedBatch, Tensor], mutant) -> None:
    batch, expected = rich
    with torch.inference_mode():
        check(our_logits(pair.ours, batch), expected)
        with pytest.raises(AssertionError, match="parity fails"):
            check(our_logits(pair.ours, mutant(batch)), expected)
