"""Sixteen requests at once beside transformers one after another: same weights, one process.

    python benchmarks/throughput.py MODEL.gguf [--dtype bfloat16] [--requests 16] [--repeats 3]

Prints tokens a second and the ratio; the last line is the figure. Exits non-zero below `--min`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch
import transformers
from speed import Transformers, spin_ratio

from myna.core.progress import silent
from myna.core.requests import RequestId
from myna.engine.engine import Engine
from myna.engine.sequence import EngineRequest, Sampling
from myna.pipeline.load import LoadOptions, load_model

PROMPT_TOKENS = 64
ANSWER_TOKENS = 48


def run_together(engine: Engine, prompts: list[list[int]], *, label: str) -> float:
    """Return the seconds that the engine takes for all prompts at once."""
    sampling = Sampling(temperature=0.0, max_tokens=ANSWER_TOKENS, ignore_eos=True)
    start_s = time.perf_counter()
    for number, prompt in enumerate(prompts):
        request_id = RequestId(f"{label}-{number}")
        engine.add(EngineRequest(id=request_id, token_ids=tuple(prompt), sampling=sampling))
    while engine.has_work():
        for output in engine.step():
            assert output.error is None, output.error
    return time.perf_counter() - start_s


def run_in_turn(reference: Transformers, prompts: list[list[int]]) -> float:
    """Return the seconds that transformers takes for them, one after another."""
    start_s = time.perf_counter()
    for prompt in prompts:
        reference.run(prompt, ANSWER_TOKENS)
    return time.perf_counter() - start_s


def main() -> int:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--requests", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--min", type=float, default=3.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    spin = spin_ratio()
    torch.set_num_threads(2)
    options = LoadOptions(model_id="bench", dtype=args.dtype, keep_packed=False, max_context=2048)
    model = load_model(args.model, options, silent)
    engine = Engine(model.decoder, model.engine_config)
    reference = Transformers(args.model, args.dtype)
    torch.manual_seed(0)
    together, in_turn = [], []
    for repeat in range(args.repeats + 1):
        prompts = torch.randint(1000, 20000, (args.requests, PROMPT_TOKENS)).tolist()
        ours_s = run_together(engine, prompts, label=str(repeat))
        theirs_s = run_in_turn(reference, prompts[: max(args.requests // 4, 1)])
        if repeat:  # the first warms up
            together.append(ours_s)
            in_turn.append(theirs_s * args.requests / max(args.requests // 4, 1))
    num_tokens = args.requests * ANSWER_TOKENS
    ours_s, theirs_s = statistics.median(together), statistics.median(in_turn)
    ratio = theirs_s / ours_s
    print(f"myna, {args.requests} at once       {num_tokens / ours_s:7.1f} tok/s")
    print(f"transformers, in turn    {num_tokens / theirs_s:7.1f} tok/s")
    if args.json:
        result = {
            "command": " ".join(["python", *sys.argv]),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "dtype": args.dtype,
            "requests": args.requests,
            "repeats": args.repeats,
            "spin_ratio": round(spin, 2),
            "tokens_per_s": {"myna": num_tokens / ours_s, "transformers": num_tokens / theirs_s},
            "ratio": round(ratio, 3),
        }
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"spin ratio {spin:.2f}")
    print(f"throughput {ratio:.2f}x transformers")
    return 0 if ratio >= args.min else 1


if __name__ == "__main__":
    sys.exit(main())
