"""Speech in real time: how long a second of it takes, all stages live, beside the speed of memory.

    python benchmarks/speech.py --random MODEL [--predictor-bits 6] [--voices 2] [--layers 2]
    python benchmarks/speech.py --tiny [--seconds 4]

MODEL is `qwen3-omni`: packed weights are drawn at full size (20 GB; `--layers` takes fewer of
thinker and talker). `--tiny` shows that the script works and nothing else. A prompt is read; then
the thinker writes `--rate` tokens for each second of speech while talker, predictor and code2wav
speak, taking turns on the same cores. Beside it stand the frames alone, the time that reading their
weights takes at the measured speed of memory, and what two threads do more than one. The last line
is the figure; exits non-zero above `--max-factor`. For a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from random_weights import RandomCheckpoint, RandomWeights, as_quantized
from released import released, take_layers
from speed import spin_ratio
from torch import Tensor

from myna.core.errors import MynaError
from myna.core.requests import RequestId
from myna.engine.config import EngineConfig
from myna.engine.engine import Engine
from myna.engine.sequence import EngineRequest, Sampling, StepOutput
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.talker import Talker
from myna.models.qwen3_omni.tensors import tensors as list_tensors
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import SPEECH_RULES, THINKER_RULES, Speech
from myna.models.tiny_omni import tiny_omni_config
from myna.pipeline.engine_thread import EngineThread, Finish
from myna.pipeline.speaking import CodeVocoder, TalkerVoice, speech_rules
from myna.speech.loop import SpeechLoop
from myna.speech.protocols import Rules
from myna.speech.speaker import Speaker
from myna.speech.turns import Turns
from myna.speech.voice import PIECES, VoiceRequest
from myna.weights.checkpoint import TensorInfo
from myna.weights.load import load_weights
from myna.weights.quantize.scheme import PredictorBits, Recipe, with_predictor

SPEAKING = ("qwen3-omni",)  # models of the catalogue
EXPERT = re.compile(r"\.experts\.\d+\.")
PREDICTOR = "talker.code_predictor."
PROBE_BYTES = 1 << 29
PROBES = 5
NUM_ALONE = 12  # frames


@dataclass(frozen=True)
class Model:
    """Hold all stages, and the bytes that a frame of speech reads."""

    config: Config
    thinker: Thinker
    speech: Speech
    rules: Rules
    frame_bytes: float


def make_model(config: Config, layout: Mapping[str, Sequence[int]], bits: PredictorBits) -> Model:
    """Draw all weights."""
    assert config.speech is not None
    recipe = Recipe(bits=4, exempt=with_predictor(bits))
    checkpoint = RandomCheckpoint(as_quantized(layout, recipe), RandomWeights())
    with torch.device("meta"):
        thinker, speech = Thinker(config.thinker), Speech(config.speech)
    for network, rules in ((thinker, THINKER_RULES), (speech, SPEECH_RULES)):
        load_weights(network, checkpoint, rules, dtype=torch.bfloat16, keep_packed=True)
    thinker.decoder.fuse()
    speech.fuse()
    own = speech_rules(config.speech)
    own = replace(own, suppressed=(*own.suppressed, own.end_code), max_positions=1 << 30)
    return Model(
        config, thinker.eval(), speech.eval(), own, frame_bytes(config, checkpoint.tensors)
    )


def frame_bytes(config: Config, tensors: Mapping[str, TensorInfo]) -> float:
    """Count the bytes of weights that one voice's frame reads."""
    assert config.speech is not None
    talker = config.speech.talker.text
    total = 0.0
    for name, info in tensors.items():
        share = 0.0
        if name.startswith(PREDICTOR):
            is_layer = ".layers." in name
            share = (
                config.speech.code2wav.num_codebooks - 1 if is_layer else float("lm_head" in name)
            )
        elif name.startswith("talker.model.layers."):
            share = talker.moe.num_chosen / talker.moe.num_experts if EXPERT.search(name) else 1.0
        elif name.startswith("talker.codec_head."):
            share = 1.0
        elif name.startswith("code2wav.") and "embedding" not in name:
            share = 1 / PIECES[-1]
        total += share * info.num_bytes
    return total


def read_speed() -> float:
    """Measure the bytes a second that a plain sum reads, at best."""
    values = torch.zeros(PROBE_BYTES // 4, dtype=torch.int32)
    best_s = float("inf")
    for _ in range(PROBES):
        started_s = time.perf_counter()
        values.max()
        best_s = min(best_s, time.perf_counter() - started_s)
    return PROBE_BYTES / best_s


class NoisePrompt:
    """Draw what a voice reads before its first frame, a vector for each token that is read."""

    def __init__(self, talker: Talker, num_positions: int) -> None:
        width = talker.config.text.width
        inputs = torch.randn(num_positions + 1, width, generator=torch.manual_seed(0)).bfloat16()
        self._inputs = inputs.to(talker.decoder.device)
        self.positions = torch.arange(num_positions + 1).float().expand(3, -1)
        self.advance = 0.0
        self.num_prompt = num_positions

    def num_known(self, num_read: int) -> int:
        """Know what was read."""
        return num_read

    def prompt(self, rows: slice) -> Tensor:
        """Give a part."""
        return self._inputs[rows]

    def answer(self, first_id: int) -> Tensor:
        """Give the last, whatever the first token is."""
        del first_id
        return self._inputs[-1:]


@dataclass
class Voice:
    """Follow one answer: its text goes to the loop, its frames are counted; ends by itself."""

    id: RequestId
    loop: SpeechLoop
    num_text: int
    num_frames: int
    frame_s: float
    prefilled_s: float = 0.0
    first_sound_s: float = 0.0
    ended_s: float = 0.0
    heard_s: float = 0.0
    first_heard_s: float = 0.0
    is_done: bool = False
    over: threading.Event = field(default_factory=threading.Event)

    def on_start(self) -> None:
        """Do nothing."""

    def on_output(self, output: StepOutput, finish: Finish) -> None:
        """Say each token as it comes."""
        del finish
        self.prefilled_s = self.prefilled_s or time.perf_counter()
        if output.token is not None:
            self.loop.say(self.id, [output.token.token_id])
        if output.finish_reason is not None:
            self.is_done = True
            self.loop.end_text(self.id)

    def on_sound(self, samples: Tensor, realtime_factor: float | None) -> None:
        """Count, and fall silent after enough."""
        del realtime_factor
        self.first_sound_s = self.first_sound_s or time.perf_counter()
        self.heard_s += len(samples) / 24_000
        self.first_heard_s = self.first_heard_s or self.heard_s
        if self.heard_s >= (self.num_frames - PIECES[-1]) * self.frame_s and not self.ended_s:
            self.ended_s = time.perf_counter()
            self.loop.cancel(self.id)
            self.over.set()

    def on_end(self, num_frames: int) -> None:
        """End early, which no voice should."""
        sys.exit(f"the voice ended after {num_frames} frames")

    def on_error(self, error: MynaError) -> None:
        """Fail."""
        print(error, file=sys.stderr)
        self.over.set()


class Reader:
    """Wait for a prompt to be read."""

    def __init__(self) -> None:
        self.is_done = False
        self.over = threading.Event()

    def on_start(self) -> None:
        """Do nothing."""

    def on_output(self, output: StepOutput, finish: Finish) -> None:
        """End with the first token."""
        del output, finish
        self.is_done = True
        self.over.set()

    def on_error(self, error: MynaError) -> None:
        """Fail."""
        sys.exit(str(error))


def read_ahead(thread: EngineThread, requests: Sequence[EngineRequest]) -> None:
    """Have prompts read and kept, so that several voices are told their text at the same time.

    Else the first one speaks while the next one's prompt is read, which is no cost of speaking.
    """
    readers = [Reader() for _ in requests]
    for request, reader in zip(requests, readers, strict=True):
        once = replace(request.sampling, max_tokens=1)
        ahead = replace(request, id=RequestId(f"{request.id}-prompt"), sampling=once)
        thread.start(ahead, reader)
    for reader in readers:
        reader.over.wait()


def draw_prompt(model: Model, num_tokens: int, seed: int) -> tuple[int, ...]:
    """Draw tokens of text."""
    most = model.config.thinker.text.vocab_size - 1
    return tuple(torch.randint(0, most, (num_tokens,), generator=torch.manual_seed(seed)).tolist())


def run_live(model: Model, options: argparse.Namespace, num_voices: int) -> dict[str, float]:
    """Let voices speak while their text is written.

    Returns:
        The seconds that a second of sound takes, counted from the last of the prompt ("factor") and
        from the first sound ("flow"), and when that sound came.
    """
    turns = Turns()
    engine_config = EngineConfig(max_context=options.prompt + 4096, num_kv_tokens=16_384)
    thread = EngineThread(Engine(model.thinker.decoder, engine_config), turns)
    talker = TalkerVoice(model.speech, model.thinker)
    loop = SpeechLoop(Speaker(talker, CodeVocoder(model.speech), model.rules), turns)
    num_text = max(2, round(options.seconds * options.rate))
    num_frames = round(options.seconds / model.rules.frame_s)
    voices = [
        Voice(RequestId(f"voice-{i}"), loop, num_text, num_frames, model.rules.frame_s)
        for i in range(num_voices)
    ]
    asked = []
    for seed, voice in enumerate(voices):
        beginning = NoisePrompt(model.speech.talker, options.prompt)
        loop.start(VoiceRequest(id=voice.id, beginning=beginning, seed=seed), voice)
        sampling = Sampling(temperature=1.0, max_tokens=num_text, ignore_eos=True, seed=seed)
        request = EngineRequest(
            id=voice.id,
            token_ids=draw_prompt(model, options.prompt, seed),
            sampling=sampling,
            on_read=partial(loop.follow, voice.id),
        )
        asked.append(request)
    if num_voices > 1:
        read_ahead(thread, asked)
    for request, voice in zip(asked, voices, strict=True):
        thread.start(request, voice)
    for voice in voices:
        voice.over.wait()
    thread.close()
    loop.close()
    ended_s = max(voice.ended_s for voice in voices)
    spent_s = ended_s - min(voice.prefilled_s for voice in voices)
    flowing_s = ended_s - min(voice.first_sound_s for voice in voices)
    return {
        "factor": spent_s / min(voice.heard_s for voice in voices),
        "flow": flowing_s / min(voice.heard_s - voice.first_heard_s for voice in voices),
        "first_audio_s": max(voice.first_sound_s - voice.prefilled_s for voice in voices),
    }


def run_alone(model: Model, options: argparse.Namespace) -> float:
    """Give the seconds of one frame with its share of code2wav, nothing else running."""
    talker = TalkerVoice(model.speech, model.thinker)
    speaker = Speaker(talker, CodeVocoder(model.speech), model.rules)
    name = RequestId("alone")
    speaker.add(
        VoiceRequest(id=name, beginning=NoisePrompt(model.speech.talker, options.prompt), seed=0)
    )
    speaker.follow(name, options.prompt)
    while speaker.has_work():  # it reads its prompt
        speaker.step()
    speaker.say(name, [1] * (3 * NUM_ALONE))
    for _ in range(sum(PIECES)):
        speaker.step()
    started_s = time.perf_counter()
    for _ in range(NUM_ALONE):
        speaker.step()
    assert speaker.num_voices == 1, "the voice has failed; see the log"
    return (time.perf_counter() - started_s) / NUM_ALONE


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--random", choices=SPEAKING, metavar="MODEL")
    what.add_argument("--tiny", action="store_true")
    parser.add_argument("--layers", type=int, help="of thinker and talker, to take fewer")
    parser.add_argument("--predictor-bits", type=int, choices=(4, 6, 8, 16), default=6)
    parser.add_argument("--voices", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=1200, help="positions")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=4.0, help="tokens for a second of speech")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--alone", action="store_true", help="measure frames alone, nothing live")
    parser.add_argument("--max-factor", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


Layout = Mapping[str, Sequence[int]]


def read_layout(
    path: Path | None, num_layers: int | None
) -> tuple[dict[str, object], Config, Layout]:
    """Describe the model of a config.json, or its first layers; the tiny one if none is named.

    Returns:
        What config.json says, what it means, and the shapes of the released tensors.
    """
    values = tiny_omni_config() if path is None else json.loads(path.read_text())
    if num_layers is not None:
        take_layers(values, num_layers)
    config = Config.from_hf(values)
    return values, config, list_tensors(config)


def main() -> int:
    """Measure."""
    options = read_options()
    spin = spin_ratio()
    torch.set_num_threads(options.threads)
    bytes_a_s = read_speed()
    if options.tiny:
        _, config, layout = read_layout(None, options.layers)
    else:
        network = released(options.random, num_layers=options.layers).networks[""]
        config, layout = Config.from_hf(network.values), network.tensors
    model = make_model(config, layout, options.predictor_bits)
    frame_s = model.rules.frame_s
    alone_s = run_alone(model, options)
    floor_s = model.frame_bytes / bytes_a_s
    found = {"frame_ms": 1e3 * alone_s, "floor_ms": 1e3 * floor_s, "floor_share": floor_s / alone_s}
    size_mb = model.frame_bytes / 1e6
    print(f"memory {bytes_a_s / 1e9:.1f} GB/s, {size_mb:.0f} MB a frame, spin {spin:.2f}")
    print(f"frame alone {1e3 * alone_s:.1f} ms, {floor_s / alone_s:.0%} of the floor")
    factor = alone_s / frame_s
    if not options.alone:
        one = run_live(model, options, 1)
        found |= one
        factor = one["factor"]
        if options.voices > 1:
            several = run_live(model, options, options.voices)
            found["cost_per_voice"] = several["flow"] / options.voices / one["flow"]
            found["factor_several"] = several["factor"]
            print(f"{options.voices} voices: {found['cost_per_voice']:.2f}x the cost of one, each")
        print(f"first audio {one['first_audio_s']:.2f} s after the prompt was read")
    if options.json is not None:
        report = {"command": sys.argv, "torch": torch.__version__, "spin_ratio": spin, **found}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    what = "frames alone" if options.alone else "all stages live"
    print(
        f"a second of speech takes {factor:.2f} s, {what}, predictor {options.predictor_bits} bits"
    )
    return 0 if factor <= options.max_factor else 1


if __name__ == "__main__":
    sys.exit(main())
