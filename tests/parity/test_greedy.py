"""Greedy answers equal the reference's own, token for token, over many shapes of each family."""

from __future__ import annotations

import pytest
import torch

NUM_SEEDS = 20
NUM_TOKENS = 64
HEADS = ((4, 4), (4, 2), (4, 1), (6, 3), (8, 2))
MOE = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 24}


def shape_of(model_type: str, seed: int) -> dict[str, object]:
    """Vary heads, depth, width and the head's tie with the seed."""
    num_heads, num_kv_heads = HEADS[seed % len(HEADS)]
    values: dict[str, object] = {
        "num_attention_heads": num_heads,
        "num_key_value_heads": num_kv_heads,
        "hidden_size": num_heads * 8,
        "num_hidden_layers": 1 + seed % 3,
        "tie_word_embeddings": seed % 2 == 0,
    }
    if model_type.startswith("qwen3"):
        values["head_dim"] = 16
    if model_type == "qwen3_moe":
        values |= {**MOE, "norm_topk_prob": seed % 4 < 2}
    return values


@pytest.mark.parametrize("model_type", ["qwen2", "llama", "qwen3", "qwen3_moe"])
def test_greedy_answers_are_the_same_tokens(parity, model_type: str) -> None:
    varied = 0
    for seed in range(NUM_SEEDS):
        pair = parity.pair(model_type, seed=seed, **shape_of(model_type, seed))
        prompt = torch.randint(96, (5,), generator=torch.manual_seed(seed))
        with torch.inference_mode():
            expected = pair.reference.generate(
                prompt[None],
                attention_mask=torch.ones(1, 5, dtype=torch.int64),
                max_new_tokens=NUM_TOKENS,
                do_sample=False,
            )[0, 5:].tolist()
        assert parity.greedy(pair.ours, prompt, NUM_TOKENS) == expected, f"seed {seed}"
        assert len(expected) == NUM_TOKENS
        varied += len(set(expected)) > 4
        for file in pair.folder.iterdir():
            file.unlink()
    assert varied >= NUM_SEEDS // 2  # answers that only repeat themselves would prove little
