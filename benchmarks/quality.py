"""How much four bits harm, beside llama.cpp's four bits: perplexity and divergence on one text.

    python benchmarks/quality.py MODEL.gguf [MODEL.gguf ...] [--bits 4] [--max-ratio 1.0]

Each file is taken as exact, whatever it is packed in. llama.cpp makes Q4_0 of it with the options
that it has by default; Myna quantizes it once as it is and once with a text for calibration, both
with tables of 8 bits, as llama.cpp's are. All are then run by Myna, blocks packed as when they are
used, on a text that was not for calibration. llama.cpp is built as for `peers.py`.

The texts are `docs/training.md` and, for calibration, the topics of Python's help. Divergence is
the mean of the Kullback-Leibler divergence of the next token, in nats. The last line is the figure:
calibrated divergence as a share of llama.cpp's, by model; exits non-zero above `--max-ratio`. Its
figures do not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from pydoc_data import topics
from typing import Literal, cast

from peers import CACHE, build

from myna.core.progress import silent
from myna.pipeline.rounding import Damage, damages, measure_columns
from myna.weights.quantize.folder import quantize_folder

ROOT = Path(__file__).resolve().parent.parent
TEXT = ROOT / "docs/training.md"
LLAMA_CPP, PLAIN, CALIBRATED = "llama.cpp Q4_0", "Myna", "Myna, calibrated"


def calibration_text() -> str:
    """Give a long text of prose and code that every Python has."""
    return "\n".join(topics.topics[name] for name in sorted(topics.topics))


def compare(
    model: Path, text: str, *, bits: Literal[4, 6, 8], tools: Path, folder: Path
) -> dict[str, Damage]:
    """Quantize a model in each way, and tell what each does to it."""
    paths = {LLAMA_CPP: folder / "llama.gguf", PLAIN: folder / "plain", CALIBRATED: folder / "ours"}
    tool = [tools / "llama-quantize", "--allow-requantize", model, paths[LLAMA_CPP], "Q4_0"]
    subprocess.run(tool, check=True, capture_output=True)
    quantize_folder(model, paths[PLAIN], bits=bits, progress=silent)
    columns = measure_columns(model, calibration_text())
    quantize_folder(
        model,
        paths[CALIBRATED],
        bits=bits,
        progress=silent,
        importance=columns.importance,
        moments=columns.moments,
    )
    del columns
    found = dict(zip(paths, damages(model, list(paths.values()), text), strict=True))
    for name, harm in found.items():
        print(
            f"{model.stem}: {name:18} {size_bytes(paths[name]) / 1e6:7.1f} MB   perplexity "
            f"{harm.perplexity_before:.2f} -> {harm.perplexity_after:.2f}   divergence "
            f"{harm.divergence:.4f}",
            flush=True,
        )
    return found


def size_bytes(path: Path) -> int:
    """Count the bytes of the weights."""
    files = path.glob("*.safetensors") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def main() -> int:
    """Compare the models that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.gguf")
    parser.add_argument("--bits", type=int, choices=(4, 6, 8), default=4, help="of ours")
    parser.add_argument("--text", type=Path, default=TEXT, help="to be read by all")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where llama.cpp is built")
    parser.add_argument("--max-ratio", type=float, default=1.0, help="to llama.cpp's divergence")
    words = parser.parse_args()
    tools, text = build(words.cache), words.text.read_text(encoding="utf-8")
    ratios = {}
    for model in words.models:
        with tempfile.TemporaryDirectory(dir=words.cache) as folder:
            bits = cast("Literal[4, 6, 8]", words.bits)
            found = compare(model, text, bits=bits, tools=tools, folder=Path(folder))
        ratios[model.stem] = found[CALIBRATED].divergence / found[LLAMA_CPP].divergence
    figure = ", ".join(f"{ratio:.2f}x for {name}" for name, ratio in ratios.items())
    print(f"divergence beside llama.cpp's Q4_0: {figure}")
    return int(max(ratios.values()) > words.max_ratio)


if __name__ == "__main__":
    sys.exit(main())
