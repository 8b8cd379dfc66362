"""Decode and prefill speed beside llama.cpp, in four bits: the same shape, threads and machine.

    python benchmarks/peers.py OURS THEIRS.gguf [--threads 2] [--repeats 5] [--json OUT]

OURS is a folder that `myna quantize` wrote (`--table-bits 4` gives both sides the same bits) or a
GGUF file. THEIRS is a GGUF file; `--requantize` first makes pure Q4_0 of it, llama.cpp's fastest
four bits. The runs are interleaved; medians and ratios are printed, the last line is the figure.
Exits non-zero below `--min-decode` or `--min-prefill`. llama.cpp is built once, from the source in
the `llama-cpp-python` archive, in a cache folder outside this one. Not a test: run it on a machine
that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tarfile
from pathlib import Path

import torch
from speed import DECODE_PROMPT_TOKENS, DECODE_TOKENS, PROMPT_TOKENS, Myna, spin_ratio

SOURCE = "llama-cpp-python==0.3.36"
TOOLS = ("llama-bench", "llama-quantize")
OPTIONS = (
    *("-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF"),
    *("-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF"),
)
# GCC 12 moves stores past the loading of a tile configuration, which then is garbage.
AMX_FILE = "ggml/src/ggml-cpu/amx/mmq.cpp"
AMX_CALL, AMX_CLOBBER = "_tile_loadconfig(", 'asm volatile("" ::: "memory"); '


class LlamaCpp:
    """Run `llama-bench` on one file."""

    def __init__(self, tools: Path, model: Path, *, num_threads: int) -> None:
        self._tools, self._model, self._num_threads = tools, model, num_threads

    def run(self) -> tuple[float, float]:
        """Return the seconds of a prompt and of each token after a short one."""
        argv = [self._tools / "llama-bench", "-m", self._model, "-t", str(self._num_threads)]
        sizes = ["-p", str(PROMPT_TOKENS), "-n", str(DECODE_TOKENS), "-r", "1", "-o", "json"]
        found = subprocess.run([*argv, *sizes], capture_output=True, text=True, check=True)
        rates = {bool(row["n_prompt"]): row["avg_ts"] for row in json.loads(found.stdout)}
        return PROMPT_TOKENS / rates[True], 1 / rates[False]


def build(cache: Path) -> Path:
    """Build llama.cpp's tools, unless that was done; return where they are."""
    tools = cache / "build" / "bin"
    if all((tools / name).is_file() for name in TOOLS):
        return tools
    cache.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-qq"]
    only = ["--no-deps", "--no-build-isolation", "--no-binary=:all:", "-d", str(cache), SOURCE]
    subprocess.run([*pip, *only], check=True)
    (archive,) = cache.glob("llama_cpp_python-*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(cache, filter="data")
    (source,) = cache.glob("llama_cpp_python-*/vendor/llama.cpp")
    amx = source / AMX_FILE
    amx.write_text(amx.read_text().replace(AMX_CALL, AMX_CLOBBER + AMX_CALL))
    output = ["-S", str(source), "-B", str(cache / "build")]
    subprocess.run(["cmake", *output, *OPTIONS], check=True)
    command = ["cmake", "--build", str(cache / "build"), "-j", str(os.cpu_count() or 1)]
    subprocess.run([*command, "--target", *TOOLS], check=True)
    return tools


def requantize(tools: Path, model: Path, cache: Path) -> Path:
    """Make pure Q4_0 of a GGUF file, unless that was done."""
    target = cache / f"{model.stem}.pure-q4_0.gguf"
    if not target.is_file():
        part = target.with_suffix(".part")
        tool = [tools / "llama-quantize", "--allow-requantize", "--pure"]
        subprocess.run([*tool, model, part, "Q4_0"], check=True, capture_output=True)
        part.rename(target)
    return target


def measure(ours: Myna, theirs: LlamaCpp, *, repeats: int) -> dict[str, dict[str, float]]:
    """Run both in turns; return the median seconds of a prompt and of a token."""
    torch.manual_seed(0)
    prompt = torch.randint(1000, 20000, (PROMPT_TOKENS,)).tolist()
    runs: dict[str, list[tuple[float, float]]] = {"myna": [], "llama.cpp": []}
    for repeat in range(repeats + 1):
        prefill_s, _ = ours.run(prompt, 1)
        _, token_s = ours.run(prompt[:DECODE_PROMPT_TOKENS], DECODE_TOKENS)
        other = theirs.run()
        if repeat:  # the first warms up
            runs["myna"].append((prefill_s, token_s))
            runs["llama.cpp"].append(other)
    return {
        name: {
            "prefill": statistics.median(prefill_s for prefill_s, _ in times),
            "decode": statistics.median(token_s for _, token_s in times),
        }
        for name, times in runs.items()
    }


def main() -> int:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ours", type=Path)
    parser.add_argument("theirs", type=Path)
    parser.add_argument("--requantize", action="store_true", help="make pure Q4_0 of THEIRS")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "myna-peers")
    parser.add_argument("--min-decode", type=float, default=1.0)
    parser.add_argument("--min-prefill", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    tools = build(args.cache)
    theirs = requantize(tools, args.theirs, args.cache) if args.requantize else args.theirs
    spin = spin_ratio()
    torch.set_num_threads(args.threads)
    median = measure(
        Myna(args.ours, "bfloat16", keep_packed=True),
        LlamaCpp(tools, theirs, num_threads=args.threads),
        repeats=args.repeats,
    )
    for name, values in median.items():
        print(
            f"{name:13} prefill {PROMPT_TOKENS / values['prefill']:7.1f} tok/s   "
            f"decode {1 / values['decode']:6.2f} tok/s"
        )
    decode, prefill = (
        median["llama.cpp"][name] / median["myna"][name] for name in ("decode", "prefill")
    )
    if args.json:
        facts = {
            "command": " ".join(["python", *sys.argv]),
            "machine": platform.processor() or platform.machine(),
            "torch": torch.__version__,
            "peer": SOURCE,
            "threads": args.threads,
            "repeats": args.repeats,
            "spin_ratio": round(spin, 2),
            "median_s": median,
            "decode_ratio": round(decode, 3),
            "prefill_ratio": round(prefill, 3),
        }
        args.json.write_text(json.dumps(facts, indent=1) + "\n")
    print(f"spin ratio {spin:.2f}")
    print(f"decode {decode:.2f}x prefill {prefill:.2f}x llama.cpp")
    return 0 if decode >= args.min_decode and prefill >= args.min_prefill else 1


if __name__ == "__main__":
    sys.exit(main())
