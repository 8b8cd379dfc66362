"""How well `fit` foretells: predicted memory and speed beside measured ones, a process each.

    python benchmarks/fit.py MODEL [MODEL …] [--dtype bfloat16]

MODEL is a folder or a GGUF file. The last line is the worst error of each kind; exits non-zero
when memory is off by more than `--memory` or speed by more than `--speed` (shares of 1).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

CONTEXT = 640
PROMPT_TOKENS = 512
ANSWER_TOKENS = 64


def predicted(path: Path, dtype: str) -> dict[str, float]:
    """Foretell, in this process."""
    from myna.pipeline.fit import predict_path  # noqa: PLC0415 -- each child imports its own part

    fit = predict_path(path, dtype=dtype, context=CONTEXT)
    assert fit.tokens_per_s is not None
    return {"peak_bytes": fit.peak_bytes, "tokens_per_s": fit.tokens_per_s}


def measured(path: Path, dtype: str) -> dict[str, float]:
    """Load, answer, and report what it took."""
    from myna.core.progress import silent  # noqa: PLC0415 -- as above
    from myna.core.requests import RequestId  # noqa: PLC0415
    from myna.engine.engine import Engine  # noqa: PLC0415
    from myna.engine.sequence import EngineRequest, Sampling  # noqa: PLC0415
    from myna.pipeline.load import LoadOptions, load_model  # noqa: PLC0415

    options = LoadOptions(model_id="bench", dtype=dtype, keep_packed=False, max_context=CONTEXT)
    model = load_model(path, options, silent)
    engine = Engine(model.decoder, model.engine_config)
    sampling = Sampling(temperature=0.0, max_tokens=ANSWER_TOKENS, ignore_eos=True)
    prompt = tuple(1 + number % 300 for number in range(PROMPT_TOKENS))
    engine.add(EngineRequest(id=RequestId("bench"), token_ids=prompt, sampling=sampling))
    times = []
    while engine.has_work():
        start_s = time.perf_counter()
        engine.step()
        times.append(time.perf_counter() - start_s)
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return {
        "peak_bytes": int(peak.split()[1]) * 1024,
        "tokens_per_s": 1 / statistics.median(times[2:]),
    }


def main() -> int:
    """Compare for every model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--memory", type=float, default=0.10)
    parser.add_argument("--speed", type=float, default=0.25)
    parser.add_argument("--part", choices=["predicted", "measured"])
    args = parser.parse_args()
    if args.part:
        part = predicted if args.part == "predicted" else measured
        print(json.dumps(part(args.models[0], args.dtype)))
        return 0

    worst = {"peak_bytes": 0.0, "tokens_per_s": 0.0}
    for model in args.models:
        told, seen = (
            json.loads(
                subprocess.run(
                    [sys.executable, __file__, str(model), "--dtype", args.dtype, "--part", part],
                    check=True,
                    stdout=subprocess.PIPE,
                ).stdout
            )
            for part in ("predicted", "measured")
        )
        for name in worst:
            worst[name] = max(worst[name], abs(told[name] / seen[name] - 1))
        print(
            f"{model.name}: memory {told['peak_bytes'] / 1e9:.2f} told, "
            f"{seen['peak_bytes'] / 1e9:.2f} GB seen; speed {told['tokens_per_s']:.1f} told, "
            f"{seen['tokens_per_s']:.1f} tok/s seen"
        )
    print(f"worst error: memory {worst['peak_bytes']:.1%}, speed {worst['tokens_per_s']:.1%}")
    is_good = worst["peak_bytes"] <= args.memory and worst["tokens_per_s"] <= args.speed
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
