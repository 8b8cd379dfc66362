"""Costs against published totals, and against arithmetic by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from myna.models.costs import Costs
from myna.models.registry import blueprint_for_folder

QWQ = json.loads((Path(__file__).parent / "layouts" / "qwq-32b.config.json").read_text())


def config(model_type: str, sizes: tuple[int, ...], **values: object) -> dict[str, object]:
    keys = (
        "hidden_size",
        "num_hidden_layers",
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
        "vocab_size",
    )
    return {"model_type": model_type, **dict(zip(keys, sizes, strict=True)), **values}


def costs_of(values: dict[str, object]) -> Costs:
    head = [] if values.get("tie_word_embeddings") else ["lm_head.weight"]
    return blueprint_for_folder(values, head).costs()


QWEN3_30B = config(
    "qwen3_moe",
    (2048, 48, 6144, 32, 4, 151936),
    head_dim=128,
    num_experts=128,
    num_experts_per_tok=8,
    moe_intermediate_size=768,
)
RELEASED = {
    "QwQ-32B": (QWQ, 32_763_876_352),
    "R1-Distill-Qwen-1.5B": (
        config("qwen2", (1536, 28, 8960, 12, 2, 151936)),
        1_777_088_000,
    ),
    "R1-Distill-Qwen-7B": (config("qwen2", (3584, 28, 18944, 28, 4, 152064)), 7_615_616_512),
    "R1-Distill-Qwen-14B": (config("qwen2", (5120, 48, 13824, 40, 8, 152064)), 14_770_033_664),
    "R1-Distill-Qwen-32B": (config("qwen2", (5120, 64, 27648, 40, 8, 152064)), 32_763_876_352),
    "R1-Distill-Llama-8B": (config("llama", (4096, 32, 14336, 32, 8, 128256)), 8_030_261_248),
    "R1-Distill-Llama-70B": (config("llama", (8192, 80, 28672, 64, 8, 128256)), 70_553_706_496),
    "SmolLM2-135M": (
        config("llama", (576, 30, 1536, 9, 3, 49152), tie_word_embeddings=True),
        134_515_008,
    ),
    "Qwen3-30B-A3B": (QWEN3_30B, 30_532_122_624),
}


@pytest.mark.parametrize("name", RELEASED)
def test_parameters_equal_the_published_total(name: str) -> None:
    values, expected = RELEASED[name]
    assert costs_of(values).parameters == expected


def test_a_token_of_qwq_reads_all_but_the_embedding() -> None:
    costs = costs_of(QWQ)
    assert costs.parameters_read == 32_763_876_352 - 152064 * 5120
    assert costs.bytes_read(2) == pytest.approx(63.97e9, rel=1e-4)
    assert costs.flops == pytest.approx(64.0e9, rel=1e-3)


def test_a_position_of_qwq_costs_cache_and_attention() -> None:
    costs = costs_of(QWQ)
    assert costs.kv_bytes(2) == 262_144
    assert costs.flops_per_position == 4 * 64 * 5120


def test_a_tied_embedding_is_read_whole() -> None:
    values, parameters = RELEASED["SmolLM2-135M"]
    assert costs_of(values).parameters_read == parameters


def test_a_token_reads_only_the_experts_it_meets() -> None:
    costs = costs_of(QWEN3_30B)
    expert = 3 * 2048 * 768
    unread = 48 * (128 - 8) * expert + 151936 * 2048
    assert costs.parameters_read == costs.parameters - unread
    assert costs.parameters_read == pytest.approx(3.0e9, rel=0.05)
