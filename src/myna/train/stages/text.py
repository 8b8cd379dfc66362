"""Stage `text`: the thinker's decoder learns to answer typed questions, before it hears or sees.

A row is a conversation of several unrelated turns, so nothing is padded, and earlier turns are
learnt to be no part of a question. The token embedding is not trained (see `train.start`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.layers.cache import PackedBatch
from myna.models.qwen3_omni.decoder import OmniDecoder
from myna.text.tokenizer import Tokenizer
from myna.train import copying
from myna.train.language import declining, mix
from myna.train.language.skills import Skill, ask_typed
from myna.train.language.tokenizer import open_tokenizer, prompt_of
from myna.train.loop import Losses, Schedule, Trainer
from myna.train.nano_config import nano_config
from myna.train.rectangle import Rectangle
from myna.train.start import THINKER_SEED, materialise
from myna.train.together import team
from myna.train.workshop import folder

NAME = "text"
SEED = 0  # of all questions
ROWS = 20
LENGTH = 128
SCHEDULE = Schedule(steps=3_600, rate=2e-3, warmup=150)
EVALUATE_EVERY = 250
UNSCORED = -100
DECLINED = "decline"


@dataclass(frozen=True)
class Turn:
    """Hold one question of a row: its kind, and the places of its answer's tokens."""

    kind: str
    row: int
    start: int
    end: int


@dataclass(frozen=True)
class Conversations:
    """Hold rows of turns.

    Attributes:
        token_ids: (B, T) int64.
        labels: (B, T) int64, the token that comes next where it is an answer's.
        turns: those that are whole.
    """

    token_ids: Tensor
    labels: Tensor
    turns: tuple[Turn, ...]


@dataclass
class Writer:
    """Write conversations of questions drawn by chance."""

    tokenizer: Tokenizer
    skills: Sequence[Skill] = mix.SKILLS
    decline_share: float = mix.DECLINE_SHARE
    weights: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.weights = [skill.weight for skill in self.skills]

    def write(self, rng: random.Random, *, rows: int = ROWS, length: int = LENGTH) -> Conversations:
        """Fill rows with turns; the last of a row is cut off where the row ends."""
        ids = torch.empty(rows, length, dtype=torch.int64)
        labels = torch.full((rows, length), UNSCORED)
        turns: list[Turn] = []
        for row in range(rows):
            written: list[int] = []
            while len(written) <= length:
                kind, prompt, answer = self._turn(rng)
                start = len(written) + len(prompt)
                end = start + len(answer)
                written += [*prompt, *answer]
                if end <= length:
                    turns.append(Turn(kind, row, start, end))
                # What precedes a token has its label.
                kept = torch.tensor(written[start:length], dtype=torch.int64)
                labels[row, start - 1 : start - 1 + len(kept)] = kept
                written += self.tokenizer.encode("\n")
            ids[row] = torch.tensor(written[:length])
        return Conversations(ids, labels, tuple(turns))

    def _turn(self, rng: random.Random) -> tuple[str, list[int], list[int]]:
        if rng.random() < self.decline_share:
            kind, example = DECLINED, declining.make(rng)
        else:
            skill = rng.choices(self.skills, self.weights)[0]
            kind, example = skill.name, ask_typed(skill, rng)
        question = example.question[0]
        assert isinstance(question, str)
        encode = self.tokenizer.encode
        return kind, encode(prompt_of(question)), encode(f"{example.answer}<|im_end|>")


def losses(decoder: OmniDecoder, batch: Conversations) -> Losses:
    """Compute the cross entropy of the answers' tokens."""
    hidden, labels = _read(decoder, batch)
    return {"loss": functional.cross_entropy(decoder.logits(hidden).float(), labels)}


@torch.no_grad()
def shares(decoder: OmniDecoder, batches: Sequence[Conversations]) -> dict[str, tuple[int, int]]:
    """Count, for each kind, the answers that greedy decoding gets right, and all.

    An answer of which every token is the likeliest after those before it is what greedy decoding
    writes.
    """
    right, asked = Counter[str](), Counter[str]()
    for batch in batches:
        hidden, labels = _read(decoder, batch)
        hits = torch.ones_like(batch.labels, dtype=torch.bool)
        hits[batch.labels != UNSCORED] = decoder.logits(hidden).argmax(-1) == labels
        for turn in batch.turns:
            asked[turn.kind] += 1
            right[turn.kind] += bool(hits[turn.row, turn.start - 1 : turn.end - 1].all())
    return {kind: (right[kind], asked[kind]) for kind in asked}


def build(*, seed: int = THINKER_SEED) -> OmniDecoder:
    """Make the decoder with first weights, the embedding being that of the whole thinker."""
    config = nano_config().thinker.text
    with torch.device("meta"):
        decoder = OmniDecoder(config)
    # Weights are drawn by name, and this is the decoder's name in the thinker.
    materialise(nn.ModuleDict({"decoder": decoder}), seed=seed)
    decoder.embed_tokens.requires_grad_(False)
    copying.build_in(decoder, rope_theta=config.rope.theta, seed=seed)
    return decoder


def run(*, minutes: float | None, report: Callable[[str], None]) -> None:
    """Train, or go on; now and then report the shares of right answers to new questions.

    Args:
        minutes: stop after about so long.
        report: takes lines of progress.
    """
    decoder = build()
    writer = Writer(open_tokenizer())
    rng = random.Random(f"{SEED} to be asked")
    unseen = [writer.write(rng) for _ in range(20)]
    schedule = replace(SCHEDULE, minutes=minutes)
    seed = team().seed(SEED)
    trainer = Trainer(decoder, folder(NAME), schedule, report=report)

    def at(step: int) -> Losses:
        if step % EVALUATE_EVERY == 0 and step:
            report(told(shares(decoder, unseen)))
        return losses(decoder, writer.write(random.Random(f"{seed} {step}")))

    trainer.run(at)
    report(told(shares(decoder, unseen)))


def told(found: dict[str, tuple[int, int]]) -> str:
    """Write shares in per cent, the worst first."""
    right, asked = (sum(counts) for counts in zip(*found.values(), strict=True))
    order = sorted(found, key=lambda kind: found[kind][0] / found[kind][1])
    kinds = "  ".join(f"{kind} {100 * found[kind][0] / found[kind][1]:.0f}" for kind in order)
    return f"right {100 * right / asked:.1f} of 100: {kinds}"


def _read(decoder: OmniDecoder, batch: Conversations) -> tuple[Tensor, Tensor]:
    """Run the decoder; give hidden states (R, D) and labels (R,) of what is scored."""
    rows, length = batch.token_ids.shape
    positions = torch.arange(length).repeat(rows).expand(3, -1)
    caches = [Rectangle(rows) for _ in decoder.layers]
    hidden = decoder(PackedBatch(batch.token_ids.flatten(), positions), caches)
    scored = batch.labels.flatten() != UNSCORED
    return hidden[scored], batch.labels.flatten()[scored]
