"""Stage: the thinker learns all tasks, mixed, on what the encoders hear and see.

The encoders stay as their own stages left them, so only the decoder is kept. The token embedding is
never trained (see `train.start`), so that the talker can be trained at the same time.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional

from myna.layers.cache import PackedBatch
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.thinker import Thinker
from myna.train import curriculum
from myna.train.batches import Reader, Reading, Rectangles, packed_batch, stack
from myna.train.examples import UNSCORED, Example
from myna.train.guidance import Watched, strayed
from myna.train.language.tokenizer import open_tokenizer
from myna.train.loop import Losses, Schedule, Trainer, load_weights
from myna.train.nano_config import nano_config
from myna.train.pictures.asking import open_studio
from myna.train.pictures.rule import PICTURE_RULE
from myna.train.rectangle import Rectangle
from myna.train.sound.voices import spoken_live
from myna.train.start import THINKER_SEED, materialise
from myna.train.together import team
from myna.train.workshop import folder

Maker = Callable[[random.Random], Example]
NAME = "thinker"
SEED = 0  # of all questions
SIZE = 32  # examples of a batch
BATCHES_TOGETHER = 8  # are sorted by length, so that little is padded
SCHEDULE = Schedule(steps=39_000, rate=1e-3, warmup=200)
GUIDED_LAYER = 2  # looks for the word just written; the layer after it for the one to be written
GUIDED_SHARE = 0.3
TOLD_EVERY = 100  # steps between lines of shares
PASSES = 2  # of each batch
BLOCK = 1024  # batches between two passes of one


@dataclass
class Score:
    """Count, by ability, the answers of which every token was the likeliest.

    That is what greedy decoding would have written, so it is the share of right answers.
    """

    right: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    asked: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, batch: Rectangles, hits: Tensor) -> None:
        """Count a batch; `hits` (B, T) tells where the likeliest token was right."""
        is_right = (hits | (batch.labels == UNSCORED)).all(1).tolist()
        for ability, right in zip(batch.abilities, is_right, strict=True):
            self.right[ability] += right
            self.asked[ability] += 1

    def line(self) -> str:
        """Write the shares in per cent, and forget them."""
        shares = {name: 100 * self.right[name] / self.asked[name] for name in sorted(self.asked)}
        self.right.clear()
        self.asked.clear()
        return "  ".join(f"{name} {share:.0f}" for name, share in shares.items())


class Mixture:
    """Draw batches of examples from weighted makers; a step's batch depends on its number only.

    Args:
        makers: with their weights.
        reader: makes readings.
        size: examples of a batch.
        seed: of all draws.
        pad_id: a token that fills up.
    """

    def __init__(
        self,
        makers: Sequence[tuple[float, Maker]],
        reader: Reader,
        *,
        size: int,
        seed: int,
        pad_id: int,
    ) -> None:
        self.weights = [weight for weight, _ in makers]
        self.makers = [maker for _, maker in makers]
        self.reader = reader
        self.size = size
        self.seed = seed
        self.pad_id = pad_id
        self.drawn: tuple[int, list[list[Reading]]] = (-1, [])

    def at(self, step: int) -> Rectangles:
        """Give the batch of a step."""
        group, place = divmod(step, BATCHES_TOGETHER)
        if self.drawn[0] != group:
            self.drawn = (group, self._draw(group))
        return stack(self.drawn[1][place], pad_id=self.pad_id)

    def _draw(self, group: int) -> list[list[Reading]]:
        rng = random.Random(f"{self.seed} {group}")
        makers = rng.choices(self.makers, self.weights, k=self.size * BATCHES_TOGETHER)
        readings = [self.reader.read(maker(rng)) for maker in makers]
        readings.sort(key=lambda reading: len(reading.layout.token_ids))
        starts = list(range(0, len(readings), self.size))
        rng.shuffle(starts)
        return [readings[start : start + self.size] for start in starts]


class Rehearsal:
    """Give each batch several times, and draw and encode it once: that takes as long as to learn.

    What a step gets depends on its number only, also where a run goes on.

    Args:
        thinker: of which the encoders do not change.
        mixture: of examples.
        block: batches that are kept at a time.
    """

    def __init__(self, thinker: Thinker, mixture: Mixture, *, block: int = BLOCK) -> None:
        self.thinker = thinker
        self.mixture = mixture
        self.block = block
        self.kept: dict[int, tuple[Rectangles, PackedBatch]] = {}

    def at(self, step: int) -> tuple[Rectangles, PackedBatch]:
        """Give the batch of a step, its media encoded."""
        block, place = divmod(step, PASSES * self.block)
        number = block * self.block + place % self.block
        if number not in self.kept:
            batch = self.mixture.at(number)
            with torch.no_grad():
                packed = packed_batch(self.thinker, batch)
            self.kept[number] = (replace(batch, frames=(), cuts=()), packed)
        is_last = place // self.block == PASSES - 1
        return self.kept.pop(number) if is_last else self.kept[number]


def losses(
    thinker: Thinker, batch: Rectangles, packed: PackedBatch, score: Score | None = None
) -> Losses:
    """Compute the cross entropy of the answers, and how far attention strays from heard words.

    Args:
        thinker: hears, sees and writes.
        batch: of examples.
        packed: the same, encoded.
        score: counts right answers, if it is there.
    """
    size = len(batch.token_ids)
    caches = [Rectangle(size) for _ in thinker.decoder.layers]
    guided = [Watched(size), Watched(size)]
    caches[GUIDED_LAYER : GUIDED_LAYER + 2] = guided
    hidden = thinker.decoder(packed, caches)  # (B*T, D)
    labels = batch.labels.flatten()
    scored = (labels != UNSCORED).nonzero()[:, 0]
    logits = thinker.decoder.logits(hidden[scored])  # (R, V)
    if score is not None:
        hits = torch.zeros_like(labels, dtype=torch.bool)
        hits[scored] = logits.argmax(-1) == labels[scored]
        score.add(batch, hits.view_as(batch.labels))
    answers = functional.cross_entropy(logits, labels[scored])
    if (batch.heard == UNSCORED).all():
        return {"loss": answers, "answers": answers}
    to_write = functional.pad(batch.told[:, 1:], (0, 1), value=UNSCORED)
    astray = strayed(guided[0].looks, batch.told, batch.heard)
    astray = astray + strayed(guided[1].looks, to_write, batch.heard)
    return {"loss": answers + GUIDED_SHARE * astray, "answers": answers, "astray": astray}


def build(config: Config) -> Thinker:
    """Make a thinker of which each part begins as its own stage left it."""
    with torch.device("meta"):
        thinker = Thinker(config.thinker)
    materialise(thinker, seed=THINKER_SEED)
    load_weights(thinker.decoder, folder("text"))
    load_weights(thinker, folder("ears"))
    load_weights(thinker, folder("eyes"))
    for part in (thinker.decoder.embed_tokens, thinker.audio_tower, thinker.visual):
        part.requires_grad_(False)
    return thinker


def run(*, minutes: float | None, report: Callable[[str], None]) -> None:
    """Go on with the thinker.

    Args:
        minutes: stop after so long.
        report: takes lines of progress.
    """
    tokenizer = open_tokenizer()
    config = nano_config()
    thinker = build(config)
    makers = curriculum.makers(open_studio(say=spoken_live))
    reader = Reader(tokenizer, config, PICTURE_RULE)
    mixture = Mixture(makers, reader, size=SIZE, seed=team().seed(SEED), pad_id=0)
    rehearsal = Rehearsal(thinker, mixture)
    score = Score()
    schedule = replace(SCHEDULE, minutes=minutes)
    trainer = Trainer(thinker, folder(NAME), schedule, report=report)

    def losses_at(step: int) -> Losses:
        if step % TOLD_EVERY == 0:
            report(score.line())
        return losses(thinker, *rehearsal.at(step), score)

    trainer.run(losses_at)
