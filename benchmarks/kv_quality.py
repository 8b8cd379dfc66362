"""How much keys and values in 8 bits harm (`--kv-int8`), beside the 16 bits of bfloat16.

    python benchmarks/kv_quality.py MODEL [MODEL ...] [--tokens 2048] [--max-divergence 0.01]

Each model reads one text in float32, once as it is and once with its keys and values rounded as a
cache of each kind stores them. Divergence is the mean Kullback-Leibler divergence of the next token
in nats. The text is `docs/training.md`. The last line is the figure; exits non-zero where 8 bits
harm more than `--max-divergence`. Its figures do not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch
from torch import Tensor

from myna.core.progress import silent
from myna.kernels.cached import PACKED, heads_of, stored
from myna.layers.cache import PackedBatch
from myna.layers.decoder import TextDecoder
from myna.layers.dense_cache import DenseCache
from myna.pipeline.load import LoadOptions, load_model

TEXT = Path(__file__).resolve().parent.parent / "docs/training.md"
KINDS = {"as computed": torch.float32, "bfloat16": torch.bfloat16, "int8": PACKED}


class RoundedCache(DenseCache):
    """Keep what a cache of some type would give back."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `DenseCache`."""
        return super().attend(q, *(heads_of(stored(x, self.dtype), q.dtype) for x in (k, v)))


@torch.inference_mode()
def expected(decoder: TextDecoder, ids: Tensor, dtype: torch.dtype) -> Tensor:
    """Read a text, keys and values rounded: (T, V) log probabilities of what follows."""
    caches = [RoundedCache(dtype) for _ in range(decoder.num_layers)]
    hidden = decoder.forward(PackedBatch(ids, torch.arange(len(ids))), caches)
    return decoder.logits(hidden).log_softmax(-1)


def measure(model: Path, text: str, *, num_tokens: int) -> dict[str, float]:
    """Give the divergence that each kind of cache causes."""
    options = LoadOptions(model_id=model.name, dtype="float32", max_context=num_tokens)
    loaded = load_model(model, options, silent)
    assert isinstance(loaded.decoder, TextDecoder), f"{model} writes no text"
    ids = torch.tensor(loaded.tokenizer.encode(text)[:num_tokens])
    exact: Tensor | None = None
    found: dict[str, float] = {}
    for kind, dtype in KINDS.items():
        logs = expected(loaded.decoder, ids, dtype)[:-1]
        exact = logs if exact is None else exact
        found[kind] = float((exact.exp() * (exact - logs)).sum(-1).mean())
        perplexity = math.exp(-float(logs.gather(1, ids[1:, None]).mean()))
        print(
            f"{model.stem}: keys and values {kind:12} {len(ids)} tokens   perplexity "
            f"{perplexity:.2f}   divergence {found[kind]:.6f}",
            flush=True,
        )
    return found


def main() -> int:
    """Measure the models that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--tokens", type=int, default=2048, help="of the text that are read")
    parser.add_argument("--text", type=Path, default=TEXT)
    parser.add_argument("--max-divergence", type=float, default=0.01, help="of int8, in nats")
    words = parser.parse_args()
    text = words.text.read_text(encoding="utf-8")
    found = {
        model.stem: measure(model, text, num_tokens=words.tokens)["int8"] for model in words.models
    }
    shown = ", ".join(f"{divergence:.5f} for {name}" for name, divergence in found.items())
    print(f"divergence of keys and values in 8 bits: {shown}")
    return int(max(found.values()) > words.max_divergence)


if __name__ == "__main__":
    sys.exit(main())
