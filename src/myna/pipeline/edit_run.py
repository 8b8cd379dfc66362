"""Carry out one edit: read the prompt and the pictures, draw, and bring the result to its place.

Not here: the order in which requests come (edit), what they may ask (edit_plan).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Literal

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.core.events import Drift, EditProgress, Event, PictureDelta, StepReuse
from myna.diffusion.guidance import guided
from myna.diffusion.latents import draw_noise, pack, unpack
from myna.diffusion.loop import Kept, walk
from myna.diffusion.registration import LEAST_PX, extent_px, measure_drift, undo
from myna.diffusion.schedule import Schedule
from myna.diffusion.step_cache import StepCache
from myna.media.decoded import Pixels
from myna.media.drawing import lay_over, scale, write_picture
from myna.models.qwen_image_edit.prompt import write_prompts
from myna.models.qwen_image_edit.transformer import Pass
from myna.pipeline.edit_parts import EditParts, Streamed
from myna.pipeline.edit_plan import EditPlan, token_grid
from myna.text.tokenizer import Tokenizer

Stage = Literal["reading", "planning", "drawing", "finishing"]

PREVIEW_SHARE = 4  # of a side: previews are decoded that much smaller
REPORT_S = 0.5


class Cancelled(Exception):
    """Tell that nobody waits for the edit any more."""


@dataclass(frozen=True, kw_only=True)
class Habits:
    """Say how a model usually draws.

    Attributes:
        schedule: how noise decreases.
        num_steps: out of noise.
        guidance: away from the negative prompt.
    """

    schedule: Schedule
    num_steps: int = 40
    guidance: float = 4.0


@dataclass(frozen=True)
class Text:
    """Hold what the transformer reads of prompts.

    Attributes:
        passes: (N, D) of the prompt, and of the negative prompt if that is used.
        num_tokens: of the prompt, pictures included.
        num_picture_tokens: of the pictures.
    """

    passes: tuple[Tensor, ...]
    num_tokens: int
    num_picture_tokens: int


class EditRun:
    """Carry out one edit; every method may raise `Cancelled`.

    Args:
        parts: the networks.
        tokenizer: of the text encoder.
        plan: what is to be done.
        habits: of the model.
        deliver: hears events.
        cancelled: set when nobody waits any more.
    """

    def __init__(
        self,
        parts: EditParts,
        tokenizer: Tokenizer,
        plan: EditPlan,
        habits: Habits,
        *,
        deliver: Callable[[Event], None],
        cancelled: threading.Event,
    ) -> None:
        self._parts = parts
        self._tokenizer = tokenizer
        self._plan = plan
        self._deliver = deliver
        self._cancelled = cancelled
        self._reported_s = 0.0
        self._drawing_since_s: float | None = None
        asked = plan.asked
        self._habits = habits
        self._num_steps = habits.num_steps if asked.num_steps is None else asked.num_steps
        self._guidance = habits.guidance if asked.guidance is None else asked.guidance
        self._patch = parts.config.transformer.patch
        self._grid_px = parts.config.grid_px

    @torch.inference_mode()
    def run(self) -> Text:
        """Deliver the pictures one after another; returns what was read."""
        text = self._read()
        rows, cols = token_grid(self._plan.work, self._grid_px)
        sigmas = self._habits.schedule.sigmas(self._num_steps, rows * cols)
        self._tell("planning", 0.0)
        sources = self.encode_sources()
        self._parts.modulation(sigmas[:-1])
        for index in range(len(self._plan.seeds)):
            cache = self._make_cache()
            latents = self.draw(index, text, sources, sigmas, cache)
            self._tell("finishing", 0.0, index=index, is_due=True)
            reuse = None if cache is None else cache.report()
            self._finish(index, self._decode(latents), reuse)
        return text

    def _read(self) -> Text:
        """Let the text encoder read."""
        asked, looks = self._plan.asked, self._plan.looks
        texts = [asked.prompt]
        if self._guidance > 1:
            texts.append(asked.negative_prompt)
        ids = write_prompts(texts, [look.num_tokens for look in looks], self._tokenizer)
        encoded = self._parts.text_encoder(
            ids.shared,
            ids.own,
            torch.from_numpy(np.concatenate([look.rows for look in looks])),
            [look.grid[1:] for look in looks],
            self._watched(self._parts.layers, "reading"),
        )
        return Text(
            passes=tuple(encoded.whole(idx, start=ids.num_dropped) for idx in range(len(texts))),
            num_tokens=len(ids.shared) + len(ids.own[0]),
            num_picture_tokens=sum(look.num_tokens for look in looks),
        )

    def encode_sources(self) -> tuple[Tensor, ...]:
        """Turn pictures into latents: (1, N, C) each."""
        out = []
        for pixels in self._plan.sources:
            self._check()
            out.append(pack(self._parts.vae.encode(to_tensor(pixels)), self._patch))
        return tuple(out)

    def _make_cache(self) -> StepCache | None:
        threshold = self._plan.asked.step_cache
        return None if threshold is None else StepCache(threshold, self._num_steps)

    def draw(
        self,
        index: int,
        text: Text,
        sources: tuple[Tensor, ...],
        sigmas: tuple[float, ...],
        cache: StepCache | None = None,
    ) -> Tensor:
        """Go from noise to latents: (1, N, C); `cache`, a new one for each picture, is changed."""
        plan, parts = self._plan, self._parts
        rows, cols = token_grid(plan.work, self._grid_px)
        noise = self._noise(plan.seeds[index])
        grids = [(rows, cols)]
        grids += [token_grid((p.shape[1], p.shape[0]), self._grid_px) for p in plan.sources]
        pictures = torch.cat([source[0] for source in sources])
        steps = parts.modulation(sigmas[:-1])
        previews = preview_steps(plan.asked.num_previews, len(steps))
        num_pictures = len(plan.seeds)

        def predict(latents: Tensor, step_idx: int) -> Tensor:
            passes: list[Pass] = [
                parts.transformer.prepare(latents[0], pictures, prompt, grids)
                for prompt in text.passes
            ]
            blocks = self._watched(
                parts.blocks,
                "drawing",
                index=index,
                offset=step_idx / len(steps),
                share=1 / len(steps),
                num_pictures=num_pictures,
            )
            with closing(blocks):
                velocities: tuple[Tensor, ...] = parts.transformer(
                    passes,
                    steps[step_idx],
                    num_latents=rows * cols,
                    blocks=blocks,
                    shortcut=None if cache is None else partial(cache.complete, step_idx),
                )
            positive = velocities[0].float()
            if len(velocities) == 1:
                return positive[None]
            return guided(positive, velocities[1].float(), self._guidance)[None]

        def on_step(step_idx: int, estimate: Tensor) -> None:
            if step_idx in previews:
                self._preview(index, previews.index(step_idx), estimate)

        kept = self._kept(sources[0], noise)
        return walk(noise, sigmas, predict, kept=kept, on_step=on_step)

    def _noise(self, seed: int) -> Tensor:
        """Draw what a picture begins as: (1, N, C)."""
        rows, cols = token_grid(self._plan.work, self._grid_px)
        noise = draw_noise(
            seed,
            channels=self._parts.config.vae.latent_channels,
            height=rows * self._patch,
            width=cols * self._patch,
        )
        return pack(noise, self._patch)

    def _kept(self, source: Tensor, noise: Tensor) -> Kept | None:
        """Keep what lies outside of the mask, where picture and answer have the same tokens."""
        plan = self._plan
        rows, cols = token_grid(plan.work, self._grid_px)
        height, width = plan.sources[0].shape[:2]
        if plan.mask is None or token_grid((width, height), self._grid_px) != (rows, cols):
            return None
        marked = torch.from_numpy(plan.mask)[None, None]
        is_open = functional.adaptive_max_pool2d(marked, (rows, cols))[0, 0] > 0
        return Kept(source[0], noise, is_open.flatten())

    def _decode(self, latents: Tensor) -> Pixels:
        rows, _ = token_grid(self._plan.work, self._grid_px)
        self._check()
        return to_pixels(self._parts.vae.decode(unpack(latents, self._patch, rows=rows)))

    def _preview(self, index: int, number: int, latents: Tensor) -> None:
        """Show what the picture will be, small."""
        rows, _ = token_grid(self._plan.work, self._grid_px)
        self._check()
        flat = unpack(latents, self._patch, rows=rows)
        small = functional.interpolate(flat, scale_factor=1 / PREVIEW_SHARE, mode="area")
        pixels = to_pixels(self._parts.vae.decode(small))
        self._show(index, pixels, preview_idx=number)

    def _finish(self, index: int, drawn: Pixels, reuse: StepReuse | None) -> None:
        """Bring a drawn picture to its size and place."""
        plan = self._plan
        width, height = plan.out
        pixels = scale(drawn, width=width, height=height)
        drift = None
        if plan.mask is not None:
            base = scale(plan.base, width=width, height=height)
            pixels = lay_over(base, pixels, plan.mask)
        elif plan.is_on_grid:
            pixels, drift = aligned(plan.base, pixels, is_undone=plan.asked.is_aligned)
        self._show(index, pixels, drift=drift, reuse=reuse)

    def _show(
        self,
        index: int,
        pixels: Pixels,
        *,
        preview_idx: int | None = None,
        drift: Drift | None = None,
        reuse: StepReuse | None = None,
    ) -> None:
        asked = self._plan.asked
        data = write_picture(pixels, asked.file_format, quality=asked.quality)
        height, width = pixels.shape[:2]
        self._deliver(
            PictureDelta(
                index=index,
                data=data,
                width=width,
                height=height,
                preview_idx=preview_idx,
                drift=drift,
                reuse=reuse,
            )
        )

    def _watched(
        self,
        modules: Streamed,
        stage: Stage,
        *,
        index: int = 0,
        offset: float = 0.0,
        share: float = 1.0,
        num_pictures: int | None = None,
    ) -> Generator[nn.Module]:
        """Give modules one by one; between two of them, look whether to go on, and report."""
        count = len(modules)
        for number, module in enumerate(modules):
            self._check()
            done = offset + share * number / count
            remaining_s = None
            if num_pictures is not None:
                remaining_s = self._remaining_s((index + done) / num_pictures)
            self._tell(stage, done, index=index, remaining_s=remaining_s)
            yield module

    def _remaining_s(self, done: float) -> float | None:
        """Tell how long drawing will go on, when this part of it is done."""
        now_s = time.monotonic()
        if self._drawing_since_s is None:
            self._drawing_since_s = now_s
        return (now_s - self._drawing_since_s) * (1 - done) / done if done > 0 else None

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled

    def _tell(
        self,
        stage: Stage,
        done: float,
        *,
        index: int = 0,
        remaining_s: float | None = None,
        is_due: bool = False,
    ) -> None:
        now_s = time.monotonic()
        if not is_due and now_s - self._reported_s < REPORT_S:
            return
        self._reported_s = now_s
        self._deliver(EditProgress(index=index, stage=stage, done=done, remaining_s=remaining_s))


def aligned(base: Pixels, drawn: Pixels, *, is_undone: bool) -> tuple[Pixels, Drift | None]:
    """Measure the drift of a drawn picture, and bring it back if that is wanted and worth it."""
    drift = measure_drift(base, drawn)
    height, width = base.shape[:2]
    if drift is None or not is_undone or extent_px(drift, width, height) < LEAST_PX:
        return drawn, drift
    return undo(drawn, drift), msgspec.structs.replace(drift, is_undone=True)


def preview_steps(count: int, num_steps: int) -> tuple[int, ...]:
    """Choose after which steps to show a preview: evenly spread, and never after the last one."""
    chosen = {round(num_steps * (number + 1) / (count + 1)) - 1 for number in range(count)}
    return tuple(sorted(step for step in chosen if 0 <= step < num_steps - 1))


def to_tensor(pixels: Pixels) -> Tensor:
    """Turn (height, width, 3) levels into (1, 3, height, width) from -1 to 1."""
    levels = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
    return levels.float() / 255 * 2 - 1


def to_pixels(picture: Tensor) -> Pixels:
    """Turn (1, 3, height, width) from -1 to 1 into (height, width, 3) levels."""
    levels = ((picture[0] / 2 + 0.5).clamp(0, 1) * 255).round()
    pixels: Pixels = levels.permute(1, 2, 0).to(torch.uint8).numpy()
    return pixels
