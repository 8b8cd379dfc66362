"""Qwen-Image-Edit-2509 at its true shape with random weights: memory, time, one block beside
diffusers, and what the step cache saves and spoils.

    python benchmarks/image_edit.py full [--bits 4] [--steps 2] [--side 1024]
        [--guidance 1] [--memory 9e9] [--json OUT]
    python benchmarks/image_edit.py block [--side 1024] [--repeats 3] [--json OUT]
    python benchmarks/image_edit.py cache [--tiny] [--layers 4] [--steps 20] [--side 128]
        [--guidance 1] [--memory 9e9] [--span 0.004] [--thresholds 0.05 0.1 0.2 0.4]
        [--repeats 3] [--json OUT]

`full` draws packed weights as they are asked for, edits a picture of noise, and prints the seconds
of each step and the most memory that the process ever had; it exits non-zero above `--max-gib`.
`block` prints the ratio of medians; it exits non-zero below `--min-ratio`. `cache` draws the same
latents with and without the step cache and prints how far they are apart, as a share of the way
that they went. Random weights turn with the time step as trained ones do not, so steps cover
only `--span` of the way out of noise, where they are alike; 1 is all of it, on the usual schedule.
What a threshold does to real pictures cannot be told from this. The last line is the figure.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import torch
from diffusers.models.transformers.transformer_qwenimage import (
    QwenEmbedRope,
    QwenImageTransformerBlock,
)
from one_edit import TEXT_TOKENS, Drawing, make_edit, make_run
from random_model import describe
from random_weights import RandomCheckpoint, RandomWeights
from released import EDIT, released
from speed import spin_ratio
from torch import Tensor

from myna.core.events import EditProgress, Event
from myna.diffusion.schedule import Schedule
from myna.diffusion.step_cache import StepCache
from myna.media.patches import PatchRule
from myna.models.qwen_image_edit.config import (
    EditConfig,
    TextEncoderConfig,
    TransformerConfig,
    VaeConfig,
)
from myna.models.qwen_image_edit.modulation import BlockModulation, Step
from myna.models.qwen_image_edit.rope import PictureRopeTable
from myna.models.qwen_image_edit.transformer import Block, Pass
from myna.models.qwen_image_edit.weights import BLOCK_RULES, MODULATION_RULES
from myna.models.tiny_image_edit import PREPROCESSOR, write_tiny_image_edit
from myna.models.tiny_omni import token_ids
from myna.pipeline.edit_parts import EditFiles, EditParts, open_edit_files
from myna.text import tokenizer_files
from myna.text.tokenizer import Tokenizer
from myna.weights.checkpoint import MemoryCheckpoint
from myna.weights.load import load_weights
from myna.weights.quantize.scheme import Bits, Recipe

GIB = 2**30


def random_files(bits: Bits, num_layers: int) -> EditFiles:
    """Describe the released model, or its first layers; nothing large is drawn yet."""
    model = released(EDIT, num_layers=num_layers)
    values = {part: network.values for part, network in model.networks.items()}
    text = TextEncoderConfig.from_hf(values["text_encoder"])
    config = EditConfig(
        # The prompt is cut by a tiny model's tokenizer.
        text_encoder=dataclasses.replace(text, image_id=token_ids()["<|image_pad|>"]),
        transformer=TransformerConfig.from_hf(values["transformer"]),
        vae=VaeConfig.from_hf(values["vae"]),
    )
    drawn = RandomWeights()
    weights = {
        part: RandomCheckpoint(infos, drawn)
        for part, infos in describe(model, Recipe(bits=bits)).items()
    }
    rule = PatchRule(
        patch_px=PREPROCESSOR["patch_size"],
        min_px=PREPROCESSOR["min_pixels"],
        max_px=PREPROCESSOR["max_pixels"],
        mean=tuple(PREPROCESSOR["image_mean"]),
        std=tuple(PREPROCESSOR["image_std"]),
    )
    return EditFiles(config=config, schedule=Schedule(), rule=rule, weights=weights)


def most_memory_bytes() -> int:
    """Read the most memory that this process ever had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this system does not tell how much memory was used at most")


class Clock:
    """Note when each stage and each step begins."""

    def __init__(self, num_steps: int) -> None:
        self.num_steps = num_steps
        self.marks: list[tuple[str, float]] = []

    def hear(self, event: Event) -> None:
        """Take one event, and show progress."""
        if not isinstance(event, EditProgress):
            return
        name = event.stage
        if name == "drawing":
            name = f"step {min(self.num_steps, int(event.done * self.num_steps + 1e-6) + 1)}"
        if not self.marks or self.marks[-1][0] != name:
            self.marks.append((name, time.perf_counter()))
        print(f"{name}: {event.done:.0%}, left {event.remaining_s or 0:.0f} s", file=sys.stderr)

    def durations_s(self) -> dict[str, float]:
        """Give the seconds of each stage."""
        ends = [start for _, start in self.marks[1:]] + [time.perf_counter()]
        return {
            name: round(end - start, 1) for (name, start), end in zip(self.marks, ends, strict=True)
        }


def tiny_tokenizer() -> Tokenizer:
    """Make a tiny model's tokenizer, since the released one is not at hand."""
    with tempfile.TemporaryDirectory() as folder:
        return tokenizer_files.from_folder(write_tiny_image_edit(Path(folder)) / "tokenizer")


def run_full(args: argparse.Namespace) -> dict[str, object]:
    """Edit one picture with the whole model."""
    files = random_files(args.bits, args.layers)
    started_s = time.perf_counter()
    parts = EditParts(
        files,
        dtype=torch.bfloat16,
        memory_bytes=int(args.memory),
        progress=lambda step, done, total: None,
    )
    load_s = time.perf_counter() - started_s
    asked = make_edit(args.side, num_steps=args.steps, guidance=args.guidance)
    clock = Clock(args.steps)
    make_run(files, parts, asked, tokenizer=tiny_tokenizer(), hear=clock.hear).run()
    seconds = clock.durations_s()
    steps_s = [value for name, value in seconds.items() if name.startswith("step")]
    return {
        "bits": args.bits,
        "layers": files.config.transformer.num_layers,
        "side_px": args.side,
        "guidance": args.guidance,
        "load_s": round(load_s, 1),
        "stages_s": seconds,
        "step_s": statistics.median(steps_s),
        "most_memory_gib": round(most_memory_bytes() / GIB, 2),
    }


def random_block(config: TransformerConfig) -> tuple[QwenImageTransformerBlock, Block, Step]:
    """Make one block twice, with the same weights, and the modulation of one time step."""
    theirs = QwenImageTransformerBlock(config.width, config.num_heads, config.head_width)
    theirs = theirs.to(torch.bfloat16).eval().requires_grad_(False)
    with torch.device("meta"):
        ours, modulation = Block(config), BlockModulation(config.width)
    files = MemoryCheckpoint(theirs.state_dict())
    load_weights(ours, files, BLOCK_RULES, dtype=torch.bfloat16)
    load_weights(modulation, files, MODULATION_RULES, dtype=torch.bfloat16)
    time_step = torch.nn.functional.silu(time_embedding(config))
    image, text = modulation.img_mod(time_step), modulation.txt_mod(time_step)
    return theirs, ours, Step(image, text, torch.empty(0))


def time_embedding(config: TransformerConfig) -> Tensor:
    """Draw what the modulation is computed from: (1, D)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, config.width, generator=generator).bfloat16()


@torch.inference_mode()
def run_block(args: argparse.Namespace) -> dict[str, object]:
    """Time one block at its true widths beside the reference's."""
    config = TransformerConfig.from_hf({})
    theirs, ours, step = random_block(config)
    rows = args.side // 16
    grids = [(rows, rows), (rows, rows)]
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2 * rows * rows, config.width, generator=generator).bfloat16()
    text = torch.randn(TEXT_TOKENS, config.width, generator=generator).bfloat16()
    table = PictureRopeTable(config.axis_widths)
    made = Pass(image, text, table.pictures(grids), table.text(TEXT_TOKENS, grids))
    rope = QwenEmbedRope(theta=10_000, axes_dim=list(config.axis_widths), scale_rope=True)
    turns = rope([[(1, *grid) for grid in grids]], max_txt_seq_len=TEXT_TOKENS)
    embedding = time_embedding(config)
    shifts = step.block(0)

    def run_theirs() -> Tensor:
        return theirs(image[None], text[None], None, embedding, turns)[1][0]

    def run_ours() -> Tensor:
        return ours(made, *shifts).image

    error = float((run_ours().float() - run_theirs().float()).norm() / run_theirs().float().norm())
    seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
    for _ in range(args.repeats):
        for name, run in (("theirs", run_theirs), ("ours", run_ours)):
            start_s = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start_s)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "side_px": args.side,
        "tokens": len(image) + TEXT_TOKENS,
        "relative_difference": round(error, 5),
        **{f"{name}_s": round(value, 3) for name, value in medians.items()},
        "ratio": round(medians["theirs"] / medians["ours"], 3),
    }


def run_cache(args: argparse.Namespace) -> dict[str, object]:
    """Draw with and without the step cache."""
    if not args.tiny:
        return compare_caches(random_files(args.bits, args.layers), args)
    with tempfile.TemporaryDirectory() as folder:
        return compare_caches(open_edit_files(write_tiny_image_edit(Path(folder))), args)


@torch.inference_mode()
def compare_caches(files: EditFiles, args: argparse.Namespace) -> dict[str, object]:
    """Draw with each threshold, and compare with what is drawn without a cache."""
    parts = EditParts(
        files,
        dtype=torch.float32 if args.tiny else torch.bfloat16,
        memory_bytes=int(args.memory),
        progress=lambda step, done, total: None,
    )
    asked = make_edit(args.side, num_steps=args.steps, guidance=args.guidance)
    run = make_run(files, parts, asked, tokenizer=tiny_tokenizer())
    width, num_prompts = files.config.transformer.text_width, 2 if args.guidance > 1 else 1
    drawing = Drawing(run, text_width=width, num_prompts=num_prompts)
    sigmas = files.schedule.sigmas(args.steps, (args.side // files.config.grid_px) ** 2)
    if args.span < 1:
        middle = torch.linspace(0.5 + args.span / 2, 0.5 - args.span / 2, args.steps + 1)
        sigmas = tuple(middle.tolist())
    start = drawing.draw(sigmas[:1])  # no step at all: the noise
    parts.modulation(sigmas[:-1])
    seconds: dict[float | None, list[float]] = {key: [] for key in (None, *args.thresholds)}
    drawn: dict[float | None, Tensor] = {}
    reports: dict[float | None, object] = {}
    for _ in range(args.repeats):
        for threshold, times in seconds.items():
            cache = None if threshold is None else StepCache(threshold, args.steps)
            start_s = time.perf_counter()
            drawn[threshold] = drawing.draw(sigmas, cache)
            times.append(time.perf_counter() - start_s)
            reports[threshold] = None if cache is None else msgspec.to_builtins(cache.report())
    exact, exact_s = drawn[None], statistics.median(seconds[None])
    way = float((exact - start).norm())
    rows = []
    for threshold in args.thresholds:
        taken_s = statistics.median(seconds[threshold])
        rows.append(
            {
                "threshold": threshold,
                **reports[threshold],
                "difference": round(float((drawn[threshold] - exact).norm()) / way, 5),
                "seconds": round(taken_s, 2),
                "ratio": round(exact_s / taken_s, 2),
            }
        )
    return {
        "layers": files.config.transformer.num_layers,
        "width": files.config.transformer.width,
        "side_px": args.side,
        "guidance": args.guidance,
        "span": args.span,
        "whole_s": round(exact_s, 2),
        "thresholds": rows,
    }


def figure_of_cache(found: dict[str, object]) -> str:
    """Say in a line what each threshold saved and spoiled."""
    return "; ".join(
        f"{row['threshold']:g}: {row['num_reused']} of {row['num_steps']} steps reused, "
        f"{row['ratio']}x, {row['difference']:.2%} off"
        for row in found["thresholds"]
    )


def main() -> None:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    full, block, cache = (commands.add_parser(name) for name in ("full", "block", "cache"))
    full.add_argument("--bits", type=int, choices=(4, 8), default=4)
    full.add_argument("--layers", type=int, default=60, help="fewer, to try this out")
    full.add_argument("--steps", type=int, default=2)
    full.add_argument("--guidance", type=float, default=1.0)
    full.add_argument("--memory", type=float, default=9e9)
    full.add_argument("--max-gib", type=float, default=20.0)
    block.add_argument("--min-ratio", type=float, default=1.05)
    cache.add_argument("--tiny", action="store_true", help="take a tiny model")
    cache.add_argument("--bits", type=int, choices=(4, 8), default=4)
    cache.add_argument("--layers", type=int, default=4)
    cache.add_argument("--steps", type=int, default=20)
    cache.add_argument("--guidance", type=float, default=1.0)
    cache.add_argument("--memory", type=float, default=9e9, help="0 streams every block")
    cache.add_argument("--span", type=float, default=0.004)
    cache.add_argument("--thresholds", type=float, nargs="+", default=[0.05, 0.1, 0.2, 0.4])
    for command in (block, cache):
        command.add_argument("--repeats", type=int, default=3)
    for command, side in ((full, 1024), (block, 1024), (cache, 128)):
        command.add_argument("--side", type=int, default=side)
        command.add_argument("--json", type=Path)
    args = parser.parse_args()
    run = {"full": run_full, "block": run_block, "cache": run_cache}[args.command]
    found = run(args)
    found |= {"threads": torch.get_num_threads(), "spin_ratio": round(spin_ratio(), 2)}
    text = json.dumps(found, indent=2)
    print(text, file=sys.stderr)
    if args.json is not None:
        args.json.write_text(text + "\n")
    if args.command == "full":
        is_good = found["most_memory_gib"] <= args.max_gib
        print(f"{found['most_memory_gib']} GiB at most, {found['step_s']} s a step")
    elif args.command == "cache":
        is_good = True  # no bar: it depends on the weights
        print(figure_of_cache(found))
    else:
        is_good = found["ratio"] >= args.min_ratio
        print(f"one block {found['ratio']}x diffusers")
    sys.exit(not is_good)


if __name__ == "__main__":
    main()
