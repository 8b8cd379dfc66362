"""Decode and prefill speed beside transformers: same weights, same dtype, one process, interleaved.

    python benchmarks/speed.py MODEL.gguf [--dtype bfloat16] [--repeats 7] [--json OUT]

Prints medians and ratios; the last line is the figure. Exits non-zero below `--min-decode` or
`--min-prefill`. Not a test: run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import threading
import time
from pathlib import Path

import torch
import transformers
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from myna.core.requests import RequestId
from myna.engine.engine import Engine
from myna.engine.sequence import EngineRequest, Sampling
from myna.pipeline.load import LoadOptions, load_model

PROMPT_TOKENS = 512
DECODE_PROMPT_TOKENS = 32
DECODE_TOKENS = 48
SPIN_S = 0.3


def spin_ratio() -> float:
    """Return how much more two threads do than one: below 1.8, the cores are shared."""

    def work() -> float:
        x, start = torch.ones(256, 256), time.perf_counter()
        count = 0
        while time.perf_counter() - start < SPIN_S:
            x @ x
            count += 1
        return count

    torch.set_num_threads(1)
    alone = work()
    counts: list[float] = []
    threads = [threading.Thread(target=lambda: counts.append(work())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / alone


class Myna:
    """Run the engine for one request at a time."""

    def __init__(self, path: Path, dtype: str, *, keep_packed: bool = False) -> None:
        options = LoadOptions(
            model_id="bench", dtype=dtype, keep_packed=keep_packed, max_context=2048
        )
        self.model = load_model(path, options, lambda *_: None)
        self.engine = Engine(self.model.decoder, self.model.engine_config)
        self._count = 0

    def run(self, token_ids: list[int], num_tokens: int) -> tuple[float, float]:
        """Return the seconds of the prompt and of each later token."""
        self._count += 1
        sampling = Sampling(temperature=0.0, max_tokens=num_tokens, ignore_eos=True)
        token_ids = [1000 + self._count, *token_ids[1:]]  # nothing comes from the prefix cache
        self.engine.add(
            EngineRequest(
                id=RequestId(str(self._count)), token_ids=tuple(token_ids), sampling=sampling
            )
        )
        start = first = time.perf_counter()
        seen = 0
        while self.engine.has_work():
            for output in self.engine.step():
                assert output.error is None, output.error
                seen += 1
                if seen == 1:
                    first = time.perf_counter()
        end = time.perf_counter()
        return first - start, (end - first) / max(num_tokens - 1, 1)


class Transformers:
    """Run transformers' own greedy loop over the same weights, as floats like ours."""

    def __init__(self, path: Path, dtype: str) -> None:
        config = transformers.AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
        read = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)
        missing = model.load_state_dict(read["tensors"], strict=False).missing_keys
        assert set(missing) <= {"lm_head.weight"}, missing  # tied
        model.tie_weights()
        self.model = model.eval()

    @torch.inference_mode()
    def run(self, token_ids: list[int], num_tokens: int) -> tuple[float, float]:
        """Return the seconds of the prompt and of each later token."""
        ids = torch.tensor([token_ids])
        start = time.perf_counter()
        out = self.model(ids, use_cache=True, logits_to_keep=1)
        token = out.logits[:, -1:].argmax(-1)
        first = time.perf_counter()
        for _ in range(num_tokens - 1):
            out = self.model(token, past_key_values=out.past_key_values, use_cache=True)
            token = out.logits[:, -1:].argmax(-1)
        end = time.perf_counter()
        return first - start, (end - first) / max(num_tokens - 1, 1)


def main() -> int:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--min-decode", type=float, default=1.1)
    parser.add_argument("--min-prefill", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    spin = spin_ratio()
    torch.set_num_threads(2)
    runners = {
        "myna": Myna(args.model, args.dtype),
        "transformers": Transformers(args.model, args.dtype),
    }
    torch.manual_seed(0)
    prompt = torch.randint(1000, 20000, (PROMPT_TOKENS,)).tolist()
    times: dict[str, dict[str, list[float]]] = {
        name: {"prefill": [], "decode": []} for name in runners
    }
    for repeat in range(args.repeats + 1):
        for name, runner in runners.items():
            prefill_s, _ = runner.run(prompt, 1)
            _, token_s = runner.run(prompt[:DECODE_PROMPT_TOKENS], DECODE_TOKENS)
            if repeat:  # the first warms up
                times[name]["prefill"].append(prefill_s)
                times[name]["decode"].append(token_s)
    median = {n: {k: statistics.median(v) for k, v in t.items()} for n, t in times.items()}
    decode = median["transformers"]["decode"] / median["myna"]["decode"]
    prefill = median["transformers"]["prefill"] / median["myna"]["prefill"]
    for name, values in median.items():
        print(
            f"{name:13} prefill {PROMPT_TOKENS / values['prefill']:7.1f} tok/s   "
            f"decode {1 / values['decode']:6.2f} tok/s"
        )
    result = {
        "command": " ".join(["python", *sys.argv]),
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "dtype": args.dtype,
        "repeats": args.repeats,
        "spin_ratio": round(spin, 2),
        "median_s": median,
        "decode_ratio": round(decode, 3),
        "prefill_ratio": round(prefill, 3),
    }
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"spin ratio {spin:.2f}")
    print(f"decode {decode:.2f}x prefill {prefill:.2f}x transformers")
    return 0 if decode >= args.min_decode and prefill >= args.min_prefill else 1


if __name__ == "__main__":
    sys.exit(main())
