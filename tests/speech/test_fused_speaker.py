"""Voices whose steps are single calls say what the same voices say step by step."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from beginnings import TokenBeginning
from myna.core.requests import RequestId
from myna.kernels.native import native
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.weights import Speech
from myna.models.tiny_omni import tiny_omni_config
from myna.pipeline.speaking import CodeVocoder, TalkerVoice, speech_rules
from myna.speech.speaker import Speaker
from myna.speech.voice import VoiceRequest

pytestmark = pytest.mark.skipif(native() is None, reason="the kernels are not compiled")
NUM_STEPS = 12


@pytest.fixture(scope="module")
def wide() -> tuple[Config, Speech]:
    """Draw a model that speaks, its widths such as the kernels want them."""
    values = copy.deepcopy(tiny_omni_config())  # whose sections are every tiny model's
    talker = values["talker_config"]
    text, predictor = talker["text_config"], talker["code_predictor_config"]
    text["rope_scaling"] = {**text["rope_scaling"], "mrope_section": [8, 4, 4]}
    text["moe_intermediate_size"] = text["shared_expert_intermediate_size"] = 32
    text["head_dim"] = predictor["head_dim"] = 32
    predictor["intermediate_size"] = 64
    config = Config.from_hf(values)
    assert config.speech is not None
    speech = Speech(config.speech).eval()
    generator = torch.Generator().manual_seed(1)
    for name, parameter in speech.named_parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.2, generator=generator)
        else:
            nn.init.constant_(parameter, 1.0 if "norm" in name else 0.0)
    return config, speech


def spoken(config: Config, speech: Speech, thinker, *, num_voices: int) -> list[list[list[int]]]:
    """Give the codes of each voice's first frames."""
    assert config.speech is not None
    rules = speech_rules(config.speech)
    rules = replace(rules, suppressed=(*rules.suppressed, rules.end_code))
    talker = TalkerVoice(speech, thinker)
    speaker = Speaker(talker, CodeVocoder(speech), rules)
    for number in range(num_voices):
        beginning = TokenBeginning(talker.read, torch.arange(6 + number) + 10 * number)
        request = VoiceRequest(id=RequestId(str(number)), beginning=beginning, seed=number)
        speaker.add(request)
        speaker.say(request.id, [4] * (NUM_STEPS + 1))
    frames: dict[str, list[list[int]]] = {}
    complete = talker.complete

    def keep(hidden, first, points):
        codes, vectors = complete(hidden, first, points)
        for name, own in zip(speaker._voices, codes.tolist(), strict=True):
            frames.setdefault(name, []).append(own)
        return codes, vectors

    talker.complete = keep
    for _ in range(NUM_STEPS):
        speaker.step()
    assert speaker.num_voices == num_voices
    return list(frames.values())


@torch.inference_mode()
def test_fused_voices_say_the_same(wide, loaded) -> None:
    config, speech = wide
    fused = copy.deepcopy(speech)
    fused.talker.fuse()
    assert fused.talker.decoder.stack is not None
    assert fused.talker.code_predictor.depth is not None
    plain = spoken(config, speech, loaded[1], num_voices=3)
    assert spoken(config, fused, loaded[1], num_voices=3) == plain
    assert spoken(config, fused, loaded[1], num_voices=1) == plain[:1]
    assert len({tuple(frame) for voice in plain for frame in voice}) > NUM_STEPS


def test_steps_after_the_beginning_are_single_calls(wide, loaded, monkeypatch) -> None:
    config, speech = wide
    fused = copy.deepcopy(speech)
    fused.talker.fuse()
    calls = []
    stack, depth = fused.talker.decoder.stack, fused.talker.code_predictor.depth
    for name, part in (("stack", stack), ("depth", depth)):
        run = part.run

        def spy(*arguments, name=name, run=run):
            calls.append((name, (found := run(*arguments)) is not None))
            return found

        monkeypatch.setattr(part, "run", spy)
    spoken(config, fused, loaded[1], num_voices=2)
    # The beginnings read many positions, which only the modules can.
    assert calls.count(("stack", True)) == NUM_STEPS - 1
    assert calls.count(("depth", True)) == NUM_STEPS
    assert not {name for name, is_served in calls if not is_served}
