"""Qwen3-Omni's thinker and speech beside transformers: true widths, few layers, random weights.

    python benchmarks/omni_speed.py CONFIG.json [--layers 2] [--repeats 5] [--json OUT]

CONFIG.json is the released one. Prints medians and ratios; the last line is the figure. Exits
non-zero below `--min-decode`, `--min-prefill` or `--min-frame`.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from released import take_layers
from speed import spin_ratio
from torch import Tensor, nn
from transformers.models.qwen3_omni_moe import modeling_qwen3_omni_moe as reference

from myna.core.requests import RequestId
from myna.engine.config import EngineConfig
from myna.engine.engine import Engine
from myna.engine.sequence import EngineRequest, Sampling
from myna.layers.cache import PackedBatch, Rows
from myna.layers.dense_cache import DenseCache
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.decoder import OmniDecoder
from myna.models.qwen3_omni.weights import Speech

PROMPT_TOKENS = 512
DECODE_TOKENS = 24
TALKER_PROMPT = 64
NUM_FRAMES = 12
FRAMES_A_CHUNK = 4
NOISE_VALUES = 2**20


def fill(network: nn.Module) -> nn.Module:
    """Give every parameter memory and noise of a scale that keeps activations finite."""
    noise = torch.randn(NOISE_VALUES).bfloat16() * 0.02
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            flat = torch.empty(parameter.numel(), dtype=torch.bfloat16)
            for start in range(0, flat.numel(), NOISE_VALUES):
                part = flat[start : start + NOISE_VALUES]
                part.copy_(noise[: part.numel()])
            if parameter.dim() == 1 and name == "weight":
                flat.add_(1)
            filled = nn.Parameter(flat.view(parameter.shape), requires_grad=False)
            setattr(module, name, filled)
    return network.eval()


def reference_of(make: Callable[[], nn.Module]) -> nn.Module:
    """Build a network of transformers' without drawing weights that are overwritten."""
    with transformers.initialization.no_init_weights():
        return fill(make().to(torch.bfloat16))


class OurThinker:
    """Run our thinker in the engine."""

    def __init__(self, config: Config) -> None:
        with torch.device("meta"):
            decoder = OmniDecoder(config.thinker.text)
        fill(decoder)
        self.engine = Engine(decoder, EngineConfig(max_context=1024, num_kv_tokens=4096))
        self.count = 0

    def run(self, token_ids: list[int], num_tokens: int) -> tuple[float, float]:
        """Return the seconds of the prompt and of each later token."""
        self.count += 1
        request = EngineRequest(
            id=RequestId(str(self.count)),
            token_ids=(self.count, *token_ids[1:]),
            sampling=Sampling(temperature=0.0, max_tokens=num_tokens, ignore_eos=True),
        )
        self.engine.add(request)
        start_s = first_s = time.perf_counter()
        seen = 0
        while self.engine.has_work():
            for output in self.engine.step():
                assert output.error is None, output.error
                seen += 1
                first_s = time.perf_counter() if seen == 1 else first_s
        return first_s - start_s, (time.perf_counter() - first_s) / max(num_tokens - 1, 1)


class TheirThinker:
    """Run transformers' text model with its cache."""

    def __init__(self, config: transformers.Qwen3OmniMoeConfig) -> None:
        text = config.thinker_config.text_config
        make = reference.Qwen3OmniMoeThinkerTextModel
        self.model = reference_of(lambda: make._from_config(text, attn_implementation="sdpa"))
        self.head = fill(nn.Linear(text.hidden_size, text.vocab_size, bias=False))

    @torch.inference_mode()
    def run(self, token_ids: list[int], num_tokens: int) -> tuple[float, float]:
        """Return the seconds of the prompt and of each later token."""
        ids = torch.tensor([token_ids])
        start_s = time.perf_counter()
        out = self.model(input_ids=ids, use_cache=True)
        token = self.head(out.last_hidden_state[:, -1:]).argmax(-1)
        first_s = time.perf_counter()
        for _ in range(num_tokens - 1):
            out = self.model(input_ids=token, past_key_values=out.past_key_values, use_cache=True)
            token = self.head(out.last_hidden_state[:, -1:]).argmax(-1)
        return first_s - start_s, (time.perf_counter() - first_s) / max(num_tokens - 1, 1)


class OurSpeech:
    """Run our talker, predictor and vocoder, frame by frame, sound coming out on the way."""

    def __init__(self, config: Config) -> None:
        assert config.speech is not None
        with torch.device("meta"):
            speech = Speech(config.speech)
        self.speech = fill(speech)

    @torch.inference_mode()
    def run(self, inputs: Tensor, num_frames: int) -> float:
        """Return the seconds of each frame, with its share of the prompt's, as the other's has."""
        talker, vocoder = self.speech.talker, self.speech.code2wav
        decoder = talker.decoder
        start_s = time.perf_counter()
        caches = [DenseCache() for _ in range(decoder.num_layers)]
        hidden = decoder.forward(self._batch(inputs, start=0), caches)[-1:]
        state, pending = vocoder.fresh_state(), []
        for frame in range(num_frames):
            first = decoder.logits(hidden)[:, :2048].argmax(-1)
            others = talker.code_predictor(hidden, talker.embed(first))
            codes = torch.cat((first[:, None], others), 1)  # (1, Q)
            pending.append(codes)
            if len(pending) == FRAMES_A_CHUNK:
                vocoder(torch.stack(pending, -1), state)
                pending = []
            step = talker.embed_frames(codes)
            hidden = decoder.forward(self._batch(step, start=len(inputs) + frame), caches)
        return (time.perf_counter() - start_s) / num_frames

    def _batch(self, inputs: Tensor, *, start: int) -> PackedBatch:
        count = len(inputs)
        return PackedBatch(
            token_ids=torch.zeros(count, dtype=torch.int64),
            positions=torch.arange(start, start + count).float().expand(3, -1),
            replaced=(Rows(torch.arange(count), inputs),),
        )


class TheirSpeech:
    """Run transformers' talker with its predictor, then its vocoder."""

    def __init__(self, config: transformers.Qwen3OmniMoeConfig) -> None:
        talker = reference.Qwen3OmniMoeTalkerForConditionalGeneration
        vocoder = reference.Qwen3OmniMoeCode2Wav
        self.talker = reference_of(lambda: talker._from_config(config.talker_config))
        self.vocoder = reference_of(lambda: vocoder._from_config(config.code2wav_config))

    @torch.inference_mode()
    def run(self, inputs: Tensor, num_frames: int) -> float:
        """Return the seconds of each frame."""
        text = inputs[None, :1].expand(1, 2 * num_frames, -1)
        start_s = time.perf_counter()
        self.talker.generate(
            inputs_embeds=inputs[None],
            trailing_text_hidden=text,
            tts_pad_embed=inputs[None, :1],
            talker_input_ids=torch.zeros(1, len(inputs), dtype=torch.int64),
            max_new_tokens=num_frames + 1,
            min_new_tokens=num_frames + 1,
            output_hidden_states=True,
            return_dict_in_generate=True,
            do_sample=False,
        )
        self.vocoder(torch.randint(0, 2048, (1, 16, num_frames)))
        return (time.perf_counter() - start_s) / num_frames


def main() -> int:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--min-decode", type=float, default=1.1)
    parser.add_argument("--min-prefill", type=float, default=1.0)
    parser.add_argument("--min-frame", type=float, default=1.5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    spin = spin_ratio()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    values = json.loads(args.config.read_text())
    take_layers(values, args.layers)
    theirs = transformers.Qwen3OmniMoeConfig(**copy.deepcopy(values))
    ours = Config.from_hf(values)
    thinkers = {"myna": OurThinker(ours), "transformers": TheirThinker(theirs)}
    speakers = {"myna": OurSpeech(ours), "transformers": TheirSpeech(theirs)}
    prompt = torch.randint(100, 20000, (PROMPT_TOKENS,)).tolist()
    inputs = torch.randn(TALKER_PROMPT, 1024).bfloat16() * 0.02
    times: dict[str, dict[str, list[float]]] = {
        name: {"prefill": [], "decode": [], "frame": []} for name in thinkers
    }
    for repeat in range(args.repeats + 1):
        for name, thinker in thinkers.items():
            prefill_s, _ = thinker.run(prompt, 1)
            _, token_s = thinker.run(prompt[:32], DECODE_TOKENS)
            frame_s = speakers[name].run(inputs, NUM_FRAMES)
            if repeat:  # the first warms up
                for kind, value in zip(times[name], (prefill_s, token_s, frame_s), strict=True):
                    times[name][kind].append(value)
    median = {n: {k: statistics.median(v) for k, v in t.items()} for n, t in times.items()}
    ratio = {k: median["transformers"][k] / median["myna"][k] for k in median["myna"]}
    for name, found in median.items():
        print(f"{name:13}" + "".join(f"  {k} {v * 1e3:8.1f} ms" for k, v in found.items()))
    if args.json:
        result = {
            "command": " ".join(["python", *sys.argv]),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "layers": args.layers,
            "repeats": args.repeats,
            "spin_ratio": round(spin, 2),
            "median_s": median,
            "ratio": {kind: round(value, 3) for kind, value in ratio.items()},
        }
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"spin ratio {spin:.2f}")
    print("  ".join(f"{kind} {value:.2f}x" for kind, value in ratio.items()) + "  transformers")
    bars = {"decode": args.min_decode, "prefill": args.min_prefill, "frame": args.min_frame}
    return 0 if all(ratio[kind] >= bar for kind, bar in bars.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
