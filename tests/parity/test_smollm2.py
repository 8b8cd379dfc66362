"""SmolLM2-135M-Instruct, the real file, in float32: greedy text equals the reference's.

Needs the file: `MYNA_TEST_SMOLLM2` holds its path.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from closeness import RELATIVE_BAR
from myna.layers.cache import PackedBatch
from myna.layers.decoder import TextDecoder
from myna.layers.dense_cache import DenseCache
from myna.models.registry import blueprint_for_gguf
from myna.weights.gguf import GgufCheckpoint
from myna.weights.load import load_weights

NUM_TOKENS = 64
PROMPTS = (
    "What is the capital of France?",
    "Write a haiku about the sea.",
    "Explain photosynthesis to a child.",
    "List three uses of a paperclip.",
    "Who wrote Don Quixote, and when?",
    "Translate 'good morning' into Italian.",
    "What is 17 + 25?",
    "Tell me a short story about a lighthouse.",
    "Give me a recipe for pancakes.",
    "Why is the sky blue?",
)
CAPITAL = [
    504,
    3575,
    282,
    4649,
    314,
    7042,
    30,
    2,
]  # "The capital of France is Paris.", then the end


def load_reference(file: Path):
    """Load the file into the reference's network, with the reference's own reading of it."""
    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    reference = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    read = load_gguf_checkpoint(str(file), return_tensors=True, model_to_load=reference)
    missing, unexpected = reference.load_state_dict(read["tensors"], strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])  # tied
    reference.tie_weights()
    return reference.eval()


class SeparateCaches:
    """Keep the requests of a packed batch apart, each in a cache of its own."""

    def __init__(self, num_requests: int) -> None:
        self.caches = [DenseCache() for _ in range(num_requests)]
        self.lengths = [1] * num_requests

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Let each request attend within its own rows."""
        rows = (x.split(self.lengths) for x in (q, k, v))
        return torch.cat(
            [c.attend(*own) for c, own in zip(self.caches, zip(*rows, strict=True), strict=True)]
        )


def answer(ours: TextDecoder, prompts: list[list[int]]) -> list[list[int]]:
    """Continue all prompts at once with the likeliest tokens."""
    lengths = [len(prompt) for prompt in prompts]
    caches = [SeparateCaches(len(prompts)) for _ in range(ours.num_layers)]
    for cache in caches:
        cache.lengths = lengths
    positions = torch.cat([torch.arange(length) for length in lengths])
    hidden = ours(PackedBatch(torch.tensor(list(chain(*prompts))), positions), caches)
    last = hidden[torch.tensor(lengths).cumsum(0) - 1]
    for cache in caches:
        cache.lengths = [1] * len(prompts)
    steps = [ours.logits(last).argmax(-1)]
    for step in range(NUM_TOKENS - 1):
        hidden = ours(PackedBatch(steps[-1], torch.tensor(lengths) + step), caches)
        steps.append(ours.logits(hidden).argmax(-1))
    return torch.stack(steps, dim=1).tolist()


def load_ours(file: Path, *, keep_packed: bool) -> TextDecoder:
    """Load the file into our network through the real loader."""
    checkpoint = GgufCheckpoint(file)
    blueprint = blueprint_for_gguf(checkpoint.metadata, checkpoint)
    assert blueprint.costs().parameters == 134_515_008
    ours = blueprint.build()
    load_weights(ours, checkpoint, blueprint.rules, dtype=torch.float32, keep_packed=keep_packed)
    return ours


def test_blocks_kept_packed_give_the_same_logits(smollm2: Path) -> None:
    batch = PackedBatch(torch.arange(100, 120), torch.arange(20))
    found = []
    with torch.inference_mode():
        for keep_packed in (True, False):
            ours = load_ours(smollm2, keep_packed=keep_packed)
            hidden = ours(batch, [DenseCache() for _ in range(ours.num_layers)])
            found.append(ours.logits(hidden))
    rms = float(found[1].pow(2).mean().sqrt())
    assert float((found[0] - found[1]).abs().max()) <= RELATIVE_BAR * max(1.0, rms)


def test_greedy_text_equals_the_reference(smollm2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2.parent, gguf_file=smollm2.name)
    ours = load_ours(smollm2, keep_packed=False)
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=False
        )
        for text in PROMPTS
    ]
    with torch.inference_mode():
        answers = answer(ours, prompts)
        reference = load_reference(smollm2)
        for text, prompt, found in zip(PROMPTS, prompts, answers, strict=True):
            # The reference reads prompt and answer at once. Where its likeliest token after every
            # prefix is the answer's next one, it would have written the same.
            whole = torch.tensor(prompt + found[:-1])
            expected = reference(whole[None]).logits[0, len(prompt) - 1 :].argmax(-1).tolist()
            assert found == expected, text
    assert answers[0][: len(CAPITAL)] == CAPITAL
