"""From a request for an edit to arrays of the right sizes, everything wrong refused by name.

Not here: what the networks make of them (edit_run).
Source of the sizes: diffusers 0.42.1 `QwenImageEditPlusPipeline`.
Differs: the answer lies on the picture's own grid of pixels; the reference's is as large as what it
worked on, whose sides are rounded.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from myna.core.errors import InvalidRequest, MynaError
from myna.core.requests import EditInput
from myna.media.decoded import Picture, Pixels
from myna.media.decoder import Decoder
from myna.media.drawing import Weights, scale, scale_weights
from myna.media.limits import MediaBudget
from myna.media.patches import Patches, PatchRule, cut_image

Size = tuple[int, int]  # width and height

MAX_PICTURES = 3
MAX_PROMPT_CHARS = 8000
MAX_CHOICES = 10
MAX_PREVIEWS = 3
MAX_GUIDANCE = 20.0
LOOK_PX = 384 * 384  # what the text encoder sees of a picture
WORK_PX = 1024 * 1024
MIN_WORK_PX, MAX_WORK_PX = 64 * 64, 2048 * 2048
MAX_ASPECT = 16
ROUND_PX = 32


@dataclass(frozen=True, kw_only=True)
class EditPlan:
    """Hold what an edit works on.

    Attributes:
        asked: the request.
        looks: each picture as patches for the text encoder.
        sources: each picture as the transformer sees it, in whole tokens.
        base: the picture that is edited, in its own size.
        work: width and height that are drawn, in whole tokens.
        out: width and height of the answer.
        mask: of the base, in the answer's size, from 0 to 1.
        seeds: one for each answer.
    """

    asked: EditInput
    looks: tuple[Patches, ...]
    sources: tuple[Pixels, ...]
    base: Pixels
    work: Size
    out: Size
    mask: Weights | None
    seeds: tuple[int, ...]

    @property
    def is_on_grid(self) -> bool:
        """Tell whether the answer can be laid over the picture that is edited."""
        height, width = self.base.shape[:2]
        return self.out == (width, height)


def fitted(area_px: int, width: int, height: int) -> Size:
    """Find a width and height of about that area and aspect, multiples of 32."""
    ratio = width / height
    wide = math.sqrt(area_px * ratio)
    high = wide / ratio
    return round(wide / ROUND_PX) * ROUND_PX, round(high / ROUND_PX) * ROUND_PX


def make_plan(
    asked: EditInput,
    *,
    num_choices: int,
    seed: int | None,
    decoder: Decoder,
    rule: PatchRule,
    grid_px: int,
) -> EditPlan:
    """Decode and fit what a request brings.

    Args:
        asked: the request.
        num_choices: how many answers are wanted.
        seed: of the first; a random one if not given.
        decoder: of files.
        rule: how the text encoder's patches are cut.
        grid_px: side of the square of pixels that one token stands for.

    Raises:
        InvalidRequest: something is wrong with it.
        TooLarge: its pictures are.
    """
    check_wishes(asked, num_choices)
    budget = MediaBudget()
    pictures = [
        _decode(data, f"image {number}", decoder, budget)
        for number, data in enumerate(asked.pictures, start=1)
    ]
    # A mask belongs to the first picture; without one, the reference draws on the last one's grid.
    base = pictures[0 if asked.mask is not None else -1]
    height, width = base.shape[:2]
    area_px = asked.work_px or WORK_PX
    work = fitted(area_px, width, height)
    if asked.size is not None:
        work = _whole_tokens(asked.size, grid_px)
    out = asked.size or (width, height)
    mask = None
    if asked.mask is not None:
        mask = scale_weights(
            _mask_of(_marked(asked.mask, decoder, budget), base), width=out[0], height=out[1]
        )
    first = secrets.randbelow(2**31) if seed is None else seed
    return EditPlan(
        asked=asked,
        looks=tuple(_look(pixels, rule) for pixels in pictures),
        sources=tuple(_source(pixels, area_px) for pixels in pictures),
        base=base,
        work=work,
        out=out,
        mask=mask,
        seeds=tuple(first + idx for idx in range(num_choices)),
    )


def check_wishes(asked: EditInput, num_choices: int) -> None:
    """Refuse what can be refused before a picture is decoded."""
    count = len(asked.pictures)
    if not 1 <= count <= MAX_PICTURES:
        raise InvalidRequest(
            f"{count} pictures came; the model edits 1 to {MAX_PICTURES}", param="image"
        )
    if not asked.prompt.strip():
        raise InvalidRequest("the prompt is empty; say what to change", param="prompt")
    for name, text in (("prompt", asked.prompt), ("negative_prompt", asked.negative_prompt)):
        if len(text) > MAX_PROMPT_CHARS:
            raise InvalidRequest(
                f"`{name}` has {len(text)} characters, above {MAX_PROMPT_CHARS}; shorten it",
                param=name,
            )
    _check_range("n", num_choices, 1, MAX_CHOICES)
    _check_range("partial_images", asked.num_previews, 0, MAX_PREVIEWS)
    _check_range("quality", asked.quality, 0, 100)
    if asked.guidance is not None:
        _check_range("guidance", asked.guidance, 1, MAX_GUIDANCE)
    if asked.step_cache is not None:
        _check_range("step_cache", asked.step_cache, 0, 1)
    if asked.work_px is not None:
        _check_range("work_px", asked.work_px, MIN_WORK_PX, MAX_WORK_PX)
    if asked.size is not None:
        wide, high = asked.size
        is_fit = wide > 0 and high > 0 and MIN_WORK_PX <= wide * high <= MAX_WORK_PX
        if not is_fit or max(wide, high) > MAX_ASPECT * min(wide, high):
            raise InvalidRequest(
                f"`size` is {wide}x{high}; {MIN_WORK_PX} to {MAX_WORK_PX} pixels can be drawn, "
                f"one side at most {MAX_ASPECT} times the other",
                param="size",
            )


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidRequest(f"`{name}` is {value:g}; give {low:g} to {high:g}", param=name)


def _decode(data: bytes, what: str, decoder: Decoder, budget: MediaBudget) -> Pixels:
    try:
        pixels = decoder.image(data, budget).pixels
    except MynaError as error:
        error.param = error.param or "image"
        raise
    height, width = pixels.shape[:2]
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InvalidRequest(
            f"{what} is {width} x {height}: one side may be {MAX_ASPECT} times the other; crop it",
            param="image",
            code="bad_media",
        )
    return pixels


def _marked(data: bytes, decoder: Decoder, budget: MediaBudget) -> Pixels:
    try:
        return decoder.mask(data, budget)
    except MynaError as error:
        error.param = error.param or "mask"
        raise


def _whole_tokens(size: Size, grid_px: int) -> Size:
    """Round a size down to whole tokens, as the reference does."""
    wide, high = (max(grid_px, side // grid_px * grid_px) for side in size)
    return wide, high


def _look(pixels: Pixels, rule: PatchRule) -> Patches:
    height, width = pixels.shape[:2]
    wide, high = fitted(LOOK_PX, width, height)
    return cut_image(Picture(pixels=scale(pixels, width=wide, height=high)), rule)


def _source(pixels: Pixels, area_px: int) -> Pixels:
    height, width = pixels.shape[:2]
    wide, high = fitted(area_px, width, height)
    return scale(pixels, width=wide, height=high)


def _mask_of(marked: Pixels, base: Pixels) -> Weights:
    """Turn what is marked into weights."""
    if marked.shape != base.shape[:2]:
        (high, wide), (height, width) = marked.shape, base.shape[:2]
        raise InvalidRequest(
            f"the mask is {wide} x {high}, but the first picture {width} x {height}; they must be "
            "of one size",
            param="mask",
        )
    if not marked.any():
        raise InvalidRequest(
            "the mask marks nothing; make transparent, or white, what is to change", param="mask"
        )
    return marked.astype(np.float32) / np.float32(255)


def token_grid(size: Sequence[int], grid_px: int) -> tuple[int, int]:
    """Give the rows and columns of tokens of a width and height."""
    width, height = size
    return height // grid_px, width // grid_px
