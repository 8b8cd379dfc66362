"""From examples to what the thinker reads while it is trained: rectangles of tokens with media.

Media become mel frames and patches by the code that serves users (media), prompts by the words of
the chat template, written here directly because a template costs a millisecond each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from myna.layers.cache import PackedBatch, Rows
from myna.media import decoded, patches
from myna.media.mel import mel
from myna.media.patches import Patches, PatchRule
from myna.media.sizes import frame_size
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.inputs import Layout, expand, picture, sound, video
from myna.models.qwen3_omni.positions import Medium
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.vision_encoder import Seen
from myna.text.tokenizer import Tokenizer
from myna.train.examples import UNSCORED, Clip, Example, Heard, Part, Picture, Sound, Spoken
from myna.train.language.tokenizer import prompt_of
from myna.train.shapes import CLIP_PIXELS

AUDIO = "<|audio_start|><|audio_pad|><|audio_end|>"
IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
VIDEO = "<|vision_start|><|video_pad|><|vision_end|>"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Hold one example as the networks read it.

    Attributes:
        ability: what it exercises.
        layout: prompt and answer together.
        num_answer: tokens of the answer, the end of the turn included.
        frames: (M, T) mel frames of each sound, in order.
        cuts: patches of each picture and clip, in order.
        heard: (T,) int64, the word that is said in each token of sound, or `UNSCORED`.
        told: (T,) int64, the word that each token of the answer belongs to, or `UNSCORED`.
    """

    ability: str
    layout: Layout
    num_answer: int
    frames: tuple[Tensor, ...]
    cuts: tuple[Patches, ...]
    heard: Tensor
    told: Tensor


@dataclass(frozen=True, kw_only=True)
class Rectangles:
    """Hold B readings, padded to T tokens.

    Attributes:
        abilities: of each.
        token_ids: (B, T) int64.
        positions: (3, B*T) float32.
        labels: (B, T) int64, the token that comes next; `UNSCORED` where it is given.
        audio_rows: of the packed tokens, for all sound in order.
        visual_rows: the same for pictures and clips.
        frames: mel frames of all sounds.
        cuts: patches of all pictures and clips.
        heard: (B, T) int64, as in `Reading`.
        told: (B, T) int64.
    """

    abilities: tuple[str, ...]
    token_ids: Tensor
    positions: Tensor
    labels: Tensor
    audio_rows: Tensor
    visual_rows: Tensor
    frames: tuple[Tensor, ...]
    cuts: tuple[Patches, ...]
    heard: Tensor
    told: Tensor


class Reader:
    """Make readings of examples.

    Args:
        tokenizer: nano's.
        config: of the model.
        rule: how pictures are cut.
    """

    def __init__(self, tokenizer: Tokenizer, config: Config, rule: PatchRule) -> None:
        self.tokenizer = tokenizer
        self.config = config.thinker
        self.rule = rule

    def read(self, example: Example) -> Reading:
        """Cut the media, write the conversation, and number its tokens."""
        media: list[Medium] = []
        frames: list[Tensor] = []
        cuts: list[Patches] = []
        question = "".join(self._place(part, media, frames, cuts) for part in example.question)
        answer = self.tokenizer.encode(example.answer + "<|im_end|>")
        layout = expand([*self.tokenizer.encode(prompt_of(question)), *answer], media, self.config)
        heard, told = self._words(example, layout, answer)
        return Reading(
            ability=example.ability,
            layout=layout,
            num_answer=len(answer),
            frames=tuple(frames),
            cuts=tuple(cuts),
            heard=heard,
            told=told,
        )

    def _words(
        self, example: Example, layout: Layout, answer: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Tell where each word of an answer is heard and written, if its times are known."""
        heard, told = torch.full((2, len(layout.token_ids)), UNSCORED)
        spans = [part.words for part in example.question if isinstance(part, Heard)]
        if len(spans) == 1 and len(spans[0]) == len(example.answer.split()):
            places = torch.arange(len(layout.audio_rows)) + 0.5
            places /= len(layout.audio_rows)
            for word, (start, end) in enumerate(spans[0]):
                heard[layout.audio_rows[(places >= start) & (places < end)]] = word
            pieces = [self.tokenizer.token_bytes(token) for token in answer[:-1]]
            first = len(told) - len(answer)
            told[first:-1] = torch.tensor(words_of_tokens(pieces))
        return heard, told

    def _place(
        self, part: Part, media: list[Medium], frames: list[Tensor], cuts: list[Patches]
    ) -> str:
        match part:
            case str():
                return part
            case Sound():
                return self._place_sound(mel_frames(part), media, frames)
            case Heard(frames=given):
                found = torch.from_numpy(given.T.astype(np.float32))
                return self._place_sound(found, media, frames)
            case Picture(pixels=pixels):
                cuts.append(patches.cut_image(decoded.Picture(pixels=pixels), self.rule))
                media.append(picture(cuts[-1].grid, self.config))
                return IMAGE
            case Clip():
                cuts.append(cut_clip(part, self.rule))
                if part.sound is not None:
                    frames.append(mel_frames(part.sound))
                heard = None if part.sound is None else frames[-1].shape[1]
                grid = cuts[-1].grid
                media.append(video(grid, self.config, fps=part.fps, sound_frames=heard))
                return VIDEO
            case Spoken(text=text):
                raise ValueError(f"{text!r} was to be spoken, but no voice has said it yet")

    def _place_sound(self, found: Tensor, media: list[Medium], frames: list[Tensor]) -> str:
        frames.append(found)
        media.append(sound(found.shape[1], self.config))
        return AUDIO


def words_of_tokens(pieces: Sequence[bytes]) -> list[int]:
    """Number the word of each token; a token that begins with a blank begins a word."""
    begins = [i > 0 and piece.startswith(b" ") for i, piece in enumerate(pieces)]
    return np.cumsum(begins).tolist() if begins else []


def mel_frames(heard: Sound) -> Tensor:
    """Make the (M, T) mel frames of a sound."""
    found = mel([heard.samples])
    return torch.from_numpy(found.features[0, :, : found.lengths[0]])


def cut_clip(clip: Clip, rule: PatchRule) -> Patches:
    """Bring the frames of a clip to size and cut them."""
    num_frames, height, width = clip.frames.shape[:3]
    height, width = frame_size(
        height, width, num_frames=num_frames, factor=rule.factor, max_px=CLIP_PIXELS
    )
    frames = np.stack([patches.resize(frame, height, width) for frame in clip.frames])
    times = tuple(i / clip.fps for i in range(num_frames))
    return patches.cut_clip(decoded.Clip(frames=frames, times_s=times, sample_fps=clip.fps), rule)


def stack(readings: Sequence[Reading], *, pad_id: int) -> Rectangles:
    """Set readings side by side, padded at their ends."""
    length = max(len(reading.layout.token_ids) for reading in readings)
    token_ids = torch.full((len(readings), length), pad_id)
    labels, heard, told = torch.full((3, *token_ids.shape), UNSCORED)
    places = torch.zeros(3, len(readings), length)
    audio_rows, visual_rows = [], []
    for i, reading in enumerate(readings):
        layout = reading.layout
        size = len(layout.token_ids)
        token_ids[i, :size] = layout.token_ids
        places[:, i, :size] = layout.positions
        heard[i, :size], told[i, :size] = reading.heard, reading.told
        first = size - reading.num_answer
        labels[i, first - 1 : size - 1] = layout.token_ids[first:]
        audio_rows.append(layout.audio_rows + i * length)
        visual_rows.append(layout.visual_rows + i * length)
    return Rectangles(
        abilities=tuple(reading.ability for reading in readings),
        token_ids=token_ids,
        positions=places.flatten(1),
        labels=labels,
        audio_rows=torch.cat(audio_rows),
        visual_rows=torch.cat(visual_rows),
        frames=tuple(item for reading in readings for item in reading.frames),
        cuts=tuple(item for reading in readings for item in reading.cuts),
        heard=heard,
        told=told,
    )


def packed_batch(thinker: Thinker, batch: Rectangles) -> PackedBatch:
    """Encode the media and put them into their places."""
    replaced: list[Rows] = []
    added: tuple[tuple[Rows, ...], ...] = ()
    if batch.frames:
        replaced.append(Rows(batch.audio_rows, thinker.audio_tower(batch.frames)))
    if batch.cuts:
        rows = torch.from_numpy(np.concatenate([cut.rows for cut in batch.cuts]))
        seen: Seen = thinker.visual(rows, [cut.grid for cut in batch.cuts])
        replaced.append(Rows(batch.visual_rows, seen.tokens))
        added = tuple((Rows(batch.visual_rows, item),) for item in seen.deepstack)
    return PackedBatch(
        token_ids=batch.token_ids.flatten(),
        positions=batch.positions,
        replaced=tuple(replaced),
        added=added,
    )
