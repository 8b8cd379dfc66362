"""One edit of a picture of noise, taken apart: what image_edit and speed measure of it.

Not here: where the weights come from.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from myna.core.events import Event
from myna.core.requests import EditInput
from myna.diffusion.step_cache import StepCache
from myna.media.decoder import Decoder
from myna.pipeline.edit_parts import EditFiles, EditParts
from myna.pipeline.edit_plan import make_plan
from myna.pipeline.edit_run import EditRun, Habits, Text
from myna.text.tokenizer import Tokenizer

PROMPT = "Make the sky a deep evening red and leave everything else exactly as it is."
TEXT_TOKENS = 260


def noise_png(side_px: int) -> bytes:
    """Draw a picture."""
    pixels = np.random.default_rng(0).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def make_edit(side_px: int, *, num_steps: int, guidance: float) -> EditInput:
    """Ask for a picture of noise to be changed."""
    return EditInput(
        pictures=(noise_png(side_px),),
        prompt=PROMPT,
        num_steps=num_steps,
        guidance=guidance,
        work_px=side_px**2,
    )


def make_run(
    files: EditFiles,
    parts: EditParts,
    asked: EditInput,
    *,
    tokenizer: Tokenizer,
    hear: Callable[[Event], None] = lambda event: None,
) -> EditRun:
    """Prepare an edit.

    Args:
        files: an open folder, or what stands for one.
        parts: its networks.
        asked: what is to be done.
        tokenizer: cuts the prompt.
        hear: told of what happens.
    """
    decoder = Decoder(num_children=1)
    plan = make_plan(
        asked, num_choices=1, seed=0, decoder=decoder, rule=files.rule, grid_px=files.config.grid_px
    )
    decoder.close()
    habits = Habits(schedule=files.schedule)
    return EditRun(parts, tokenizer, plan, habits, deliver=hear, cancelled=threading.Event())


class Drawing:
    """Draw the same picture as often as wanted: what is read of the prompt is noise.

    Args:
        run: the edit, whose picture is encoded once.
        text_width: of what the transformer reads.
        num_prompts: 2 if drawing is guided away from a second one.
    """

    def __init__(self, run: EditRun, *, text_width: int, num_prompts: int = 1) -> None:
        generator = torch.Generator().manual_seed(0)
        prompts = tuple(
            torch.randn(TEXT_TOKENS, text_width, generator=generator) for _ in range(num_prompts)
        )
        self._run = run
        self._text = Text(prompts, TEXT_TOKENS, 0)
        self._sources = run.encode_sources()

    def draw(self, sigmas: Sequence[float], cache: StepCache | None = None) -> Tensor:
        """Go from noise to latents.

        Args:
            sigmas: the share of noise before each step, and after the last; one number is no step.
            cache: of steps to be reused.

        Returns:
            (N, C) float32.
        """
        return self._run.draw(0, self._text, self._sources, tuple(sigmas), cache)
