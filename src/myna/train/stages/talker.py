"""Stage: talker and code predictor learn to speak text in the codec's codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.speech_config import SpeechConfig
from myna.models.qwen3_omni.talker import Talker
from myna.text.tokenizer import Tokenizer
from myna.train import shapes
from myna.train.batches import words_of_tokens
from myna.train.language.tokenizer import ANSWER_START, open_tokenizer
from myna.train.loop import Losses, Schedule, Trainer
from myna.train.nano_config import nano_config
from myna.train.stages.codec import coded_shards
from myna.train.start import materialise, thinker_embedding
from myna.train.together import team
from myna.train.voice.lessons import (
    Saying,
    Sheet,
    TurnIds,
    draw_turn,
    misheard,
    plan,
    sheet,
    words_of_frames,
)
from myna.train.voice.pupil import Pupil
from myna.train.voice.shards import Shard
from myna.train.workshop import folder

TURNED = ("talker.decoder.layers.", "talker.code_predictor.layers.")
SCHEDULE = Schedule(steps=20_000, rate=2e-3, warmup=150, turned=TURNED)
BATCH = 32
PICKED_SHARE = 0.2  # of frames, from which the code predictor learns
MISHEARD_SHARE = 0.35  # of frames at most, which are others than should be
MEDIUM_SHARE = 0.12  # of batches, whose turns have sounds and pictures
SEED = 41


def run(*, minutes: float | None, report: Callable[[str], None]) -> None:
    """Train talker and code predictor; codec and tokenizer must be there."""
    torch.manual_seed(SEED)
    config = nano_config()
    school = School(*coded_shards(), open_tokenizer(), config, held_out=1)
    pupil = fresh(config)
    schedule = replace(SCHEDULE, minutes=minutes)
    trainer = Trainer(pupil, folder("talker"), schedule, report=report)

    def losses_at(step: int) -> Losses:
        lessons, media, chosen = school.lesson(step)
        return pupil.losses(lessons, media, chosen=chosen)

    trainer.run(losses_at)


def fresh(config: Config) -> Pupil:
    """Make a talker with first weights, and draw the thinker's embedding."""
    assert config.speech is not None, "nano speaks"
    with torch.device("meta"):
        talker = Talker(config.speech.talker)
    materialise(talker, seed=SEED)
    return Pupil(talker, thinker_embedding())


class School:
    """Make the batch of each step.

    Args:
        shards: of speech.
        codes: (frames, Q) of each.
        tokenizer: nano's.
        config: of nano.
        held_out: shards at the beginning that are kept for measuring.
    """

    def __init__(
        self,
        shards: list[Shard],
        codes: list[NDArray[np.uint8]],
        tokenizer: Tokenizer,
        config: Config,
        *,
        held_out: int,
    ) -> None:
        self.shards, self.codes = shards[held_out:], codes[held_out:]
        self.tokenizer = tokenizer
        self.config = config
        self.places = [(s, i) for s, shard in enumerate(self.shards) for i in range(len(shard))]
        self.lengths = np.concatenate([np.diff(shard.starts) for shard in self.shards]).tolist()
        self.texts = [tokenizer.encode(text) for shard in self.shards for text in shard.texts]
        self.seed = team().seed(SEED)
        self._dealt: tuple[int, list[list[int]]] = (-1, [])

    @cached_property
    def turn_ids(self) -> TurnIds:
        """Number what is around a user's words."""
        encode, media = self.tokenizer.encode, self.config.thinker.media
        return TurnIds(
            opening=tuple(encode("<|im_start|>user\n")),
            closing=tuple(encode("<|im_end|>\n")),
            sound=(media.audio_start, media.audio_end),
            picture=(media.vision_start, media.vision_end),
        )

    @property
    def speech(self) -> SpeechConfig:
        """Describe what speaks."""
        assert self.config.speech is not None, "nano speaks"
        return self.config.speech

    def saying(self, index: int) -> Saying:
        """Give an utterance."""
        place, i = self.places[index]
        start, stop = self.shards[place].span(i)
        text = self.texts[index]
        phonemes = self.shards[place].phonemes[start:stop].astype(np.int64)
        num_words = len(self.shards[place].texts[i].split())
        return Saying(
            text=text,
            codes=self.codes[place][start:stop].astype(np.int64),
            phonemes=phonemes,
            word_of_token=words_of_tokens([self.tokenizer.token_bytes(token) for token in text]),
            word_of_frame=words_of_frames(phonemes, num_words=num_words),
        )

    def lesson(self, step: int) -> tuple[Sheet, Tensor, Tensor]:
        """Give a step's sequences, the vectors of their media, and the frames that are picked."""
        epoch, place = divmod(step, len(self.lengths) // BATCH)
        if self._dealt[0] != epoch:
            self._dealt = epoch, plan(self.lengths, size=BATCH, seed=self.seed, epoch=epoch)
        rng = np.random.default_rng((self.seed, step))
        with_medium = bool(rng.random() < MEDIUM_SHARE)
        lessons = []
        for index in self._dealt[1][place]:
            asked = self.texts[int(rng.integers(len(self.texts)))]
            turn = draw_turn(asked, rng, self.turn_ids, with_medium=with_medium)
            lessons.append((turn, self.saying(index)))
        made = sheet(
            lessons,
            self.speech,
            header=self.tokenizer.encode(ANSWER_START),
            positions_per_s=self.config.thinker.positions_per_s,
        )
        generator = torch.Generator().manual_seed(self.seed + step)
        num_media = int(made.is_medium.sum())
        scale = 2 ** float(rng.uniform(-2, 2))
        media = scale * torch.randn(num_media, shapes.THINKER_WIDTH, generator=generator)
        num_frames = int(made.makes_frame.sum())
        chosen = torch.randperm(num_frames, generator=generator)
        made = misheard(made, rng, most=MISHEARD_SHARE)
        return made, media, chosen[: int(PICKED_SHARE * num_frames)]
