"""A large random model of 4-bit blocks beside llama.cpp, in turns, each in its own four bits.

    python benchmarks/big_peers.py qwen3-30b-a3b --min-decode 1.3 --min-prefill 2.5
    python benchmarks/big_peers.py qwq-32b --layers 8 16 --min-decode 1.0

llama.cpp reads a GGUF file of Q4_0, Myna a folder of the blocks that `myna quantize` writes:
matrices of the same shapes in blocks of 32, tables included, whose scales take a byte instead of
two. With `--same-file` Myna reads the GGUF file too. Files are written to `--scratch` (34 GB for
all layers of qwen3-30b-a3b) and deleted afterwards. Both engines copy blocks into memory when they
load them; so only one of them is in memory at a time, each run a process of its own that warms up
first. Given two depths, each is measured: layers are alike, so the time of all of them follows from
a straight line. Without `--min-prefill` no prompt is read. Prints medians; the last line is the
figure. For a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from peers import LlamaCpp, Ours, Times, build, facts, measure, options, spoken
from random_gguf import Shape, shape_of, write_random_gguf
from random_model import write_random_model
from released import released
from speed import spin_ratio

from myna.core.errors import MynaError
from myna.weights.quantize.scheme import Recipe

RECIPE = Recipe(bits=4, table_bits=4)  # as in the file beside it


def stretch(depths: dict[int, Times], num_layers: int) -> Times:
    """Give the times of all layers from those of one or two depths."""
    if len(depths) == 1:
        (times,) = depths.values()
        return times
    (few, short), (many, long) = sorted(depths.items())
    share = (num_layers - few) / (many - few)

    def line(low: float | None, high: float | None) -> float | None:
        return None if low is None or high is None else low + (high - low) * share

    token_s = line(short.token_s, long.token_s)
    assert token_s is not None
    return Times(line(short.prefill_s, long.prefill_s), token_s)


def ratios(ours: Times, theirs: Times) -> dict[str, float]:
    """Say how many times faster we are."""
    found = {"decode": theirs.token_s / ours.token_s}
    if ours.prefill_s is not None and theirs.prefill_s is not None:
        found["prefill"] = theirs.prefill_s / ours.prefill_s
    return found


def told(found: dict[str, float]) -> str:
    """Write ratios down."""
    return " ".join(f"{name} {value:.2f}x" for name, value in found.items())


def prepared(
    args: argparse.Namespace, shape: Shape, *, scratch: Path, place: int, count: int
) -> tuple[Path, Path]:
    """Give the GGUF file of so many layers, and what Myna reads, both written if they must be."""
    file, folder = scratch / f"{args.model}-{count}.gguf", scratch / f"{args.model}-{count}"
    if args.files is not None:
        file = args.files[place]
    else:
        write_random_gguf(shape, file, num_layers=count)
    if args.same_file:
        return file, file
    if args.folders is not None:
        return file, args.folders[place]
    write_random_model(released(args.model, num_layers=count), folder, RECIPE)
    return file, folder


def main() -> int:
    """Write, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], parents=[options()])
    parser.add_argument("model", help="what random_gguf.py can write")
    parser.add_argument("--layers", type=int, nargs="+", help="one or two depths; all if left out")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="where there is room for the files")
    parser.add_argument("--files", type=Path, nargs="+", help="what random_gguf.py wrote, in turn")
    parser.add_argument(
        "--folders", type=Path, nargs="+", help="what random_model.py wrote with --table-bits 4"
    )
    parser.add_argument("--same-file", action="store_true", help="have Myna read the GGUF file")
    parser.add_argument("--min-decode", type=float, default=1.0)
    parser.add_argument("--min-prefill", type=float)
    args = parser.parse_args()
    try:
        shape = shape_of(args.model)
    except MynaError as error:
        parser.error(str(error))
    counts = args.layers or [shape.num_layers]
    if len(set(counts)) != len(counts) or len(counts) > 2:
        parser.error("--layers takes one depth or two different ones")
    for given in (args.files, args.folders):
        if given is not None and len(given) != len(counts):
            parser.error("--files and --folders take one for each depth of --layers")
    tools, spin = build(args.cache), spin_ratio()
    depths: dict[str, dict[int, Times]] = {"myna": {}, "llama.cpp": {}}
    scratch = Path(tempfile.mkdtemp(prefix="big-peers-", dir=args.scratch))
    try:
        for place, count in enumerate(counts):
            file, ours = prepared(args, shape, scratch=scratch, place=place, count=count)
            has_prefill = args.min_prefill is not None
            peers = {
                "myna": Ours(ours, args.threads, has_prefill),
                "llama.cpp": LlamaCpp(tools, file, args.threads, has_prefill),
            }
            print(f"{count} of {shape.num_layers} layers", flush=True)
            for name, times in measure(peers, repeats=args.repeats).items():
                depths[name][count] = times
                print(f"{name:13} {spoken(times)}, median")
            print(told(ratios(depths["myna"][count], depths["llama.cpp"][count])), flush=True)
    finally:
        shutil.rmtree(scratch)
    whole = {name: stretch(found, shape.num_layers) for name, found in depths.items()}
    found = ratios(whole["myna"], whole["llama.cpp"])
    if args.json is not None:
        measured = {
            name: {str(count): vars(times) for count, times in some.items()}
            for name, some in depths.items()
        }
        report = {**facts(args, spin=spin), "median_s": measured, "ratios": found}
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    how = "" if counts == [shape.num_layers] else f", from {' and '.join(map(str, counts))}"
    print(f"spin ratio {spin:.2f}")
    print(f"{args.model} of {shape.num_layers} layers{how}: {told(found)} llama.cpp")
    bars = {"decode": args.min_decode, "prefill": args.min_prefill or 0.0}
    return 0 if all(value >= bars[name] for name, value in found.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
