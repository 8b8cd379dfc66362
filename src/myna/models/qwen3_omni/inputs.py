"""What the thinker reads: a prompt with a placeholder for each medium becomes one token for each
embedding.

    <|vision_start|><|video_pad|><|vision_end|>  ->  start, video tokens, end
    the same, of a video with sound              ->  start, start, video and sound by time, end, end

Not here: embeddings (audio_encoder, vision_encoder), where prompts come from (text).
Source: transformers 5.23 `Qwen3OmniMoeProcessor`.
Differs: each video has a frame rate, and sound or none, of its own; the reference's frame rate is
one for all videos of a call, and 1 unless it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from myna.core.errors import BadCheckpoint, InvalidRequest
from myna.models.qwen3_omni.config import Config, MediaIds, ThinkerConfig
from myna.models.qwen3_omni.positions import (
    Medium,
    Picture,
    Sound,
    Span,
    Video,
    advance,
    num_edges,
    positions,
    spans_of_talker,
    video_first,
)

NAMES = {Sound: "a sound", Picture: "a picture", Video: "a video"}


def sound(num_frames: int, config: ThinkerConfig) -> Sound:
    """Describe a clip of mel frames.

    Raises:
        InvalidRequest: the clip is too short for a single one.
    """
    if num_frames < 1:
        raise InvalidRequest(
            "a sound lasts less than a hundredth of a second, which is too short to be heard; "
            "send a longer one or leave it out."
        )
    return Sound(config.audio.num_tokens(num_frames))


def picture(grid: tuple[int, int, int], config: ThinkerConfig) -> Picture:
    """Describe a picture of (1, rows, columns) patches."""
    steps, rows, cols = grid
    merge = config.vision.merge
    assert steps == 1, grid
    return Picture(rows // merge, cols // merge)


def video(
    grid: tuple[int, int, int], config: ThinkerConfig, *, fps: float, sound_frames: int | None
) -> Video:
    """Describe a video of (steps, rows, columns) patches.

    Args:
        grid: of patches.
        config: of the thinker.
        fps: frames that were taken of each second; 1 is what the reference assumes at any rate.
        sound_frames: mel frames of its sound, or None if it is not to be heard.
    """
    steps, rows, cols = grid
    merge = config.vision.merge
    return Video(
        steps,
        rows // merge,
        cols // merge,
        seconds_per_step=config.vision.patch_frames / fps,
        sound=None if sound_frames is None else sound(sound_frames, config),
    )


@dataclass(frozen=True)
class Layout:
    """Hold a prompt as the thinker reads it.

    Attributes:
        token_ids: (N,) int64.
        positions: (3, N) float32.
        spans: where the media are.
        media: ids of the tokens that embeddings replace.
    """

    token_ids: Tensor
    positions: Tensor
    spans: tuple[Span, ...]
    media: MediaIds

    @cached_property
    def audio_rows(self) -> Tensor:
        """List the tokens that sound's embeddings replace, clip after clip: int64."""
        return (self.token_ids == self.media.audio).nonzero()[:, 0]

    @cached_property
    def visual_rows(self) -> Tensor:
        """List the tokens that the embeddings of pictures and videos replace, in order: int64."""
        is_visual = (self.token_ids == self.media.image) | (self.token_ids == self.media.video)
        return is_visual.nonzero()[:, 0]

    @cached_property
    def advance(self) -> float:
        """Tell how far decoding is ahead of counting: token p of the request has position p + this.

        Media take fewer positions than tokens, or more.
        """
        return advance(self.positions)


def expand(token_ids: Sequence[int], media: Sequence[Medium], config: ThinkerConfig) -> Layout:
    """Give every medium as many tokens as it has embeddings, and all tokens their positions.

    Args:
        token_ids: the prompt, one placeholder for each medium, between start and end tokens.
        media: in the order of their placeholders.
        config: of the thinker.

    Raises:
        InvalidRequest: placeholders and media do not fit together.
    """
    ids = config.media
    kinds: dict[int, type[Medium]] = {ids.audio: Sound, ids.image: Picture, ids.video: Video}
    found = [kinds[token] for token in token_ids if token in kinds]
    given = [type(medium) for medium in media]
    if found != given:
        raise InvalidRequest(
            f"the prompt has places for {_listed(found)}, but {_listed(given)} came "
            "with it; give as many, in the same order."
        )
    out: list[int] = []
    spans = []
    waiting = iter(media)
    for i, token in enumerate(token_ids):
        if token not in kinds:
            out.append(token)
            continue
        medium = next(waiting)
        edges = (ids.audio_start, ids.audio_end)
        if not isinstance(medium, Sound):
            edges = (ids.vision_start, ids.vision_end)
        if (*token_ids[i - 1 : i], *token_ids[i + 1 : i + 2]) != edges:
            raise InvalidRequest(
                f"the prompt has a place for {NAMES[type(medium)]} that is not between its start "
                "and end tokens; write the prompt as the model's chat template does."
            )
        start = len(out) - 1
        out += tokens_of(medium, config)
        spans.append(Span(medium, start, len(out) + 1))
    return Layout(
        token_ids=torch.tensor(out, dtype=torch.int64),
        positions=positions(len(out), spans, positions_per_s=config.positions_per_s),
        spans=tuple(spans),
        media=ids,
    )


def tokens_of(medium: Medium, config: ThinkerConfig) -> list[int]:
    """List the tokens that a placeholder becomes."""
    ids = config.media
    match medium:
        case Sound(num_tokens=num_tokens):
            return [ids.audio] * num_tokens
        case Picture():
            return [ids.image] * medium.num_tokens
        case Video(sound=None):
            return [ids.video] * medium.num_tokens
        case Video(sound=Sound(num_tokens=num_tokens)):
            seconds = torch.arange(medium.steps, dtype=torch.float64) * medium.seconds_per_step
            times = (seconds * config.positions_per_s).repeat_interleave(medium.rows * medium.cols)
            is_video = video_first(times, torch.arange(num_tokens, dtype=torch.float64))
            mix = torch.where(is_video, ids.video, ids.audio).tolist()
            return [ids.audio_start, *mix, ids.audio_end]


def locate(token_ids: Sequence[int], media: Sequence[Medium], ids: MediaIds) -> tuple[Span, ...]:
    """Find expanded media in a part of a prompt.

    Args:
        token_ids: as `Layout` has them.
        media: those in the part, in order.
        ids: of the tokens that embeddings replace.
    """
    placeholders = {ids.audio, ids.image, ids.video}
    spans = []
    row = 0
    for medium in media:
        edges = num_edges(medium)
        while token_ids[row] not in placeholders:
            row += 1
        heard = medium.sound.num_tokens if isinstance(medium, Video) and medium.sound else 0
        stop = row + medium.num_tokens + heard
        spans.append(Span(medium, row - edges, stop + edges))
        row = stop
    return tuple(spans)


def talker_positions(
    layout: Layout, *, user_rows: Tensor, token_ids: Tensor, config: ThinkerConfig
) -> Tensor:
    """Give the talker's tokens their places: (3, N) float32.

    Args:
        layout: of the thinker's prompt.
        user_rows: which of its tokens the talker reads; a medium comes whole or not at all.
        token_ids: (N,) int64 of the talker: those, then others that are text.
        config: of the thinker.
    """
    read = set(user_rows.tolist())
    media = [span.medium for span in layout.spans if span.start in read]
    spans = spans_of_talker(locate(token_ids.tolist(), media, layout.media))
    return positions(len(token_ids), spans, positions_per_s=config.positions_per_s)


def check_tokens(config: Config, id_of: Callable[[str], int | None]) -> None:
    """Refuse a tokenizer that numbers the model's special tokens otherwise than its config.json.

    Args:
        config: of the model.
        id_of: looks up a token in the vocabulary.
    """
    ids = config.thinker.media
    expected = {
        "<|audio_start|>": ids.audio_start,
        "<|audio_pad|>": ids.audio,
        "<|audio_end|>": ids.audio_end,
        "<|vision_start|>": ids.vision_start,
        "<|image_pad|>": ids.image,
        "<|video_pad|>": ids.video,
        "<|vision_end|>": ids.vision_end,
    }
    if config.speech is not None:
        roles = config.speech.roles
        expected |= {
            "<|im_start|>": roles.im_start,
            "<|im_end|>": roles.im_end,
            "system": roles.system,
            "user": roles.user,
            "assistant": roles.assistant,
        }
    for token, number in expected.items():
        if (found := id_of(token)) != number:
            place = "lack it" if found is None else f"give it the number {found}"
            raise BadCheckpoint(
                f"config.json gives the token {token!r} the number {number}, but the tokenizer's "
                f"files {place}; they belong to different models, download this one again."
            )


def _listed(kinds: Sequence[type[Medium]]) -> str:
    return ", ".join(NAMES[kind] for kind in kinds) or "no media"
