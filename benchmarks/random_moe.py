"""Write a random Qwen3-30B-A3B of few layers, at true widths, for measurements.

python benchmarks/random_moe.py OUT [--layers 6]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from myna.models.tiny import write_checkpoint, write_tiny_checkpoint

CONFIG = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "attention_bias": False,
    "decoder_sparse_step": 1,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "max_position_embeddings": 40960,
    "mlp_only_layers": [],
    "moe_intermediate_size": 768,
    "norm_topk_prob": True,
    "num_attention_heads": 32,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 151936,
}


def main() -> int:
    """Write it, with the tokenizer of a tiny one beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, default=6)
    args = parser.parse_args()
    write_tiny_checkpoint(args.out, "qwen3_moe", seed=0)
    for path in [*args.out.glob("*.safetensors"), args.out / "model.safetensors.index.json"]:
        path.unlink()
    write_checkpoint(args.out, {**CONFIG, "num_hidden_layers": args.layers}, seed=0)
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
