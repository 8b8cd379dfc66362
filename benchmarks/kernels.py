"""The compiled kernels beside torch's own operations: same inputs, one process, best of several.

    python benchmarks/kernels.py [--threads 2] [--repeats 7] [--json OUT]

Inputs are too many to stay in the cache, as in a model. Run it on a machine that does nothing else.
Rates are GB/s of weights or cached positions, or weights/ns where those are packed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.nn import functional as F

from myna.kernels import blocks, fused
from myna.kernels.attention import paged_attention
from myna.kernels.linear import linear_bf16
from myna.kernels.native import native

WORKING_SET_BYTES = 400 << 20
# Rows and columns of weights: N, K.
LINEAR_SHAPES = ((896, 4864), (4864, 896), (5120, 5120), (27648, 5120), (151936, 896))
# B, G, R, K, S: R query heads share a key head, S positions are cached.
ATTENTION_SHAPES = ((1, 2, 7, 64, 512), (16, 2, 7, 64, 512), (1, 8, 5, 128, 4096))
PACKED_SHAPE = (4864, 2048)
BLOCK_TOKENS = 16

Call = Callable[[int], object]
Result = dict[str, str | float]


def best_s(call: Call, *, copies: int, repeats: int) -> float:
    """Time `call(copy)` for every copy of its inputs; return the best mean of a round."""
    rounds = []
    for _ in range(repeats):
        start = time.perf_counter()
        for copy in range(copies):
            call(copy)
        rounds.append((time.perf_counter() - start) / copies)
    return min(rounds)


def compare(
    name: str, case: str, *, work: float, ours: Call, theirs: Call, copies: int, repeats: int
) -> Result:
    """Time two ways of doing the same, print their rates, and return them."""
    rates = [1e-9 * work / best_s(f, copies=copies, repeats=repeats) for f in (ours, theirs)]
    ratio = rates[0] / rates[1]
    print(
        f"{name:16} {case:26} myna {rates[0]:6.1f}  torch {rates[1]:6.1f}  {ratio:5.2f}x",
        flush=True,
    )
    return {"kernel": name, "case": case, "myna": rates[0], "torch": rates[1], "ratio": ratio}


def linear_case(n: int, k: int, num_rows: int, repeats: int) -> Result:
    """Measure the bfloat16 product."""
    copies = max(1, WORKING_SET_BYTES // (2 * n * k))
    weights = [torch.randn(n, k).bfloat16() for _ in range(copies)]
    x = torch.randn(num_rows, k).bfloat16()
    return compare(
        "linear_bf16",
        f"{n}x{k} M={num_rows}",
        work=2 * n * k,
        ours=lambda i: linear_bf16(x, weights[i]),
        theirs=lambda i: F.linear(x, weights[i]),
        copies=copies,
        repeats=repeats,
    )


def attention_case(b: int, g: int, r: int, k: int, s: int, repeats: int) -> Result:
    """Measure decode attention; torch's keys and values lie in a row and need no gathering."""
    num_bytes = 4 * b * g * k * s
    copies = max(1, WORKING_SET_BYTES // num_bytes)
    keys = torch.randn(copies, b * s // BLOCK_TOKENS, BLOCK_TOKENS, g, k).bfloat16()
    values = torch.randn_like(keys)
    q = torch.randn(b, g * r, k).bfloat16()
    tables = torch.arange(b * s // BLOCK_TOKENS, dtype=torch.int32).view(b, -1)
    lengths = torch.full((b,), s, dtype=torch.int32)
    rows_k, rows_v = (x.view(copies, b, s, g, k).transpose(2, 3) for x in (keys, values))
    rows_q = q.view(b, g, r, k)
    return compare(
        "paged_attention",
        f"B={b} G={g} R={r} K={k} S={s}",
        work=num_bytes,
        ours=lambda i: paged_attention(
            q, keys[i], values[i], block_tables=tables, lengths=lengths, scale=k**-0.5
        ),
        theirs=lambda i: F.scaled_dot_product_attention(rows_q, rows_k[i], rows_v[i]),
        copies=copies,
        repeats=repeats,
    )


def packed_case(kind: str, num_rows: int, repeats: int) -> Result:
    """Measure a product with packed blocks; torch decodes them by the twin and multiplies."""
    n, k = PACKED_SHAPE
    row_bytes = blocks.FORMATS[kind].row_bytes(k)
    copies = max(1, WORKING_SET_BYTES // (n * row_bytes) // 4)
    data = torch.zeros(copies, n, row_bytes, dtype=torch.uint8)
    x = torch.randn(num_rows, k)
    return compare(
        "packed_linear",
        f"{kind} {n}x{k} M={num_rows}",
        work=n * k,
        ours=lambda i: fused.packed_linear(x, kind, data[i]),
        theirs=lambda i: F.linear(x, blocks.decode_rows(kind, data[i])),
        copies=copies,
        repeats=min(repeats, 3),
    )


def results(repeats: int) -> Iterator[Result]:
    """Measure everything."""
    for (n, k), num_rows in itertools.product(LINEAR_SHAPES, (1, 4, 8)):
        yield linear_case(n, k, num_rows, repeats)
    for shape in ATTENTION_SHAPES:
        yield attention_case(*shape, repeats)
    for kind, num_rows in itertools.product(fused.FORMATS, (1, 8)):
        yield packed_case(kind, num_rows, repeats)


def main() -> None:
    """Measure, print, and write the figures with what they were measured on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    kernels = native()
    if kernels is None:
        sys.exit("the kernels are not compiled; hint: install a C++ compiler and myna again")
    print(f"instruction set {kernels.name}, {arguments.threads} threads")
    with torch.inference_mode():
        measured = list(results(arguments.repeats))
    if arguments.json:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
        facts = {
            "command": " ".join(["python", *sys.argv]),
            "commit": commit.stdout.strip(),
            "machine": platform.processor() or platform.machine(),
            "instruction_set": kernels.name,
            "threads": arguments.threads,
            "repeats": arguments.repeats,
            "torch": torch.__version__,
            "results": measured,
        }
        arguments.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
