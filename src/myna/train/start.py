"""First weights of a network that is to be trained."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor, nn

from myna.layers.embedding import Embedding
from myna.train.shapes import THINKER_WIDTH, VOCAB_SIZE

RESIDUAL = ("o_proj", "out_proj", "down_proj", "fc2", "linear_fc2", "attn.proj")
EMBEDDING_STD = 0.25
THINKER_SEED = 0


def materialise(network: nn.Module, *, seed: int) -> None:
    """Give a network on the meta device memory and first weights, all in float32 and trainable.

    Matrices are normal with variance 1 / fan-in; those that write to a residual stream are scaled
    by 1 / sqrt(2 L) for the L layers of their stack. Norms are ones, biases zeros.

    Args:
        network: weights are drawn by name, so a part gets the same ones alone and in a whole.
        seed: equal seeds give equal weights.
    """
    network.to_empty(device="cpu")
    depth = {
        name: len(module)
        for name, module in network.named_modules()
        if isinstance(module, nn.ModuleList)
    }
    for name, parameter in network.named_parameters():
        stack = next((n for part, n in depth.items() if name.startswith(f"{part}.")), 1)
        with torch.no_grad():
            parameter.copy_(_draw(name, parameter, depth=stack, seed=seed))
        parameter.requires_grad_(True)


def thinker_embedding() -> Tensor:
    """Draw the thinker's embedding of tokens: (V, D) float32.

    It is never trained, so whoever reads tokens, or aims at them, can be trained before it or
    beside it.
    """
    with torch.device("meta"):
        table = Embedding(VOCAB_SIZE, THINKER_WIDTH)
    # Weights are drawn by name, and this is the table's name in the thinker.
    within = nn.ModuleDict({"decoder": nn.ModuleDict({"embed_tokens": table})})
    materialise(within, seed=THINKER_SEED)
    return table.get_parameter("weight").detach()


def _draw(name: str, like: Tensor, *, depth: int, seed: int) -> Tensor:
    path, _, leaf = name.rpartition(".")
    if leaf == "bias":
        return torch.zeros_like(like)
    if like.dim() == 1:
        return torch.ones_like(like)
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
    drawn: Tensor = torch.empty(like.shape).normal_(generator=generator)
    if "embed" in path.rpartition(".")[2] or "embed" in leaf:
        return drawn.mul_(EMBEDDING_STD)
    is_convolution = like.dim() > 3 or "conv" in name  # else a matrix, or a stack of them
    fan_in = like[0].numel() if is_convolution else like.shape[-1]
    gain = (2 * depth) ** -0.5 if path.endswith(RESIDUAL) or leaf in RESIDUAL else 1.0
    return drawn.mul_(gain * fan_in**-0.5)
