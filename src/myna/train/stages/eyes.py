"""Stage: the vision encoder learns what lies in each token of a picture, and what moves in clips.

Linear heads on its output, which the thinker will read, name the thing, colour and characters of
every token; others read the deepstack features. The heads are for training only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.media import decoded, patches
from myna.media.patches import Patches, PatchRule
from myna.models.qwen3_omni.encoder_config import VisionConfig
from myna.models.qwen3_omni.vision_encoder import VisionEncoder
from myna.train import start, workshop
from myna.train.batches import cut_clip
from myna.train.loop import Losses, Schedule, Trainer
from myna.train.nano_config import nano_config
from myna.train.pictures import clips, lines, scenes, watching
from myna.train.pictures.asking import Studio, open_studio
from myna.train.pictures.labels import (
    CHANGES,
    CHARACTERS,
    HUES,
    MAX_CENTRES,
    PLACES,
    SLOTS,
    THINGS,
    UNSCORED,
    WORDS,
    TokenLabels,
    label_line,
    label_things,
)
from myna.train.pictures.rule import PICTURE_RULE
from myna.train.together import team
from myna.train.wording import Wording

STAGE = "eyes"
SEED = 3
BATCH = 48
MAX_THINGS = 9
DEEPSTACK_WEIGHT = 0.3
NUM_PATCH_SAMPLES = 400  # of which the principal components are taken
MOVING_SHARE = 8  # one component of so many is of the difference between two frames
FAINTEST = 1e-3  # variance below which a component is noise
EASY_STEPS, HARDENING_STEPS = 1_000, 6_000  # the easiest primers alone; then ever harder ones too
LONE_SHARE = 0.3  # of icons that are no primers, once primers are as hard as can be
GLANCE_SHARE = 0.5  # of those
GLANCE_SIDES_PX = (56, 112)
PICTURE_SIDES_PX = (scenes.MIN_SIDE_PX, scenes.MAX_SIDE_PX)
GLANCE_RULE = replace(PICTURE_RULE, min_px=4 * PICTURE_RULE.factor**2)
SCHEDULE = Schedule(steps=44_000, rate=1e-3, warmup=150, turned="visual.blocks.")
CLASSES = {  # of each kind of label
    "thing": len(THINGS),
    "hue": len(HUES),
    "centres": MAX_CENTRES + 1,
    "characters": SLOTS * len(CHARACTERS),
    "change": len(CHANGES),
}
PATCH_CLASSES = {"patch_thing": len(THINGS), "patch_character": len(CHARACTERS)}
WEIGHTS = {
    "thing": 1.0,
    "hue": 0.5,
    "centres": 0.5,
    "characters": 1.0,
    "change": 0.5,
    "words": 0.5,
    "patch_thing": 0.5,
    "patch_character": 1.0,
}


@dataclass(frozen=True)
class Sample:
    """Hold a picture or clip as the encoder reads it, and the labels of its tokens."""

    cut: Patches
    labels: TokenLabels


class Heads(nn.Module):
    """Read several kinds of labels off a token, or off a patch.

    Args:
        width: of the tokens.
        classes: how many there are of each kind.
    """

    def __init__(self, width: int, classes: Mapping[str, int] = CLASSES) -> None:
        super().__init__()
        self.classes = classes
        self.norm = nn.LayerNorm(width)
        self.proj = nn.Linear(width, sum(classes.values()))

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        """Map (N, D) to logits (N, classes), or (N, SLOTS, classes) for characters."""
        split = self.proj(self.norm(tokens)).float().split(list(self.classes.values()), dim=-1)
        return {
            kind: logits.unflatten(-1, (SLOTS, -1)) if kind == "characters" else logits
            for kind, logits in zip(self.classes, split, strict=True)
        }


class Eyes(nn.Module):
    """Hold the encoder, under the name that the thinker gives it, and heads.

    Attributes:
        wording: scores words by their nearness to the tokens.
    """

    wording: Wording

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.visual = VisionEncoder(config)
        self.heads = Heads(config.out_width)
        self.patch_heads = Heads(config.width, PATCH_CLASSES)
        self.deepstack_heads = nn.ModuleList(
            Heads(config.out_width) for _ in config.deepstack_layers
        )


class Gallery:
    """Draw batches; that of a step depends on its number only.

    Args:
        studio: to make them with.
        seed: of all draws.
    """

    def __init__(self, studio: Studio, *, seed: int) -> None:
        self.icons = studio.icons
        self.fonts = studio.fonts
        self.grounds = studio.photographs
        self.seed = seed

    def at(self, step: int, size: int | None = None) -> list[Sample]:
        """Draw the batch of a step, those of one size next to one another."""
        rng = random.Random(f"{self.seed} {step}")
        least_ease = min(1.0, max(0.0, 1.0 - (step - EASY_STEPS) / HARDENING_STEPS))
        samples = [self.draw(rng, least_ease=least_ease) for _ in range(size or BATCH)]
        return sorted(samples, key=lambda sample: sample.cut.grid[1:])

    def draw(self, rng: random.Random, *, least_ease: float = 0.0) -> Sample:
        """Draw one picture of any kind, of icons so large a share as if in a picture book.

        Glances are small and therefore quick: most of what there is to know is in a few tokens.

        Args:
            rng: draws it.
            least_ease: of primers, all of which are this easy or easier.
        """
        kind, ease = rng.random(), rng.uniform(least_ease, 1.0)
        is_primer = rng.random() > LONE_SHARE * (1.0 - least_ease)
        if kind < 0.55 and is_primer:
            return self.scene(scenes.primer(rng, self.icons, ease=ease), GLANCE_RULE)
        if kind < 0.55:
            is_glance = rng.random() < GLANCE_SHARE
            sides_px = GLANCE_SIDES_PX if is_glance else PICTURE_SIDES_PX
            scene = scenes.lone(rng, self.icons, sides_px=sides_px, grounds=self.grounds)
            return self.scene(scene, GLANCE_RULE if is_glance else PICTURE_RULE)
        if kind < 0.68:
            planned = scenes.plan(rng, self.icons, rng.randint(1, MAX_THINGS))
            return self.scene(scenes.scene(rng, self.icons, planned), PICTURE_RULE)
        if kind < 0.9 and rng.random() < max(0.25, least_ease):
            return self.line(lines.primer(rng, self.fonts, ease=ease), GLANCE_RULE)
        if kind < 0.9:
            rule = GLANCE_RULE if rng.random() < 0.5 else PICTURE_RULE
            return self.line(lines.line(rng, self.fonts), rule)
        return self.step_of_clip(rng)

    def scene(self, scene: scenes.Scene, rule: PatchRule) -> Sample:
        """Cut and label a scene."""
        cut = patches.cut_image(decoded.Picture(pixels=scene.pixels), rule)
        return Sample(cut, label_things(scene.things, *_token_grid(cut)))

    def line(self, line: lines.Line, rule: PatchRule) -> Sample:
        """Cut and label a line."""
        cut = patches.cut_image(decoded.Picture(pixels=line.pixels), rule)
        return Sample(cut, label_line(line, *_token_grid(cut)))

    def step_of_clip(self, rng: random.Random) -> Sample:
        """Draw, cut and label the two frames of one time step of a clip."""
        film = watching.any_film(rng, self.icons)
        step = rng.randrange(film.num_frames // clips.STEP_FRAMES)
        clip = clips.record(
            rng, film, range(clips.STEP_FRAMES * step, clips.STEP_FRAMES * (step + 1))
        )
        cut = cut_clip(clip, PICTURE_RULE)
        things, changes = clips.seen_in_step(film, step)
        return Sample(cut, label_things(things, *_token_grid(cut), changes=changes))


def build() -> Eyes:
    """Make the networks with their first weights."""
    with torch.device("meta"):
        eyes = Eyes(nano_config().thinker.vision)
    start.materialise(eyes, seed=SEED)
    eyes.wording = Wording(WORDS, num_places=PLACES)
    return eyes


@torch.no_grad()
def whiten(eyes: Eyes, gallery: Gallery) -> None:
    """Let the patch embedding begin with the principal components of patches, at equal strength.

    Most of a patch's variance is its brightness; left so, outlines are too faint to be learnt from
    for thousands of steps. A last share of the components is of what differs between two frames.
    """
    samples = [gallery.draw(random.Random(f"{SEED} patches {i}")) for i in range(NUM_PATCH_SAMPLES)]
    rows = torch.from_numpy(np.concatenate([sample.cut.rows for sample in samples]))
    frames = rows.view(len(rows), 3, 2, -1).transpose(1, 2).flatten(2)  # (P, 2, 768)
    differences = frames[:, 1] - frames[:, 0]
    weight, bias = eyes.visual.patch_embed.proj.weight, eyes.visual.patch_embed.proj.bias
    assert bias is not None
    num_moving = len(weight) // MOVING_SHARE
    still = _components(frames.mean(1), len(weight) - num_moving)  # (C, 768)
    moving = _components(differences[differences.any(1)], num_moving)
    both = torch.cat((torch.stack((still, still), 1) / 2, torch.stack((-moving, moving), 1)))
    ordered = both.view(len(weight), 2, 3, -1).transpose(1, 2)  # (D, 3, 2, 256)
    weight.copy_(ordered.reshape(weight.shape))
    bias.copy_(-ordered.flatten(1) @ rows.mean(0))


def _components(patches: Tensor, count: int) -> Tensor:
    """Give the first principal components, each divided by its standard deviation: (C, width)."""
    spread, axes = torch.linalg.eigh(patches.T.cov(correction=0))
    strength = (spread[-count:].clamp(min=0) + FAINTEST).rsqrt()
    components: Tensor = (axes[:, -count:] * strength).T
    return components


def look(
    eyes: Eyes, samples: Sequence[Sample]
) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """Encode samples.

    Returns:
        The logits of the heads on the tokens and of those on each deepstack feature; the labels.
    """
    rows = torch.from_numpy(np.concatenate([sample.cut.rows for sample in samples]))
    visual = eyes.visual
    streams = list(visual.streams(rows, [sample.cut.grid for sample in samples]))
    tokens = visual.merger(streams[-1])
    logits = [
        eyes.heads(tokens) | {"words": eyes.wording(tokens)} | eyes.patch_heads(streams[-1]),
    ]
    layers = visual.config.deepstack_layers
    deepstack = zip(eyes.deepstack_heads, visual.merger_list, layers, strict=True)
    logits.extend(heads(merger(streams[layer])) for heads, merger, layer in deepstack)
    labels = {
        field.name: torch.from_numpy(
            np.concatenate([getattr(sample.labels, field.name) for sample in samples])
        )
        for field in fields(TokenLabels)
    }
    return logits, labels


def losses(eyes: Eyes, samples: Sequence[Sample]) -> Losses:
    """Compute the weighted cross entropy of all labels, and shares of right ones."""
    (first, *deeper), labels = look(eyes, samples)
    counts = [sample.cut.num_tokens for sample in samples]
    shares = torch.cat([torch.full((count,), 1 / count) for count in counts])
    total = _cross_entropy(first, labels, shares)
    for logits in deeper:
        total = total + DEEPSTACK_WEIGHT * _cross_entropy(logits, labels, shares)
    right = {f"{kind} right": _right(first[kind], labels[kind]) for kind in WEIGHTS}
    return {"loss": total, **{name: share for name, share in right.items() if share is not None}}


def run(*, minutes: float | None, report: Callable[[str], None]) -> None:
    """Train, or go on training.

    Args:
        minutes: of this sitting; None trains to the end.
        report: takes lines of progress.
    """
    gallery = Gallery(open_studio(), seed=team().seed(SEED))
    eyes = build()
    whiten(eyes, gallery)
    schedule = replace(SCHEDULE, minutes=minutes)
    trainer = Trainer(eyes, workshop.folder(STAGE), schedule, report=report)
    trainer.run(lambda step: losses(eyes, gallery.at(step)))


def _token_grid(cut: Patches) -> tuple[int, int]:
    _, rows, columns = cut.grid
    return rows // PICTURE_RULE.merge, columns // PICTURE_RULE.merge


def _cross_entropy(logits: dict[str, Tensor], labels: dict[str, Tensor], shares: Tensor) -> Tensor:
    """Weigh a picture's tokens by `shares` (N,), so that a small picture counts as much.

    A token's patches share its weight.
    """
    total = torch.zeros(())
    for kind, scores in logits.items():
        wanted = labels[kind]
        scored = wanted != UNSCORED
        if scored.any():
            spread = shares.repeat_interleave(len(wanted) // len(shares))
            spread = spread if wanted.dim() == 1 else spread[:, None].expand_as(wanted)
            each = functional.cross_entropy(scores[scored], wanted[scored], reduction="none")
            total = total + WEIGHTS[kind] * (each * spread[scored]).sum() / spread[scored].sum()
    return total


def _right(logits: Tensor, labels: Tensor) -> Tensor | None:
    """Give the share of right labels among those that are something."""
    something = labels > 0  # and scored
    if not something.any():
        return None
    return (logits.argmax(-1) == labels)[something].float().mean()
