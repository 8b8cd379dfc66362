"""Qwen2 and Qwen2.5 text models, QwQ, DeepSeek-R1-Distill-Qwen: dense, q, k and v with biases."""

from myna.models.family import Family
from myna.models.qwen2.config import Config
from myna.models.qwen2.costs import costs
from myna.models.qwen2.model import build
from myna.models.qwen2.weights import gguf_rules, rules, tensors

FAMILY = Family(
    name="qwen2",
    model_types=("qwen2",),
    architectures=("qwen2",),
    config_from_hf=Config.from_hf,
    config_from_gguf=Config.from_gguf,
    network=build,
    rules=rules,
    gguf_rules=gguf_rules,
    tensors=tensors,
    count=costs,
)
