"""Qwen3-Omni on a GPU: tokens and frames beside transformers and the speed of memory.

    python benchmarks/gpu.py CONFIG.json [--layers 8] [--repeats 5] [--json OUT]
    python benchmarks/gpu.py --tiny --device cpu

CONFIG.json is the released one (`tests/models/layouts` has it); weights are random, in bfloat16:
70 GB with all layers, and twice that while transformers runs. The thinker writes one answer, the
talker speaks another, their steps played from graphs. The floor is what reading each step's weights
takes at the speed of the device's memory, measured in the same run. The last line is the figure;
exits non-zero if decoding reaches less than `--min-share` of the floor. `--tiny --device cpu` shows
that the script works.

It has not been run on a GPU yet.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import transformers
from omni_speed import fill
from speech import NoisePrompt, frame_bytes, read_layout
from transformers.models.qwen3_omni_moe import modeling_qwen3_omni_moe as reference

from myna.core.requests import RequestId
from myna.engine.config import EngineConfig
from myna.engine.engine import Engine
from myna.engine.sequence import EngineRequest, Sampling
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import Speech
from myna.pipeline.speaking import CodeVocoder, TalkerVoice, speech_rules
from myna.speech.speaker import Speaker
from myna.speech.voice import PIECES, VoiceRequest
from myna.weights.checkpoint import TensorInfo

PROBE_VALUES = 1 << 30
NUM_PROMPT, NUM_TOKENS, NUM_FRAMES = 512, 64, 48


def finish(device: torch.device) -> float:
    """Wait for the device; tell the time."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def median_s(run: Callable[[], float], repeats: int) -> float:
    """Repeat a measurement; the first warms up and records graphs."""
    run()
    return statistics.median(run() for _ in range(repeats))


def read_speed(device: torch.device, num_values: int, repeats: int) -> float:
    """Measure the bytes a second that a plain maximum reads."""
    values = torch.zeros(num_values, dtype=torch.int32, device=device)

    def run() -> float:
        started_s = finish(device)
        values.max()
        return finish(device) - started_s

    return values.nbytes / median_s(run, repeats)


def token_bytes(config: Config, tensors: Mapping[str, TensorInfo]) -> float:
    """Count the bytes of weights that one token of one answer reads."""
    moe = config.thinker.text.moe
    total = 0.0
    for name, info in tensors.items():
        if name.startswith("thinker.model.layers."):
            share = moe.num_chosen / moe.num_experts if ".experts." in name else 1.0
            total += share * info.num_bytes
        elif name.startswith("thinker.lm_head."):
            total += info.num_bytes
    return total


class OurThinker:
    """Write one answer after another with the engine."""

    def __init__(self, thinker: Thinker) -> None:
        config = EngineConfig(max_context=4096, num_kv_tokens=8192, prefix_caching=False)
        self._device = thinker.decoder.device
        self._engine = Engine(thinker.decoder, config)
        self._count = 0

    def run(self, token_ids: Sequence[int]) -> tuple[float, float]:
        """Give the seconds of the prompt, and of each later token."""
        self._count += 1
        sampling = Sampling(temperature=0.0, max_tokens=NUM_TOKENS, ignore_eos=True)
        request_id = RequestId(str(self._count))
        asked = EngineRequest(id=request_id, token_ids=tuple(token_ids), sampling=sampling)
        self._engine.add(asked)
        started_s = finish(self._device)
        while not (outputs := self._engine.step()):
            pass
        first_s = finish(self._device)
        while self._engine.has_work():
            outputs = self._engine.step()
        assert outputs[-1].error is None, outputs[-1].error
        return first_s - started_s, (finish(self._device) - first_s) / (NUM_TOKENS - 1)


class TheirThinker:
    """Do the same with transformers' text model and its cache, step by step."""

    def __init__(self, values: Mapping[str, object], device: torch.device) -> None:
        config = transformers.Qwen3OmniMoeConfig(**copy.deepcopy(dict(values)))
        text = config.thinker_config.text_config
        make = reference.Qwen3OmniMoeThinkerTextModel
        with transformers.initialization.no_init_weights():
            model = make._from_config(text, attn_implementation="sdpa").to(torch.bfloat16)
        self._model = fill(model).to(device)
        head = torch.nn.Linear(text.hidden_size, text.vocab_size, bias=False, device="meta")
        self._head = fill(head).to(device)
        self._device = device

    @torch.inference_mode()
    def run(self, token_ids: Sequence[int]) -> tuple[float, float]:
        """Give the seconds of the prompt, and of each later token."""
        started_s = finish(self._device)
        out = self._model(input_ids=torch.tensor([token_ids]).to(self._device), use_cache=True)
        token = self._head(out.last_hidden_state[:, -1:]).argmax(-1)
        first_s = finish(self._device)
        for _ in range(NUM_TOKENS - 1):
            past = out.past_key_values
            out = self._model(input_ids=token, past_key_values=past, use_cache=True)
            token = self._head(out.last_hidden_state[:, -1:]).argmax(-1)
        return first_s - started_s, (finish(self._device) - first_s) / (NUM_TOKENS - 1)


def frame_s(config: Config, thinker: Thinker, speech: Speech, repeats: int) -> float:
    """Give the seconds of a frame of one voice, its share of code2wav included."""
    assert config.speech is not None
    rules = speech_rules(config.speech)
    silent = (*rules.suppressed, rules.end_code)
    rules = replace(rules, suppressed=silent, max_positions=1 << 30)
    speaker = Speaker(TalkerVoice(speech, thinker), CodeVocoder(speech), rules)
    name, device = RequestId("voice"), thinker.decoder.device
    prompt = NoisePrompt(speech.talker, NUM_PROMPT)
    speaker.add(VoiceRequest(id=name, beginning=prompt, seed=0))
    speaker.follow(name, NUM_PROMPT)
    speaker.say(name, [1] * (NUM_FRAMES * (repeats + 2) + sum(PIECES)))

    def run() -> float:
        started_s = finish(device)
        for _ in range(NUM_FRAMES):
            speaker.step()
        assert speaker.num_voices == 1, "the voice has ended or failed; see the log"
        return (finish(device) - started_s) / NUM_FRAMES

    return median_s(run, repeats)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, nargs="?")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layers", type=int, help="of thinker and talker, to take fewer")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--min-share", type=float, default=0.7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.tiny == (options.config is not None):
        parser.error("name a config.json or pass --tiny")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error(f"torch {torch.__version__} sees no GPU; install a build for it")
    return options


def main() -> int:
    """Measure and compare."""
    options = read_options()
    device = torch.device(options.device)
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    values, config, layout = read_layout(options.config, options.layers)
    assert config.speech is not None
    tensors = {name: TensorInfo("BF16", tuple(shape), "") for name, shape in layout.items()}
    with torch.device("meta"):
        thinker, speech = Thinker(config.thinker), Speech(config.speech)
    for network in (thinker, speech):
        fill(network).to(device)
    speech.fuse()
    prompt = torch.randint(1, config.thinker.text.vocab_size - 1, (NUM_PROMPT,)).tolist()
    ours, theirs = OurThinker(thinker), TheirThinker(values, device)
    found: dict[str, float] = {}
    for name, one in (("myna", ours), ("transformers", theirs)):
        one.run(prompt)
        times = [one.run(prompt) for _ in range(options.repeats)]
        found[f"{name}_prefill_s"], found[f"{name}_token_s"] = (
            statistics.median(part) for part in zip(*times, strict=True)
        )
    found["frame_s"] = frame_s(config, thinker, speech, options.repeats)
    num_values = PROBE_VALUES >> (8 * (device.type == "cpu"))
    bytes_a_s = read_speed(device, num_values, options.repeats)
    found["token_floor_s"] = token_bytes(config, tensors) / bytes_a_s
    found["frame_floor_s"] = frame_bytes(config, tensors) / bytes_a_s
    share = found["token_floor_s"] / found["myna_token_s"]
    for name, value in found.items():
        print(f"{name:24} {1e3 * value:9.3f} ms")
    if options.json is not None:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        report = {"command": sys.argv, "torch": torch.__version__, "device": name, **found}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    ratio = found["transformers_token_s"] / found["myna_token_s"]
    frame = found["frame_floor_s"] / found["frame_s"]
    print(
        f"memory {bytes_a_s / 1e9:.0f} GB/s; a token at {share:.0%} of the floor, {ratio:.2f}x "
        f"transformers; a frame at {frame:.0%}"
    )
    return 0 if share >= options.min_share else 1


if __name__ == "__main__":
    sys.exit(main())
