"""Llama-shaped text models: SmolLM2, Llama 3.x, DeepSeek-R1-Distill-Llama."""

from myna.models.family import Family
from myna.models.llama.config import Config
from myna.models.llama.costs import costs
from myna.models.llama.model import build
from myna.models.llama.weights import gguf_rules, rules, tensors

FAMILY = Family(
    name="llama",
    model_types=("llama",),
    architectures=("llama",),
    config_from_hf=Config.from_hf,
    config_from_gguf=Config.from_gguf,
    network=build,
    rules=rules,
    gguf_rules=gguf_rules,
    tensors=tensors,
    count=costs,
)
