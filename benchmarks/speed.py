"""Decode and prefill speed: beside transformers, or of any model of the catalogue, random.

    python benchmarks/speed.py MODEL.gguf [--dtype bfloat16] [--repeats 7] [--json OUT]
    python benchmarks/speed.py --random MODEL [--layers N] [--scratch DIR] [--side 1024]
        [--threads 2] [--dtype bfloat16] [--repeats 7] [--json OUT]

Beside transformers: same weights, same dtype, one process, interleaved; exits non-zero below
`--min-decode` or `--min-prefill`. With `--random`, MODEL is a name of `myna list`: it is written to
DIR at full size with random weights, packed as `myna quantize` packs them, loaded as users' models
are, measured alone, and deleted; of a model that edits pictures, a step of `--side` pixels is.
`--layers` takes fewer of them, for a quick look. Prints medians; the last line is the figure. Not a
test: run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
import transformers
from one_edit import Drawing, make_edit, make_run
from random_model import write_random_model
from released import Released, released
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from myna.core.errors import MynaError
from myna.core.memory import available_memory_bytes
from myna.core.progress import silent
from myna.core.requests import RequestId
from myna.engine.engine import Engine
from myna.engine.sequence import EngineRequest, Sampling
from myna.pipeline.edit import WEIGHTS_SHARE
from myna.pipeline.edit_parts import EditParts, open_edit_files
from myna.pipeline.load import LoadOptions, load_model
from myna.text import tokenizer_files
from myna.weights.quantize.scheme import Recipe

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


class Runner(Protocol):
    """Answer one request at a time."""

    def run(self, token_ids: list[int], num_tokens: int) -> tuple[float, float]:
        """Return the seconds of the prompt and of each later token."""
        ...


class Myna:
    """Run the engine for one request at a time."""

    def __init__(self, path: Path, dtype: str, *, keep_packed: bool | None = False) -> None:
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


def measure(runners: Mapping[str, Runner], *, repeats: int) -> dict[str, dict[str, float]]:
    """Let runners take turns; return each one's median seconds, and print what they mean."""
    torch.manual_seed(0)
    prompt = torch.randint(1000, 20000, (PROMPT_TOKENS,)).tolist()
    times: dict[str, dict[str, list[float]]] = {
        name: {"prefill": [], "decode": []} for name in runners
    }
    for repeat in range(repeats + 1):
        for name, runner in runners.items():
            prefill_s, _ = runner.run(prompt, 1)
            _, token_s = runner.run(prompt[:DECODE_PROMPT_TOKENS], DECODE_TOKENS)
            if repeat:  # the first warms up
                times[name]["prefill"].append(prefill_s)
                times[name]["decode"].append(token_s)
    median = {n: {k: statistics.median(v) for k, v in t.items()} for n, t in times.items()}
    for name, values in median.items():
        print(f"{name:13} {spoken(values)}")
    return median


def spoken(median_s: Mapping[str, float]) -> str:
    """Say what the seconds of a prompt and of a token mean."""
    prefill = PROMPT_TOKENS / median_s["prefill"]
    return f"prefill {prefill:7.1f} tok/s   decode {1 / median_s['decode']:6.2f} tok/s"


@torch.inference_mode()
def measure_step(folder: Path, args: argparse.Namespace) -> dict[str, float]:
    """Return the median seconds of a step of an edit, once all that fits is in memory."""
    files = open_edit_files(folder)
    memory_bytes = int(WEIGHTS_SHARE * available_memory_bytes())
    dtype = getattr(torch, args.dtype)
    parts = EditParts(files, dtype=dtype, memory_bytes=memory_bytes, progress=silent)
    asked = make_edit(args.side, num_steps=1, guidance=1.0)
    tokenizer = tokenizer_files.from_folder(folder / "tokenizer")
    run = make_run(files, parts, asked, tokenizer=tokenizer)
    drawing = Drawing(run, text_width=files.config.transformer.text_width)
    sigmas = files.schedule.sigmas(1, (args.side // files.config.grid_px) ** 2)
    parts.modulation(sigmas[:-1])
    times = []
    for _ in range(args.repeats + 1):
        started_s = time.perf_counter()
        drawing.draw(sigmas)
        times.append(time.perf_counter() - started_s)
    return {"step": statistics.median(times[1:])}


def run_random(args: argparse.Namespace) -> int:
    """Write a random model, measure it, and delete it."""
    try:
        model = released(args.random, num_layers=args.layers)
        spin = spin_ratio()
        torch.set_num_threads(args.threads)
        with tempfile.TemporaryDirectory(prefix="random-", dir=args.scratch) as scratch:
            folder = Path(scratch) / model.id
            num_bytes = write_random_model(model, folder, Recipe(bits=4))
            print(f"{num_bytes / 1e9:.2f} GB are written", flush=True)
            median_s, figure = measure_random(folder, model, args)
    except MynaError as error:
        sys.exit(str(error))
    layers = {"layers": model.num_layers, "all_layers": model.all_layers}
    found = {"model": model.id, **layers, "weight_bytes": num_bytes, "median_s": median_s}
    report(args, spin, found)
    print(f"{model.title}, random weights: {figure}")
    return 0


def measure_random(
    folder: Path, model: Released, args: argparse.Namespace
) -> tuple[dict[str, float], str]:
    """Return median seconds, and the figure that they make."""
    if model.kind == "image_edit":
        median_s = measure_step(folder, args)
        return median_s, f"{median_s['step']:.2f} s a step at {args.side} pixels"
    runner = Myna(folder, args.dtype, keep_packed=None)
    median_s = measure({"myna": runner}, repeats=args.repeats)["myna"]
    return median_s, spoken(median_s)


def run_beside(args: argparse.Namespace) -> int:
    """Compare with transformers."""
    spin = spin_ratio()
    torch.set_num_threads(args.threads)
    runners: dict[str, Runner] = {
        "myna": Myna(args.model, args.dtype),
        "transformers": Transformers(args.model, args.dtype),
    }
    median = measure(runners, repeats=args.repeats)
    decode = median["transformers"]["decode"] / median["myna"]["decode"]
    prefill = median["transformers"]["prefill"] / median["myna"]["prefill"]
    ratios = {"decode_ratio": round(decode, 3), "prefill_ratio": round(prefill, 3)}
    report(args, spin, {"transformers": transformers.__version__, "median_s": median, **ratios})
    print(f"decode {decode:.2f}x prefill {prefill:.2f}x transformers")
    return 0 if decode >= args.min_decode and prefill >= args.min_prefill else 1


def report(args: argparse.Namespace, spin: float, found: Mapping[str, object]) -> None:
    """Write down how a result came about, and print how busy the machine was."""
    result = {
        "command": " ".join(["python", *sys.argv]),
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "dtype": args.dtype,
        "threads": args.threads,
        "repeats": args.repeats,
        "spin_ratio": round(spin, 2),
        **found,
    }
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"spin ratio {spin:.2f}")


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("model", type=Path, nargs="?", help="a GGUF file")
    what.add_argument("--random", metavar="MODEL", help="a name of `myna list`")
    parser.add_argument("--layers", type=int, metavar="N", help="with --random: take fewer")
    parser.add_argument("--scratch", type=Path, help="with --random: where there is room for it")
    parser.add_argument("--side", type=int, default=1024, help="of the picture to edit, in pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--min-decode", type=float, default=1.1)
    parser.add_argument("--min-prefill", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    return run_beside(args) if args.random is None else run_random(args)


if __name__ == "__main__":
    sys.exit(main())
