"""Low-rank changes beside the matrices equal changed matrices."""

from __future__ import annotations

import pytest
import torch

from myna.core.errors import BadCheckpoint
from myna.kernels.packed import PackedWeight, dequantize
from myna.layers.linear import Linear
from myna.models.qwen_image_edit.lora import ChangedLinear, change
from myna.models.qwen_image_edit.weights import TRANSFORMER_RULES, EditTransformer
from myna.weights.lora import LowRank
from myna.weights.quantize.encode import encode_rows

EXACT = 1e-5
GRIDS = [(2, 3), (2, 2)]


def low_rank(rows: int, columns: int, seed: int) -> LowRank:
    generator = torch.Generator().manual_seed(seed)
    return LowRank(
        torch.randn(2, columns, generator=generator) * columns**-0.5,
        torch.randn(rows, 2, generator=generator),
    )


def changes() -> dict[str, LowRank]:
    return {
        "transformer_blocks.0.attn.to_k": low_rank(32, 32, 0),
        "transformer_blocks.1.attn.add_v_proj": low_rank(32, 32, 1),
        "transformer_blocks.1.img_mlp.net.0.proj": low_rank(128, 32, 2),
        "transformer_blocks.2.img_mod.1": low_rank(192, 32, 3),
        "img_in": low_rank(32, 64, 4),
    }


def run(network: EditTransformer) -> torch.Tensor:
    generator = torch.Generator().manual_seed(9)
    latents, pictures, text = (
        torch.randn(*shape, generator=generator) for shape in ((6, 64), (4, 64), (5, 32))
    )
    with torch.inference_mode():
        (step,) = network.modulator([0.7])
        made = network.prepare(latents, pictures, text, GRIDS)
        return network([made], step, num_latents=6)[0]


def test_changes_equal_changed_matrices(transformer: EditTransformer) -> None:
    before = run(transformer)
    block0, block1, _ = transformer.transformer_blocks
    found = changes()
    merged = {name: found[name].up @ found[name].down for name in found}
    kept = {name: value.clone() for name, value in transformer.state_dict().items()}
    block0.attn.to_qkv.weight.data[32:64] += merged["transformer_blocks.0.attn.to_k"]
    block1.attn.add_qkv_proj.weight.data[64:] += merged["transformer_blocks.1.attn.add_v_proj"]
    block1.img_mlp.fc1.weight.data += merged["transformer_blocks.1.img_mlp.net.0.proj"]
    transformer.modulator.blocks[2].img_mod.weight.data += merged["transformer_blocks.2.img_mod.1"]
    transformer.img_in.weight.data += merged["img_in"]
    expected = run(transformer)
    transformer.load_state_dict(kept)
    change(transformer, found, TRANSFORMER_RULES)
    assert float((expected - before).abs().max()) > 0.1
    assert torch.allclose(run(transformer), expected, rtol=0, atol=EXACT)


def test_packed_matrices_can_be_changed() -> None:
    matrix = torch.randn(6, 32, generator=torch.Generator().manual_seed(0))
    packed = PackedWeight("Q8_0", encode_rows("Q8_0", matrix), None, (6, 32))
    linear = Linear(32, 6)
    linear.set_packed("weight", packed)
    changed = ChangedLinear(linear)
    update = low_rank(3, 32, 1)
    changed.changes.append((2, update))
    expected = dequantize(packed, torch.float32)
    expected[2:5] += update.up @ update.down
    x = torch.randn(4, 32, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(changed(x), x @ expected.T, rtol=0, atol=1e-4)
    assert changed.bias is None


def test_a_change_of_another_size_is_refused(transformer: EditTransformer) -> None:
    with pytest.raises(BadCheckpoint, match=r"is of \(31, 64\), but the matrix is of \(32, 64\)"):
        change(transformer, {"img_in": low_rank(31, 64, 0)}, TRANSFORMER_RULES)
