"""Write a random model of the catalogue as a GGUF of 4-bit blocks, at its true shape.

    python benchmarks/random_gguf.py MODEL OUT.gguf [--layers N]

MODEL is a dense Qwen2 or a Qwen3 of experts: `qwq-32b` takes 18.5 GB with all layers,
`qwen3-30b-a3b` 17.2 GB. All matrices but routers are Q4_0, tables included. The tokenizer is a tiny
one with the released number of rows. It is for llama.cpp; `random_model.py` writes for Myna.
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
from random_weights import RandomWeights
from released import released

from myna.core.errors import MynaError, Unsupported
from myna.models.registry import family_for_config

BLOCK_VALUES, BLOCK_BYTES = 32, 18
# As GGUF names what config.json names so.
ARCHITECTURES: Mapping[str, str] = {"qwen2": "qwen2", "qwen3_moe": "qwen3moe"}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Describe a text model; one without experts has `num_experts` 0.

    Attributes:
        architecture: as GGUF names it.
        hidden_width: of the feed-forward network, or of each expert.
        tied: whether the embedding is the head too.
    """

    architecture: str
    num_layers: int
    width: int
    hidden_width: int
    num_heads: int
    num_kv_heads: int
    head_width: int
    vocab_size: int
    eps: float
    rope_theta: float
    tied: bool
    num_experts: int = 0
    num_chosen: int = 0


def shape_of(model_id: str) -> Shape:
    """Read the shape of a model of the catalogue.

    Raises:
        NotFound: the catalogue has no such model.
        Unsupported: its tensors have no names here.
    """
    model = released(model_id)
    kind = model.networks[""].values["model_type"] if "" in model.networks else model.kind
    if kind not in ARCHITECTURES:
        raise Unsupported(
            f"{model.id}: a GGUF file of {kind} was asked for; "
            f"{' and '.join(ARCHITECTURES)} can be written"
        )
    values = model.networks[""].values
    config = family_for_config(values).config_from_hf(values)
    moe = getattr(config, "moe", None)  # of Qwen3's configuration alone
    experts = {} if moe is None else {"num_experts": moe.num_experts, "num_chosen": moe.num_chosen}
    return Shape(
        architecture=ARCHITECTURES[kind],
        num_layers=config.num_layers,
        width=config.width,
        hidden_width=config.hidden_width if moe is None else moe.hidden_width,
        num_heads=config.num_heads,
        num_kv_heads=config.num_kv_heads,
        head_width=config.head_width,
        vocab_size=config.vocab_size,
        eps=config.norm_eps,
        rope_theta=config.rope.theta,
        tied=config.tied is True,
        **experts,
    )


def tensors(shape: Shape, num_layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name every tensor and its axes, rows before columns."""
    yield "token_embd.weight", (shape.vocab_size, shape.width)
    for layer in range(num_layers):
        for name, axes in (*attention(shape), *feed_forward(shape)):
            yield f"blk.{layer}.{name}", axes
    yield "output_norm.weight", (shape.width,)
    if not shape.tied:
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
    writer.add_rope_freq_base(shape.rope_theta)
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


def main() -> int:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a name of `myna list`")
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int)
    args = parser.parse_args()
    try:
        shape = shape_of(args.model)
    except MynaError as error:
        sys.exit(str(error))
    write_random_gguf(shape, args.out, num_layers=args.layers or shape.num_layers)
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
