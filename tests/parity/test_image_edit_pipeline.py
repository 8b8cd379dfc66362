"""A whole edit equals the reference's: sizes, schedules, and latents after 4 and 40 steps."""

from __future__ import annotations

import io
import math
import random
import threading

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, QwenImageEditPlusPipeline
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as reference_code
from PIL import Image
from torch import Tensor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from image_edit_pair import EditPair, load_pair
from myna.core.progress import silent
from myna.core.requests import EditInput
from myna.diffusion.latents import draw_noise, pack, unpack
from myna.diffusion.schedule import LIGHTNING, Schedule
from myna.media.decoder import Decoder
from myna.media.patches import PatchRule, count_image_tokens
from myna.models.tiny_image_edit import SCHEDULER, write_tiny_image_edit
from myna.pipeline.edit_parts import EditParts, open_edit_files
from myna.pipeline.edit_plan import LOOK_PX, WORK_PX, fitted, make_plan, token_grid
from myna.pipeline.edit_run import EditRun, Habits, Text
from myna.text import tokenizer_files

LATENTS_BAR = 1e-3  # of max(1, RMS), after all steps
SMALL_PX = 96 * 96
RULE = PatchRule(
    patch_px=14,
    min_px=3136,
    max_px=12_845_056,
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> EditPair:
    return load_pair(write_tiny_image_edit(tmp_path_factory.mktemp("edit")))


@pytest.fixture(scope="module")
def reference(pair: EditPair) -> QwenImageEditPlusPipeline:
    made = QwenImageEditPlusPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler.from_config(dict(SCHEDULER)),
        vae=pair.vae_reference,
        text_encoder=None,
        tokenizer=None,
        processor=None,
        transformer=pair.transformer_reference,
    )
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def decoder():
    made = Decoder(num_children=1)
    yield made
    made.close()


def random_png(width: int, height: int, seed: int) -> tuple[bytes, Image.Image]:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue(), image


def reference_sigmas(num_steps: int, num_tokens: int, **changes: object) -> list[float]:
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(dict(SCHEDULER) | changes)
    config = scheduler.config
    shift = reference_code.calculate_shift(
        num_tokens,
        config.base_image_seq_len,
        config.max_image_seq_len,
        config.base_shift,
        config.max_shift,
    )
    even = np.linspace(1.0, 1 / num_steps, num_steps)
    scheduler.set_timesteps(sigmas=even, mu=shift)
    return scheduler.sigmas.tolist()


def test_sizes_schedules_and_tokens_equal_on_200_random_inputs() -> None:
    dice = random.Random(0)
    for _ in range(200):
        grids = []
        for _ in range(dice.randint(1, 3)):
            width, height = (round(math.exp(dice.uniform(3.5, 9))) for _ in range(2))
            if max(width, height) > 16 * min(width, height):
                height = width
            for area_px in (LOOK_PX, WORK_PX):
                expected = reference_code.calculate_dimensions(area_px, width / height)
                assert fitted(area_px, width, height) == expected
            wide, high = fitted(LOOK_PX, width, height)
            rows, cols = smart_resize(high, wide, 28, RULE.min_px, RULE.max_px)
            assert count_image_tokens(high, wide, RULE) == (rows // 28) * (cols // 28)
            grids.append(token_grid(fitted(WORK_PX, width, height), 16))
        num_tokens = math.prod(grids[-1])
        num_steps = dice.choice((1, 4, 8, 20, 40, 50))
        found = Schedule().sigmas(num_steps, num_tokens)
        if num_steps > 1:
            assert list(found) == reference_sigmas(num_steps, num_tokens)


def test_lightnings_schedule_is_the_reference_with_its_values() -> None:
    changes = {"base_shift": math.log(3), "max_shift": math.log(3), "shift_terminal": None}
    for num_steps in (4, 8):
        assert list(LIGHTNING.sigmas(num_steps, 4096)) == reference_sigmas(
            num_steps, 4096, **changes
        )


def test_latents_are_packed_as_in_the_reference() -> None:
    latents = torch.randn(2, 16, 6, 10)
    expected = QwenImageEditPlusPipeline._pack_latents(latents, 2, 16, 6, 10)
    assert torch.equal(pack(latents, 2), expected)
    assert torch.equal(unpack(expected, 2, rows=3), latents)


def draw_both(
    pair: EditPair,
    reference: QwenImageEditPlusPipeline,
    decoder: Decoder,
    monkeypatch: pytest.MonkeyPatch,
    *,
    num_pictures: int,
    num_steps: int,
    guidance: float,
) -> tuple[Tensor, Tensor]:
    """Draw the same picture twice, of the same noise and texts."""
    sizes = [(150, 100), (64, 80), (90, 90)][:num_pictures]
    files = [random_png(*size, seed) for seed, size in enumerate(sizes)]
    asked = EditInput(
        pictures=tuple(data for data, _ in files),
        prompt="x",
        work_px=SMALL_PX,
        num_steps=num_steps,
        guidance=guidance,
    )
    plan = make_plan(asked, num_choices=1, seed=7, decoder=decoder, rule=RULE, grid_px=16)
    generator = torch.Generator().manual_seed(3)
    prompts = tuple(torch.randn(length, 32, generator=generator) for length in (11, 6))
    width, height = plan.work
    noise = pack(draw_noise(7, channels=16, height=height // 8, width=width // 8), 2)
    monkeypatch.setattr(reference_code, "VAE_IMAGE_SIZE", SMALL_PX)
    expected = reference(
        image=[image for _, image in files],
        prompt_embeds=prompts[0][None],
        negative_prompt_embeds=prompts[1][None],
        true_cfg_scale=guidance,
        height=height,
        width=width,
        num_inference_steps=num_steps,
        latents=noise,
        output_type="latent",
    ).images
    files = open_edit_files(pair.folder)
    parts = EditParts(files, dtype=torch.float32, memory_bytes=10**9, progress=silent)
    run = EditRun(
        parts,
        tokenizer_files.from_folder(pair.folder / "tokenizer"),
        plan,
        Habits(schedule=files.schedule),
        deliver=lambda event: None,
        cancelled=threading.Event(),
    )
    rows, cols = token_grid(plan.work, 16)
    sigmas = files.schedule.sigmas(num_steps, rows * cols)
    texts = Text(prompts if guidance > 1 else prompts[:1], num_tokens=0, num_picture_tokens=0)
    with torch.inference_mode():
        found = run.draw(0, texts, run.encode_sources(), sigmas)
    return found, expected


@pytest.mark.parametrize(
    ("num_pictures", "num_steps", "guidance"), [(1, 4, 4.0), (1, 40, 4.0), (3, 4, 1.0), (2, 4, 2.5)]
)
def test_latents_equal_the_reference_after_all_steps(
    pair, reference, decoder, monkeypatch, num_pictures, num_steps, guidance
) -> None:
    found, expected = draw_both(
        pair,
        reference,
        decoder,
        monkeypatch,
        num_pictures=num_pictures,
        num_steps=num_steps,
        guidance=guidance,
    )
    rms = float(expected.pow(2).mean().sqrt())
    assert rms > 0.05
    assert float((found - expected).abs().max()) <= LATENTS_BAR * max(1.0, rms)
