"""Rotary positions on three axes."""

from __future__ import annotations

import pytest
import torch
from transformers.models.qwen3_omni_moe import modeling_qwen3_omni_moe as reference_code
from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import Qwen3OmniMoeTextConfig

from myna.layers.rope import RopeConfig, RopeTable
from myna.models.qwen3_omni.rope import MultiAxisRopeTable, axis_of_frequency

THETA = RopeConfig(theta=1e6)


def test_height_and_width_take_turns_with_time_until_they_have_no_more() -> None:
    axes = axis_of_frequency((24, 20, 20)).tolist()
    assert axes == [0, 1, 2] * 20 + [0, 0, 0, 0]


def test_equal_axes_turn_as_one() -> None:
    table = MultiAxisRopeTable(THETA, 16, section=(4, 2, 2))
    one = RopeTable(THETA, 16).at(torch.arange(5), torch.float32)
    for positions in (torch.arange(5), torch.arange(5).expand(3, -1)):
        three = table.at(positions, torch.float32)
        assert torch.equal(three.cos, one.cos)
        assert torch.equal(three.sin, one.sin)


@pytest.mark.parametrize(("head_width", "section"), [(128, (24, 20, 20)), (16, (4, 2, 2))])
def test_fractions_on_three_axes_turn_as_the_references_do(
    head_width: int, section: tuple[int, int, int]
) -> None:
    positions = torch.rand(3, 40, generator=torch.manual_seed(0)) * 1000
    config = Qwen3OmniMoeTextConfig(
        head_dim=head_width,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": list(section)},
    )
    reference = reference_code.Qwen3OmniMoeThinkerTextRotaryEmbedding(config)
    cos, sin = reference(torch.zeros(1), positions[:, None])
    heads = torch.randn(40, 2, head_width)
    expected, _ = reference_code.apply_rotary_pos_emb(heads, heads, cos[0], sin[0])
    table = MultiAxisRopeTable(THETA, head_width, section=section)
    found = table.at(positions, torch.float32).rotate(heads)
    assert torch.allclose(found, expected, atol=1e-5, rtol=0)
    late = table.at(positions.roll(1, 0), torch.float32).rotate(heads)
    assert not torch.allclose(late, expected, atol=1e-2, rtol=0)
