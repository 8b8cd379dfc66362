"""Text on a GPU: the tokens of the processor, steps that are played equal to steps that are run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from myna.core.progress import silent
from myna.core.requests import RequestId
from myna.engine.engine import Engine
from myna.engine.sequence import EngineRequest, Sampling
from myna.kernels.attention import paged_attention_gathered, paged_attention_twin
from myna.layers.moe import Experts, grouped
from myna.models.tiny import write_tiny_checkpoint
from myna.models.tiny_omni import write_tiny_omni
from myna.pipeline.load import LoadedModel, LoadOptions, load_model

FAMILIES = ["qwen2", "qwen3", "qwen3_moe", "llama", "omni"]
NUM_TOKENS = 24
BF16_ATOL = 2**-5  # sums of a few terms of order 1, each rounded to bfloat16


def load(folder: Path, family: str, device: torch.device, dtype: str) -> LoadedModel:
    """Write a tiny model, equal each time, and load it."""
    if not folder.exists():
        write = write_tiny_omni if family == "omni" else None
        path = write(folder) if write else write_tiny_checkpoint(folder, family)
        assert path == folder
    options = LoadOptions(
        model_id=family,
        device="cuda" if device.type == "cuda" else "cpu",
        dtype="bfloat16" if dtype == "bfloat16" else "float32",
        max_context=256,
        kv_memory_bytes=2**22,
    )
    return load_model(folder, options, silent)


def answers(model: LoadedModel, *, plays: bool = True, **changes: object) -> list[list[int]]:
    """Continue three prompts of unequal lengths at once, greedily."""
    engine = Engine(model.decoder, replace(model.engine_config, **changes))
    if not plays:
        engine._runner._graphs = None
    found: dict[str, list[int]] = {}
    for name, length in (("a", 40), ("b", 3), ("c", 17)):
        sampling = Sampling(temperature=0.0, max_tokens=NUM_TOKENS, ignore_eos=True)
        token_ids = tuple(7 * i % 200 + 1 for i in range(length))
        engine.add(EngineRequest(id=RequestId(name), token_ids=token_ids, sampling=sampling))
        found[name] = []
    while engine.has_work():
        for output in engine.step():
            assert output.error is None, output.error
            if output.token is not None:
                found[output.request_id].append(output.token.token_id)
    return list(found.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_equal_those_of_the_processor(
    family: str, device: torch.device, tmp_path: Path
) -> None:
    folder = tmp_path / family
    here = answers(load(folder, family, torch.device("cpu"), "float32"))
    there = load(folder, family, device, "float32")
    assert there.decoder.device == device
    assert answers(there, max_step_tokens=16) == here


@pytest.mark.parametrize("family", FAMILIES)
def test_played_steps_give_the_tokens_of_run_ones(
    family: str, gpu: torch.device, tmp_path: Path
) -> None:
    model = load(tmp_path / family, family, gpu, "bfloat16")
    assert answers(model) == answers(model, plays=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_over_blocks_equals_the_processors(
    device: torch.device, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([0, 1, 17, 48], dtype=torch.int32)
    tables = torch.arange(12).view(4, 3).flip(1).int()
    q = torch.randn(4, 8, 64, generator=generator)
    keys, values = (torch.randn(12, 16, 2, 64, generator=generator) for _ in range(2))
    expected = paged_attention_twin(
        q, keys, values, block_tables=tables, lengths=lengths, scale=0.125
    )
    found = paged_attention_gathered(
        *(x.to(device, dtype) for x in (q, keys, values)),
        block_tables=tables.to(device),
        lengths=lengths.to(device),
        scale=0.125,
    )
    atol = BF16_ATOL if dtype is torch.bfloat16 else 1e-5
    torch.testing.assert_close(found.cpu().float(), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("num_tokens", [1, 8, 200])
def test_experts_as_two_products_equal_one_after_another(
    device: torch.device, num_tokens: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    experts = Experts(16, 64, 32)
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=generator)
    x = torch.randn(num_tokens, 64, generator=generator)
    shares, chosen = torch.rand(num_tokens, 16, generator=generator).softmax(-1).topk(4)
    weights = (x, chosen, shares, experts.gate_up_proj, experts.down_proj)
    x_there, chosen_there, shares_there, gate_up, down = (
        part.to(device, torch.bfloat16) if part.is_floating_point() else part.to(device)
        for part in weights
    )
    found = grouped(x_there, chosen_there, shares_there, gate_up=gate_up, down=down)
    torch.testing.assert_close(
        found.cpu().float(), experts(x, chosen, shares), rtol=2**-5, atol=BF16_ATOL
    )
