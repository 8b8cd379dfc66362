"""Decode and prefill speed beside other engines, in four bits: the same model, threads and machine.

    python benchmarks/peers.py MODEL.gguf [--requantize] [--openvino] [--repeats 5]

All read one file; `--requantize` first makes pure Q4_0 of it, llama.cpp's fastest four bits.
`--ours` is a folder that `myna quantize` wrote, for Myna to read instead. llama.cpp is built once,
from the source in the `llama-cpp-python` archive, in a cache folder outside this one; `--openvino`
installs openvino-genai there, in an environment of its own, and runs it too. Each run is a process
of its own that warms up first, so that one model is in memory at a time; the engines take turns.
Medians and ratios are printed, the last line is the figure: decode beside llama.cpp, prefill beside
the fastest. Exits non-zero below `--min-decode` or `--min-prefill`. Not a test: run it on a machine
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from speed import DECODE_PROMPT_TOKENS, DECODE_TOKENS, PROMPT_TOKENS, Myna, spin_ratio

SOURCE = "llama-cpp-python==0.3.36"
OPENVINO = "openvino-genai==2026.4.1.0"
TOOLS = ("llama-bench", "llama-quantize")
OPTIONS = (
    *("-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF"),
    *("-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF"),
)
# GCC 12 moves stores past the loading of a tile configuration, which then is garbage.
AMX_FILE = "ggml/src/ggml-cpu/amx/mmq.cpp"
AMX_CALL, AMX_CLOBBER = "_tile_loadconfig(", 'asm volatile("" ::: "memory"); '
CACHE = Path.home() / ".cache" / "myna-peers"
HERE = Path(__file__).resolve()


@dataclass(frozen=True)
class Times:
    """Hold the seconds of a prompt, where one was read, and of each later token."""

    prefill_s: float | None
    token_s: float


class Peer(Protocol):
    """Run one engine on one file, in a process of its own."""

    def run(self) -> Times:
        """Warm up and measure."""
        ...


@dataclass(frozen=True)
class Ours:
    """Run Myna's engine."""

    model: Path
    num_threads: int
    has_prefill: bool = True

    def run(self) -> Times:
        """Measure; see `Peer.run`."""
        words = [str(HERE), str(self.model), "--alone", "--threads", str(self.num_threads)]
        words += [] if self.has_prefill else ["--no-prefill"]
        return Times(**json.loads(output_of([sys.executable, *words]).splitlines()[-1]))


@dataclass(frozen=True)
class LlamaCpp:
    """Run `llama-bench`, which warms up by itself."""

    tools: Path
    model: Path
    num_threads: int
    has_prefill: bool = True

    def run(self) -> Times:
        """Measure; see `Peer.run`."""
        words = ["-m", str(self.model), "-t", str(self.num_threads), "-r", "1", "-o", "json"]
        sizes = ["-p", str(PROMPT_TOKENS if self.has_prefill else 0), "-n", str(DECODE_TOKENS)]
        found = json.loads(output_of([str(self.tools / "llama-bench"), *words, *sizes]))
        rates = {bool(row["n_prompt"]): row["avg_ts"] for row in found}
        return Times(PROMPT_TOKENS / rates[True] if True in rates else None, 1 / rates[False])


@dataclass(frozen=True)
class OpenVino:
    """Run OpenVINO GenAI by a Python that has it."""

    python: Path
    model: Path
    num_threads: int

    def run(self) -> Times:
        """Measure; see `Peer.run`."""
        script = HERE.with_name("openvino_alone.py")
        sizes = [PROMPT_TOKENS, DECODE_PROMPT_TOKENS, DECODE_TOKENS, self.num_threads]
        words = [str(self.python), str(script), str(self.model), *map(str, sizes)]
        return Times(**json.loads(output_of(words).splitlines()[-1]))


def output_of(words: Sequence[str]) -> str:
    """Run a command and give what it prints; ends with its complaint if it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{words[0]} failed: {done.stderr[-2000:]}")
    return done.stdout


def run_alone(model: Path, *, num_threads: int, has_prefill: bool) -> Times:
    """Measure Myna in this process, once it is warm."""
    torch.set_num_threads(num_threads)
    engine = Myna(model, "bfloat16", keep_packed=True)
    prompt = torch.randint(1000, 20000, (PROMPT_TOKENS,), generator=torch.manual_seed(0)).tolist()
    for tokens in (8, DECODE_TOKENS):
        prefill_s = engine.run(prompt, 1)[0] if has_prefill else None
        token_s = engine.run(prompt[:DECODE_PROMPT_TOKENS], tokens)[1]
    return Times(prefill_s, token_s)


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


def install_openvino(cache: Path) -> Path:
    """Install OpenVINO GenAI, unless that was done; return the Python that has it."""
    folder = cache / "openvino"
    python = folder / "bin" / "python"
    if not (folder / "complete").is_file():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", OPENVINO], check=True)
        (folder / "complete").touch()
    return python


def requantize(tools: Path, model: Path, cache: Path) -> Path:
    """Make pure Q4_0 of a GGUF file, unless that was done."""
    target = cache / f"{model.stem}.pure-q4_0.gguf"
    if not target.is_file():
        part = target.with_suffix(".part")
        tool = [tools / "llama-quantize", "--allow-requantize", "--pure"]
        subprocess.run([*tool, model, part, "Q4_0"], check=True, capture_output=True)
        part.rename(target)
    return target


def measure(peers: Mapping[str, Peer], *, repeats: int) -> dict[str, Times]:
    """Let the engines take turns; return each one's medians."""
    runs: dict[str, list[Times]] = {name: [] for name in peers}
    for _ in range(repeats):
        for name, peer in peers.items():
            runs[name].append(peer.run())
            print(f"{name:13} {spoken(runs[name][-1])}", flush=True)
    return {name: median(found) for name, found in runs.items()}


def median(runs: Sequence[Times]) -> Times:
    """Take the median of each time."""
    prefills = [run.prefill_s for run in runs if run.prefill_s is not None]
    return Times(
        statistics.median(prefills) if prefills else None,
        statistics.median(run.token_s for run in runs),
    )


def spoken(times: Times) -> str:
    """Say what times mean in tokens a second."""
    prefill = "" if times.prefill_s is None else f"prefill {PROMPT_TOKENS / times.prefill_s:7.1f}  "
    return f"{prefill}decode {1 / times.token_s:6.2f} tokens/s"


def facts(args: argparse.Namespace, *, spin: float) -> dict[str, object]:
    """Describe how a result came about."""
    return {
        "command": " ".join(["python", *sys.argv]),
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "peer": SOURCE,
        "threads": args.threads,
        "repeats": args.repeats,
        "spin_ratio": round(spin, 2),
    }


def options() -> argparse.ArgumentParser:
    """Make the options that comparisons share."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cache", type=Path, default=CACHE, help="where llama.cpp is built")
    parser.add_argument("--json", type=Path)
    return parser


def main() -> int:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], parents=[options()])
    parser.add_argument("model", type=Path)
    parser.add_argument("--ours", type=Path, help="a folder for Myna to read")
    parser.add_argument("--requantize", action="store_true", help="make pure Q4_0 of MODEL")
    parser.add_argument("--openvino", action="store_true", help="run OpenVINO GenAI as well")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--min-decode", type=float, default=1.0)
    parser.add_argument("--min-prefill", type=float, default=1.0)
    parser.add_argument("--alone", action="store_true", help="run Myna here, and print its times")
    parser.add_argument("--no-prefill", action="store_true", help="only with --alone")
    args = parser.parse_args()
    if args.alone:
        times = run_alone(args.model, num_threads=args.threads, has_prefill=not args.no_prefill)
        print(json.dumps(vars(times)))
        return 0
    tools = build(args.cache)
    model = requantize(tools, args.model, args.cache) if args.requantize else args.model
    spin = spin_ratio()
    peers: dict[str, Peer] = {
        "myna": Ours(args.ours or model, args.threads),
        "llama.cpp": LlamaCpp(tools, model, args.threads),
    }
    if args.openvino:
        peers["openvino"] = OpenVino(install_openvino(args.cache), model, args.threads)
    medians = measure(peers, repeats=args.repeats)
    ours = medians.pop("myna")
    assert ours.prefill_s is not None
    prefills = {name: times.prefill_s for name, times in medians.items() if times.prefill_s}
    fastest = min(prefills, key=prefills.__getitem__)
    prefill = prefills[fastest] / ours.prefill_s
    decode = medians["llama.cpp"].token_s / ours.token_s
    if args.json is not None:
        found = {name: vars(times) for name, times in {"myna": ours, **medians}.items()}
        ratios = {"decode_ratio": round(decode, 3), "prefill_ratio": round(prefill, 3)}
        report = {**facts(args, spin=spin), "median_s": found, **ratios}
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    print(f"spin ratio {spin:.2f}")
    print(f"decode {decode:.2f}x llama.cpp, prefill {prefill:.2f}x {fastest}")
    return 0 if decode >= args.min_decode and prefill >= args.min_prefill else 1


if __name__ == "__main__":
    sys.exit(main())
