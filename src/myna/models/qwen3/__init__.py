"""Qwen3 text models, dense and mixture-of-experts, with a norm on each query and key head."""

from myna.models.family import Family
from myna.models.qwen3.config import Config
from myna.models.qwen3.costs import costs
from myna.models.qwen3.model import build
from myna.models.qwen3.weights import gguf_rules, rules, tensors

FAMILY = Family(
    name="qwen3",
    model_types=("qwen3", "qwen3_moe"),
    architectures=("qwen3", "qwen3moe"),
    config_from_hf=Config.from_hf,
    config_from_gguf=Config.from_gguf,
    network=build,
    rules=rules,
    gguf_rules=gguf_rules,
    tensors=tensors,
    count=costs,
)
