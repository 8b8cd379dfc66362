"""A tiny model that speaks, and voices that are told what to say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from beginnings import TokenBeginning
from myna.core.errors import MynaError
from myna.core.requests import RequestId
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import SPEECH_RULES, THINKER_RULES, Speech
from myna.models.tiny_omni import write_tiny_omni
from myna.pipeline.speaking import CodeVocoder, TalkerVoice, speech_rules
from myna.speech.protocols import Rules
from myna.speech.speaker import Speaker
from myna.speech.voice import VoiceRequest
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint


@dataclass
class Parts:
    """Hold what a speaker is made of, and what it did."""

    talker: TalkerVoice
    vocoder: CodeVocoder
    rules: Rules
    speech: Speech

    def speaker(self) -> Speaker:
        return Speaker(self.talker, self.vocoder, self.rules)

    def request(
        self, name: str, *, seed: int | None = None, num_tokens: int = 5, is_known: bool = True
    ) -> VoiceRequest:
        """Make a voice that reads some tokens before its first, which differ with its name."""
        before = torch.tensor([(len(name) * 7 + i * 3) % 200 for i in range(num_tokens)])
        beginning = TokenBeginning(self.talker.read, before, is_known=is_known)
        return VoiceRequest(id=RequestId(name), beginning=beginning, seed=seed)


@dataclass
class Heard:
    """Remember what a voice said; satisfies `Listener`."""

    pieces: list[Tensor] = field(default_factory=list)
    num_frames: int | None = None
    error: MynaError | None = None

    @property
    def wave(self) -> Tensor:
        return torch.cat(self.pieces)

    def on_sound(self, samples: Tensor, realtime_factor: float | None) -> None:
        self.pieces.append(samples)

    def on_end(self, num_frames: int) -> None:
        self.num_frames = num_frames

    def on_error(self, error: MynaError) -> None:
        self.error = error


def listen(speaker: Speaker, heard: dict[str, Heard], *, max_steps: int = 1000) -> None:
    """Step until nobody can go on, or so often."""
    for _ in range(max_steps):
        if not speaker.has_work():
            return
        for output in speaker.step():
            one = heard.setdefault(output.id, Heard())
            if output.samples is not None:
                one.on_sound(output.samples, output.realtime_factor)
            if output.num_frames is not None:
                one.on_end(output.num_frames)
            if output.error is not None:
                one.on_error(output.error)


@pytest.fixture(name="listen")
def give_listen() -> Callable[..., None]:
    return listen


@pytest.fixture(name="heard_type")
def give_heard() -> type[Heard]:
    return Heard


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Thinker, Speech]:
    folder: Path = write_tiny_omni(tmp_path_factory.mktemp("omni"))
    config = Config.from_hf(json.loads((folder / "config.json").read_text()))
    assert config.speech is not None
    with torch.device("meta"):
        thinker, speech = Thinker(config.thinker), Speech(config.speech)
    load_weights(thinker, open_checkpoint(folder), THINKER_RULES, dtype=torch.float32)
    load_weights(speech, open_checkpoint(folder), SPEECH_RULES, dtype=torch.float32)
    return config, thinker.eval(), speech.eval()


@pytest.fixture
def parts(loaded: tuple[Config, Thinker, Speech]) -> Parts:
    config, thinker, speech = loaded
    assert config.speech is not None
    # Frames count as long ones, so that the guard ends what would babble on for seconds.
    rules = replace(speech_rules(config.speech), frame_s=0.4)
    return Parts(TalkerVoice(speech, thinker), CodeVocoder(speech), rules, speech)
