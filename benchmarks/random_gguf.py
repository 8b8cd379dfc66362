"""Write a random model as a GGUF of 4-bit blocks, at its true shape, for measurements.

    python benchmarks/random_gguf.py SHAPE OUT.gguf [--layers N] [--folder OUT]

SHAPE is `qwq-32b` (18.5 GB with all 64 layers) or `30b-a3b`, the omni thinker's backbone (17.2 GB
with all 48). The tokenizer is a tiny one with the released number of rows. `--folder` writes the
same model in the blocks of `myna quantize` as well, which are a twentieth smaller.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
from random_weights import RandomWeights
from torch import Tensor
from write_packed import write_weights

from myna.weights.checkpoint import TensorInfo
from myna.weights.gguf_folder import METADATA, write_metadata

BLOCK_VALUES, BLOCK_BYTES = 32, 18
KIND = "Q4_F8_R16"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Describe a text model; one without experts has `num_experts` 0.

    Attributes:
        architecture: as GGUF names it.
        hidden_width: of the feed-forward network, or of each expert.
    """

    architecture: str
    num_layers: int
    width: int
    hidden_width: int
    num_heads: int
    num_kv_heads: int
    vocab_size: int
    eps: float
    head_width: int = 128
    num_experts: int = 0
    num_chosen: int = 0


SHAPES: Mapping[str, Shape] = {
    "qwq-32b": Shape(
        architecture="qwen2",
        num_layers=64,
        width=5120,
        hidden_width=27648,
        num_heads=40,
        num_kv_heads=8,
        vocab_size=152064,
        eps=1e-5,
    ),
    "30b-a3b": Shape(
        architecture="qwen3moe",
        num_layers=48,
        width=2048,
        hidden_width=768,
        num_heads=32,
        num_kv_heads=4,
        vocab_size=151936,
        eps=1e-6,
        num_experts=128,
        num_chosen=8,
    ),
}


def tensors(shape: Shape, num_layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name every tensor and its axes, rows before columns."""
    yield "token_embd.weight", (shape.vocab_size, shape.width)
    for layer in range(num_layers):
        for name, axes in (*attention(shape), *feed_forward(shape)):
            yield f"blk.{layer}.{name}", axes
    yield "output_norm.weight", (shape.width,)
    yield "output.weight", (shape.vocab_size, shape.width)


def attention(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name what attends in a layer."""
    q_width, kv_width = (
        count * shape.head_width for count in (shape.num_heads, shape.num_kv_heads)
    )
    yield "attn_norm.weight", (shape.width,)
    for name, rows in (("q", q_width), ("k", kv_width), ("v", kv_width)):
        yield f"attn_{name}.weight", (rows, shape.width)
        if shape.architecture == "qwen2":
            yield f"attn_{name}.bias", (rows,)
        elif name != "v":
            yield f"attn_{name}_norm.weight", (shape.head_width,)
    yield "attn_output.weight", (shape.width, q_width)


def feed_forward(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name what follows attention in a layer."""
    yield "ffn_norm.weight", (shape.width,)
    experts = (shape.num_experts,) if shape.num_experts else ()
    suffix = "_exps" if experts else ""
    if experts:
        yield "ffn_gate_inp.weight", (shape.num_experts, shape.width)
    yield f"ffn_gate{suffix}.weight", (*experts, shape.hidden_width, shape.width)
    yield f"ffn_up{suffix}.weight", (*experts, shape.hidden_width, shape.width)
    yield f"ffn_down{suffix}.weight", (*experts, shape.width, shape.hidden_width)


def is_packed(name: str, axes: tuple[int, ...]) -> bool:
    """Tell whether a tensor is made of blocks: all matrices are, but for routers."""
    return len(axes) > 1 and not name.endswith("ffn_gate_inp.weight")


def plain_values(name: str, axes: tuple[int, ...]) -> np.ndarray:
    """Make norms, biases and routers, in float32."""
    if len(axes) > 1:
        seed = zlib.crc32(name.encode())
        return np.random.default_rng(seed).standard_normal(axes, np.float32)
    return np.full(axes, 1.0 if "norm" in name else 0.01, np.float32)


def add_metadata(writer: gguf.GGUFWriter, shape: Shape, num_layers: int) -> None:
    """Describe the network and a byte-level tokenizer."""
    writer.add_block_count(num_layers)
    writer.add_context_length(32768)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.hidden_width)
    writer.add_head_count(shape.num_heads)
    writer.add_head_count_kv(shape.num_kv_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_layer_norm_rms_eps(shape.eps)
    writer.add_rope_freq_base(1e6)
    if shape.num_experts:
        writer.add_expert_count(shape.num_experts)
        writer.add_expert_used_count(shape.num_chosen)
        writer.add_expert_feed_forward_length(shape.hidden_width)
    letters = [*map(chr, range(33, 127)), *map(chr, range(161, 173)), *map(chr, range(174, 256))]
    letters += [chr(256 + number) for number in range(256 - len(letters))]
    merge = f"{letters[0]} {letters[1]}"  # a list without any is not written
    letters.append(merge.replace(" ", ""))
    fillers = [f"word{number}" for number in range(shape.vocab_size - len(letters) - 1)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*letters, "<|im_end|>", *fillers])
    kinds = [gguf.TokenType.NORMAL] * shape.vocab_size
    kinds[len(letters)] = gguf.TokenType.CONTROL
    writer.add_token_types(kinds)
    writer.add_token_merges([merge])
    writer.add_eos_token_id(len(letters))


def write_random_gguf(shape: Shape, path: Path, *, num_layers: int) -> None:
    """Write a file, one tensor in memory at a time."""
    writer = gguf.GGUFWriter(path, shape.architecture)
    add_metadata(writer, shape, num_layers)
    listed = list(tensors(shape, num_layers))
    for name, axes in listed:
        stored, dtype, kind = axes, np.dtype(np.float32), None
        if is_packed(name, axes):
            stored = (*axes[:-1], axes[-1] // BLOCK_VALUES * BLOCK_BYTES)
            dtype, kind = np.dtype(np.uint8), gguf.GGMLQuantizationType.Q4_0
        num_bytes = int(np.prod(stored)) * dtype.itemsize
        writer.add_tensor_info(name, stored, dtype, num_bytes, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    weights = RandomWeights()
    for name, axes in listed:
        values = (
            weights.blocks(name, "Q4_0", axes).numpy()
            if is_packed(name, axes)
            else plain_values(name, axes)
        )
        writer.write_tensor_data(values)
    writer.close()


class OurTensors:
    """Draw the tensors of a shape: matrices as tiles of our own four bits."""

    def __init__(self, shape: Shape, num_layers: int) -> None:
        self._weights = RandomWeights()
        self.tensors: Mapping[str, TensorInfo] = {
            name: TensorInfo(KIND if is_packed(name, axes) else "F32", axes, "")
            for name, axes in tensors(shape, num_layers)
        }

    def read(self, name: str) -> Tensor:
        """Draw one tensor; of blocks, their bytes."""
        info = self.tensors[name]
        if info.is_packed:
            return self._weights.blocks(name, info.dtype, info.shape)
        return torch.from_numpy(plain_values(name, info.shape))


def write_random_folder(shape: Shape, folder: Path, *, gguf_file: Path, num_layers: int) -> None:
    """Write a folder like one that `myna quantize` makes of a GGUF file, whose metadata it gets."""
    folder.mkdir(parents=True)
    write_metadata(gguf_file, folder / METADATA)
    write_weights(folder, OurTensors(shape, num_layers))


def main() -> int:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--folder", type=Path, help="write it for Myna as well")
    args = parser.parse_args()
    shape = SHAPES[args.shape]
    num_layers = args.layers or shape.num_layers
    write_random_gguf(shape, args.out, num_layers=num_layers)
    print(args.out)
    if args.folder is not None:
        write_random_folder(shape, args.folder, gguf_file=args.out, num_layers=num_layers)
        print(args.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
