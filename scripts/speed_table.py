"""Write the README's table of speed from what the benchmarks measured last.

python scripts/speed_table.py [--write]

Each row is one file of `benchmarks/results`. Without `--write` the table is printed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks/results"
README = ROOT / "README.md"
BEGIN, END = "<!-- speed: scripts/speed_table.py -->\n", "<!-- end of speed -->\n"

Result = Mapping[str, Any]  # Any: each benchmark's own.


@dataclass(frozen=True)
class Row:
    """Say what was measured, and how its result reads."""

    file: str
    what: str
    bar: str  # the name that `benchmarks/bars.py` has for it
    figure: Callable[[Result], str]


def _peers(found: Result) -> str:
    median_s = found["median_s"]
    peer = min(("llama.cpp", "openvino"), key=lambda name: median_s[name]["prefill_s"])
    names = {"llama.cpp": "llama.cpp", "openvino": "OpenVINO"}
    return (
        f"a token {found['decode_ratio']:.2f}x llama.cpp's speed, "
        f"a prompt of 512 {found['prefill_ratio']:.2f}x {names[peer]}'s"
    )


def _big_peers(found: Result) -> str:
    ratios = found["ratios"]
    parts = [f"a token {ratios['decode']:.2f}x llama.cpp's speed"]
    if "prefill" in ratios:
        parts.append(f"a prompt of 512 {ratios['prefill']:.2f}x")
    return ", ".join(parts)


def _transformers(found: Result) -> str:
    return (
        f"a token {found['decode_ratio']:.2f}x transformers' speed, "
        f"a prompt of 512 {found['prefill_ratio']:.2f}x"
    )


def _omni(found: Result) -> str:
    ratio = found["ratio"]
    return (
        f"a token {ratio['decode']:.2f}x transformers' speed, a prompt {ratio['prefill']:.2f}x, "
        f"a frame of speech {ratio['frame']:.2f}x"
    )


def _speech(found: Result) -> str:
    return (
        f"{found['factor']:.2f} s for a second of speech, first sound {found['first_audio_s']:.2f} "
        f"s after the prompt; of two voices at once each costs {found['cost_per_voice']:.2f}x"
    )


def _whole(found: Result) -> str:
    first, second = found["turn_1"], found["turn_2"]
    return (
        f"{found['peak_bytes'] / 2**30:.1f} GiB of memory at most, {second['major_faults']} major "
        f"faults in a second turn; ready in {found['ready_s']:.0f} s, first words after "
        f"{first['first_text_s']:.0f} and {second['first_text_s']:.0f} s"
    )


def _edit(found: Result) -> str:
    return f"{found['step_s']:.0f} s a step, {found['most_memory_gib']:.1f} GiB"


def _overload(found: Result) -> str:
    return (
        f"{found['goodput']:.0%} of capacity answered, refusals within "
        f"{1000 * found['refusal_p99_at_server_s']:.0f} ms, first token "
        f"{found['ttft_ratio']:.2f}x as late"
    )


ROWS = (
    Row("peers", "Qwen2.5-Coder 0.5B, one Q4_0 file", "peers", _peers),
    Row("moe_peers", "30B-A3B shape, random, each in its four bits", "moe-peers", _big_peers),
    Row("qwq_peers", "QwQ-32B shape, random, each in its four bits", "qwq-peers", _big_peers),
    Row("speed", "the 0.5B in bfloat16", "speed", _transformers),
    Row("omni_speed", "Qwen3-Omni, two layers in bfloat16", "omni-speed", _omni),
    Row("speech", "Qwen3-Omni speaks, whole, four bits, random weights", "speech", _speech),
    Row("whole_omni", "Qwen3-Omni served from disk: picture and sound in", "whole-omni", _whole),
    Row("image_edit", "Qwen-Image-Edit at 1024x1024, four bits, random", "edit-full", _edit),
    Row("overload", "nano offered ten times what it can do", "overload", _overload),
)


def table() -> str:
    """Write the table, with the lines that enclose it."""
    lines = ["| what, on two cores of a Zen 5 | measured | bar |", "|---|---|---|"]
    for row in ROWS:
        found = json.loads((RESULTS / f"{row.file}.json").read_text())
        lines.append(f"| {row.what} | {row.figure(found)} | `{row.bar}` |")
    return BEGIN + "\n".join(lines) + "\n" + END


def with_table(text: str) -> str:
    """Replace the table in the README's text."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, f"{README.name} has no place for the table"
    return before + table() + after


def main() -> int:
    """Write it."""
    if "--write" in sys.argv[1:]:
        README.write_text(with_table(README.read_text()))
    else:
        print(table(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
