"""Write a random QwQ-32B as a GGUF of 4-bit blocks, at its true shape, for measurements.

    python benchmarks/random_qwq.py OUT.gguf [--layers 64]

The tokenizer is a tiny one with the released number of rows. The file has 18.5 GB.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np

WIDTH, HIDDEN, HEADS, KV_HEADS, HEAD_WIDTH, VOCABULARY = 5120, 27648, 40, 8, 128, 152064
BLOCK_VALUES, BLOCK_BYTES = 32, 18
SEED_BLOCKS = 2**20


def tensors(num_layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name every tensor and its shape, rows first."""
    kv_width = KV_HEADS * HEAD_WIDTH
    yield "token_embd.weight", (VOCABULARY, WIDTH)
    for layer in range(num_layers):
        at = f"blk.{layer}."
        yield at + "attn_norm.weight", (WIDTH,)
        for name, rows in (("q", HEADS * HEAD_WIDTH), ("k", kv_width), ("v", kv_width)):
            yield f"{at}attn_{name}.weight", (rows, WIDTH)
            yield f"{at}attn_{name}.bias", (rows,)
        yield at + "attn_output.weight", (WIDTH, HEADS * HEAD_WIDTH)
        yield at + "ffn_norm.weight", (WIDTH,)
        yield at + "ffn_gate.weight", (HIDDEN, WIDTH)
        yield at + "ffn_up.weight", (HIDDEN, WIDTH)
        yield at + "ffn_down.weight", (WIDTH, HIDDEN)
    yield "output_norm.weight", (WIDTH,)
    yield "output.weight", (VOCABULARY, WIDTH)


def random_blocks() -> np.ndarray:
    """Draw Q4_0 blocks whose scales keep a product's variance near its input's."""
    blocks = np.random.default_rng(0).integers(0, 256, (SEED_BLOCKS, BLOCK_BYTES), np.uint8)
    scale = np.float16(WIDTH**-0.5 / 4.6)
    blocks[:, :2] = np.frombuffer(scale.tobytes(), np.uint8)
    return blocks


def add_metadata(writer: gguf.GGUFWriter, num_layers: int) -> None:
    """Describe the network and a byte-level tokenizer."""
    writer.add_block_count(num_layers)
    writer.add_context_length(40960)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1e6)
    letters = [*map(chr, range(33, 127)), *map(chr, range(161, 173)), *map(chr, range(174, 256))]
    letters += [chr(256 + number) for number in range(256 - len(letters))]
    merge = f"{letters[0]} {letters[1]}"  # a list without any is not written
    letters.append(merge.replace(" ", ""))
    fillers = [f"[PAD{number}]" for number in range(VOCABULARY - len(letters) - 1)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*letters, "<|im_end|>", *fillers])
    kinds = [gguf.TokenType.NORMAL] * len(letters) + [gguf.TokenType.CONTROL]
    writer.add_token_types([*kinds, *[gguf.TokenType.UNUSED] * len(fillers)])
    writer.add_token_merges([merge])
    writer.add_eos_token_id(len(letters))


def main() -> int:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, default=64)
    args = parser.parse_args()
    writer = gguf.GGUFWriter(args.out, "qwen2")
    add_metadata(writer, args.layers)
    listed = list(tensors(args.layers))
    for name, shape in listed:
        is_packed = len(shape) == 2
        row_bytes = shape[-1] // BLOCK_VALUES * BLOCK_BYTES if is_packed else 4 * shape[-1]
        stored = (shape[0], row_bytes) if is_packed else shape
        num_bytes = shape[0] * row_bytes if is_packed else row_bytes
        kind = gguf.GGMLQuantizationType.Q4_0 if is_packed else None
        dtype = np.dtype(np.uint8 if is_packed else np.float32)
        writer.add_tensor_info(name, stored, dtype, num_bytes, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    blocks = random_blocks().reshape(-1)
    for name, shape in listed:
        if len(shape) == 1:
            values = np.full(shape, 1.0 if "norm" in name else 0.01, np.float32)
        else:
            num_bytes = shape[0] * shape[1] // BLOCK_VALUES * BLOCK_BYTES
            values = np.resize(blocks, num_bytes)
        writer.write_tensor_data(values)
    writer.close()
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
