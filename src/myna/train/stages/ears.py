"""Stage: the audio encoder learns to hear, supervised in every frame.

Synthetic voices tell when each phone and word is spoken, so that no alignment has to be found:
linear heads on the encoder's output, which the thinker will read, say what is heard in each slot.
The heads are for training only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.layers.linear import Linear
from myna.models.qwen3_omni.audio_encoder import MAX_TIMESCALE, AudioEncoder, Layer
from myna.train import start, workshop
from myna.train.loop import Losses, Schedule, Trainer
from myna.train.nano_config import nano_config
from myna.train.sound.events import KINDS, NUM_PITCHES
from myna.train.sound.frames import NUM_PHONE_SLOTS, NUM_WORD_SLOTS, OTHER, QUIET, segments
from myna.train.sound.lessons import Lesson, Lessons, event_lesson
from myna.train.sound.phones import PHONES
from myna.train.sound.pool import open_pool
from myna.train.sound.sayings import vocabulary
from myna.train.together import team
from myna.train.wording import Wording

STAGE = "ears"
POOLS = ("loose", "sentences", "questions")
SEED = 11
BATCH_FRAMES = 6_000
STEPS = 35_000
EVENTS_EVERY = 6  # steps
EVENT_CLIPS = 24
RATE = 2.5e-3
WARMUP = 60
DECAY = 0.2
WORD_STRIDE = 3
OFFSETS = ((-1, 1, -2, 2), (-1, 1, -3, 3), (-2, 2, -5, 5))  # frames, for each head of a layer
SHARPNESS = 1.6
MAX_STREAM = 1.5  # root mean square between layers, positions included
CONTENT_STD = 1.0  # of the convolutions' output, against positions of 0.7


class Ears(nn.Module):
    """Put heads on an audio encoder.

    Args:
        tower: the encoder.
        num_words: of the vocabulary, with silence and all other words.

    Attributes:
        wording: scores the words of the vocabulary by their nearness.
    """

    wording: Wording

    def __init__(self, tower: AudioEncoder, num_words: int) -> None:
        super().__init__()
        self.audio_tower = tower
        width = tower.config.out_width
        self.phones = nn.Linear(width, NUM_PHONE_SLOTS * len(PHONES))
        self.words = nn.Linear(width, NUM_WORD_SLOTS * num_words)
        self.begins = nn.Linear(width, NUM_WORD_SLOTS)
        self.events = nn.Linear(width, len(KINDS))
        self.onsets = nn.Linear(width, NUM_WORD_SLOTS)
        self.pitches = nn.Linear(width, NUM_PITCHES)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Hear clips of one length, as the encoder's own `forward` does.

        Args:
            mel: (B, M, T).

        Returns:
            The encoder's output (B*N, D), and how far its residual stream exceeds its limit: where
            it grows, positions are drowned, and attention no longer finds what is near.
        """
        tower = self.audio_tower
        windows = tower.windows([mel.shape[2]] * len(mel))
        x = tower.embed(list(mel), pad_together=False)
        excess = _excess(x)
        for layer in tower.layers:
            x = layer(x, windows)
            excess = excess + _excess(x)
        heard: Tensor = tower.proj2(functional.gelu(tower.proj1(tower.ln_post(x))))
        return heard, excess


def _excess(x: Tensor) -> Tensor:
    size = x.float().square().mean().sqrt()
    return functional.relu(size / MAX_STREAM - 1).square()


def word_ids(words: tuple[str, ...]) -> dict[str, int]:
    """Number the words of a vocabulary from 2 on."""
    return {word: OTHER + 1 + i for i, word in enumerate(words)}


def fresh(words: Sequence[str]) -> Ears:
    """Make an encoder with heads for a vocabulary that has learnt nothing."""
    with torch.device("meta"):
        ears = Ears(AudioEncoder(nano_config().thinker.audio), OTHER + 1 + len(words))
    start.materialise(ears, seed=SEED)
    ears.wording = Wording(words)
    return ears


@torch.no_grad()
def balance(tower: AudioEncoder, mel: Tensor) -> None:
    """Scale the convolutions until each gives numbers of unit size on real sound.

    Otherwise positions, which are added to their output, drown what is heard for a long time.

    Args:
        tower: changed in place.
        mel: (B, M, T), a few clips.
    """
    x = mel[:, None, :, : tower.config.chunk_frames]
    for convolution in (tower.conv2d1, tower.conv2d2, tower.conv2d3):
        out = convolution(x)
        convolution.weight /= out.std()
        convolution.bias -= out.mean() / out.std()
        x = functional.gelu(convolution(x))
    rows = tower.conv_out(x.permute(0, 3, 1, 2).flatten(-2)).flatten(0, 1)  # (B*N, D)
    matrix = _matrix(tower.conv_out)
    matrix *= CONTENT_STD / rows.std(0).mean()


@torch.no_grad()
def look_around(tower: AudioEncoder) -> None:
    """Let the heads of the first layers begin by attending to near frames.

    What precedes and follows is what tells words apart, and takes long to find by chance. Sines
    and cosines of a position, turned by an offset, are those of the position so far away.

    Args:
        tower: changed in place.
    """
    config = tower.config
    head_width = config.width // config.num_heads
    half, count = config.width // 2, head_width // 2
    step = math.log(MAX_TIMESCALE) / (half - 1)
    frequencies = torch.exp(-step * torch.arange(count))
    rows = torch.arange(count)
    # Sound stays out of the numbers that tell the position best.
    content = _matrix(tower.conv_out)
    content[rows] *= 0.1
    content[half + rows] *= 0.1
    for layer, offsets in zip(tower.layers, OFFSETS, strict=False):
        assert isinstance(layer, Layer)
        for head, offset in enumerate(offsets):
            angle = frequencies * offset
            query, key = (torch.zeros(head_width, config.width) for _ in range(2))
            key[rows, rows] = key[count + rows, half + rows] = SHARPNESS
            query[rows, rows] = query[count + rows, half + rows] = SHARPNESS * angle.cos()
            query[rows, half + rows] = SHARPNESS * angle.sin()
            query[count + rows, rows] = -SHARPNESS * angle.sin()
            part = slice(head * head_width, (head + 1) * head_width)
            for projection, turned in (
                (layer.self_attn.q_proj, query),
                (layer.self_attn.k_proj, key),
            ):
                _matrix(projection)[part] = turned + 0.3 * _matrix(projection)[part]


def _matrix(linear: Linear) -> Tensor:
    assert isinstance(linear.weight, Tensor)  # packed ones are not trained
    return linear.weight


def losses(ears: Ears, lesson: Lesson) -> Losses:
    """Compare what is heard with what was said, frame by frame.

    Returns:
        total, which is minimised; the cross entropies of what is asked of a frame; the shares of
        frames whose slots are right, and of those nearest to the right word; the size of the
        encoder's output, and the excess of its stream.
    """
    heard, excess = ears(torch.from_numpy(lesson.mel).to(ears.audio_tower.dtype))  # (B*N, D)
    targets = {
        name: torch.from_numpy(getattr(lesson, name)).flatten(0, 1)
        for name in ("phones", "words", "begins", "events", "onsets", "pitches")
    }
    # There are many words: a third of the frames tells enough of them.
    some = slice(lesson.step % WORD_STRIDE, None, WORD_STRIDE)
    said = targets["words"][some]
    phones = ears.phones(heard).unflatten(-1, (NUM_PHONE_SLOTS, -1)).float()
    words = ears.words(heard[some]).unflatten(-1, (NUM_WORD_SLOTS, -1)).float()
    nearest, meant = ears.wording(heard[some])[:, 0], said[:, 0] - (OTHER + 1)
    is_word = meant >= 0
    terms = {
        "phones": functional.cross_entropy(phones.flatten(0, 1), targets["phones"].flatten()),
        "words": functional.cross_entropy(words.flatten(0, 1), said.flatten()),
        "wording": functional.cross_entropy(nearest[is_word], meant[is_word], reduction="sum")
        / is_word.sum().clamp(min=1),
        "begins": _is_there(ears.begins(heard), targets["begins"]),
        "events": functional.cross_entropy(ears.events(heard).float(), targets["events"]),
        "onsets": _is_there(ears.onsets(heard), targets["onsets"]),
        "pitches": functional.cross_entropy(ears.pitches(heard).float(), targets["pitches"]),
    }
    size = heard.float().square().mean().sqrt()
    return {
        "total": sum(terms.values(), excess + 0.5 * functional.relu(size - 1.0)),
        **terms,
        "phones_right": (phones.detach().argmax(-1) == targets["phones"]).float().mean(),
        "words_right": _spoken_right(words.detach(), said),
        "worded": ((nearest.argmax(-1) == meant) & is_word).sum() / is_word.sum().clamp(min=1),
        "size": size,
        "excess": excess,
    }


def _is_there(logits: Tensor, wanted: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits.float(), wanted.float())


def _spoken_right(words: Tensor, wanted: Tensor) -> Tensor:
    """Give the share of word slots in which a word is spoken and the right one is heard."""
    is_spoken = wanted > OTHER
    return ((words.argmax(-1) == wanted) & is_spoken).sum() / is_spoken.sum().clamp(min=1)


def run(*, minutes: float | None, report: Callable[[str], None]) -> None:
    """Go on with the ears.

    Args:
        minutes: stop after so long.
        report: takes lines of progress.
    """
    folder = workshop.folder(STAGE)
    ids = word_ids(_kept_words(folder))
    seed = team().seed(SEED)
    lessons = Lessons(
        tuple(open_pool(name) for name in POOLS), vocabulary=ids, frames=BATCH_FRAMES, seed=seed
    )

    def lesson_at(step: int) -> Lesson:
        if step % EVENTS_EVERY == EVENTS_EVERY - 1:
            return event_lesson(step, size=EVENT_CLIPS, seed=seed)
        return lessons.at(step)

    train(folder, lesson_at, ids, steps=STEPS, minutes=minutes, report=report)


def train(
    folder: Path,
    lesson_at: Callable[[int], Lesson],
    ids: Mapping[str, int],
    *,
    steps: int,
    minutes: float | None,
    report: Callable[[str], None],
    rate: float = RATE,
) -> Ears:
    """Train ears on the lesson of each step; what a folder holds is gone on with."""
    ears = fresh(tuple(ids))
    balance(ears.audio_tower, torch.from_numpy(lesson_at(0).mel[:16].copy()))
    look_around(ears.audio_tower)
    schedule = Schedule(steps=steps, rate=rate, warmup=WARMUP, decay=DECAY, minutes=minutes)
    trainer = Trainer(ears, folder, schedule, report=report)
    trainer.run(lambda step: losses(ears, lesson_at(step)))
    return ears


@torch.no_grad()
def heard_words(ears: Ears, mel: Tensor, words: Sequence[str]) -> list[str]:
    """Say which words one clip holds, as the heads hear them.

    Args:
        ears: trained ones.
        mel: (M, T) of the clip.
        words: of the vocabulary, numbered as by `word_ids`.
    """
    heard, _ = ears(mel[None].to(ears.audio_tower.dtype))  # (N, D)
    logits = ears.words(heard).unflatten(-1, (NUM_WORD_SLOTS, -1)).float().flatten(0, 1)
    chances = logits.log_softmax(-1)  # (slots, V)
    begins = (ears.begins(heard).flatten() > 0).tolist()
    found = segments(begins, (chances[:, QUIET] < math.log(0.5)).tolist())
    likeliest = (
        int(chances[part.start : part.stop, OTHER:].sum(0).argmax()) + OTHER for part in found
    )
    return ["?" if word == OTHER else words[word - OTHER - 1] for word in likeliest]


def word_error_rate(said: Sequence[Sequence[str]], heard: Sequence[Sequence[str]]) -> float:
    """Count words to replace, leave out or put in, against the words that were said."""
    errors = sum(_edits(a, b) for a, b in zip(said, heard, strict=True))
    return errors / max(1, sum(len(a) for a in said))


def _edits(said: Sequence[str], heard: Sequence[str]) -> int:
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        before, row = row, [i]
        for j, other in enumerate(heard, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (word != other)))
    return row[-1]


def _kept_words(folder: Path) -> tuple[str, ...]:
    """Give the vocabulary that this training began with, so that heads keep their meaning."""
    path = folder / "words.json"
    if not path.exists():
        path.write_text(json.dumps(vocabulary()))
    return tuple(json.loads(path.read_text()))
