"""Write a random Qwen3-Omni, packed as `myna quantize` packs: 21 GB, for measurements.

    python benchmarks/random_omni.py LAYOUTS OUT [--layers 48] [--predictor-bits 8]

LAYOUTS is `tests/models/layouts`, which lists the released tensors. Configuration and ids of
special tokens are the released ones; the words of the tokenizer are made up. One tensor is in
memory at a time. `--layers` takes fewer of thinker and talker, to try things out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from random_weights import RandomWeights
from torch import Tensor
from write_packed import write_weights

from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.tensors import tensors as list_tensors
from myna.models.tiny_omni import (
    CHAT_TEMPLATE,
    MARKERS,
    PREPROCESSOR,
    ROLES,
    SPECIAL_TOKENS,
)
from myna.models.tiny_tokenizer import WORDS, added_token, vocabulary, write_vocabulary
from myna.weights.checkpoint import MetaCheckpoint, TensorInfo
from myna.weights.quantize.scheme import PredictorBits, choose, with_predictor

NAME = "qwen3-omni-30b-a3b-instruct"
NUM_WORDS = 151_643  # plain tokens of the released vocabulary; the special ones follow
SAMPLING = {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8}
# Keys of the released configuration that number a special token; the others follow as they come.
NUMBERED = {
    "<|im_start|>": ("im_start_token_id",),
    "<|im_end|>": ("im_end_token_id",),
    "<tts_pad>": ("tts_pad_token_id",),
    "<tts_text_bos>": ("tts_bos_token_id",),
    "<tts_text_eod>": ("tts_eos_token_id",),
    "<|audio_start|>": ("thinker_config", "audio_start_token_id"),
    "<|audio_end|>": ("thinker_config", "audio_end_token_id"),
    "<|audio_pad|>": ("thinker_config", "audio_token_id"),
    "<|image_pad|>": ("thinker_config", "image_token_id"),
    "<|video_pad|>": ("thinker_config", "video_token_id"),
    "<|vision_start|>": ("thinker_config", "vision_start_token_id"),
    "<|vision_end|>": ("thinker_config", "vision_end_token_id"),
    **{role: (f"{role}_token_id",) for role in ROLES},
}


class RandomTensors:
    """Draw the tensors of a layout, large matrices as blocks of few bits."""

    def __init__(self, layout: Mapping[str, Sequence[int]], bits: PredictorBits) -> None:
        exempt = with_predictor(bits)
        plain = {name: TensorInfo("BF16", tuple(shape), "") for name, shape in layout.items()}
        self.tensors: Mapping[str, TensorInfo] = {
            name: replace(info, dtype=choose(name, info, 4, exempt=exempt).kind or info.dtype)
            for name, info in plain.items()
        }
        self._weights = RandomWeights()

    def read(self, name: str) -> Tensor:
        """Draw one tensor; of blocks, their bytes."""
        info = self.tensors[name]
        if info.is_packed:
            return self._weights.blocks(name, info.dtype, info.shape)
        return self._weights.floats(name, info.shape)


def write_random_omni(
    layouts: Path, folder: Path, *, num_layers: int | None = None, bits: PredictorBits = 8
) -> int:
    """Write the folder; nothing may be there.

    Args:
        layouts: where the released configuration and the list of its tensors are.
        folder: is made.
        num_layers: of thinker and talker at most; `None` is all.
        bits: of the code predictor; 8 is what `myna quantize` takes if nothing is asked for.

    Returns:
        The bytes of the weights.
    """
    values = json.loads((layouts / f"{NAME}.config.json").read_text())
    layout: Mapping[str, Sequence[int]]
    if num_layers is None:
        found = MetaCheckpoint.from_file(layouts / f"{NAME}.tensors.json.gz")
        layout = {name: info.shape for name, info in found.tensors.items()}
    else:
        _take_fewer_layers(values, num_layers)
        layout = list_tensors(Config.from_hf(values))
    folder.mkdir(parents=True)
    _write_json(folder / "config.json", values)
    _write_json(folder / "preprocessor_config.json", PREPROCESSOR)
    _write_json(folder / "chat_template.json", {"chat_template": CHAT_TEMPLATE})
    ids = _token_ids(values)
    ends = {"eos_token_id": ids["<|im_end|>"], "pad_token_id": ids["<|endoftext|>"]}
    _write_json(folder / "generation_config.json", {**SAMPLING, **ends})
    _write_tokenizer(folder, ids)
    return write_weights(folder, RandomTensors(layout, bits))


def _take_fewer_layers(values: dict[str, dict[str, dict[str, object]]], num_layers: int) -> None:
    for part in ("thinker_config", "talker_config"):
        text = values[part]["text_config"]
        most = text["num_hidden_layers"]
        assert isinstance(most, int)
        text["num_hidden_layers"] = min(most, num_layers)
    values["talker_config"] |= {"accept_hidden_layer": min(24, num_layers - 1)}
    vision = values["thinker_config"]["vision_config"]
    indexes = vision["deepstack_visual_indexes"]
    assert isinstance(indexes, list)
    vision["deepstack_visual_indexes"] = indexes[:num_layers]


def _token_ids(values: Mapping[str, object]) -> dict[str, int]:
    """Number the special tokens and the roles as the configuration does."""
    ids: dict[str, int] = {}
    for token, path in NUMBERED.items():
        found: object = values
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        # The user's number stands in the thinker's section as well, of some files there alone.
        if isinstance(found, int):
            ids[token] = found
    free = (number for number in range(NUM_WORDS, 1 << 18) if number not in set(ids.values()))
    return ids | {token: next(free) for token in SPECIAL_TOKENS if token not in ids}


def _write_tokenizer(folder: Path, ids: Mapping[str, int]) -> None:
    """Write a vocabulary of the released size: bytes, few words that are built, fillers."""
    built, merges = vocabulary((*WORDS, *ROLES))
    roles = {role: ids[role] for role in ROLES}
    taken = set(roles.values())
    free = (number for number in range(NUM_WORDS) if number not in taken)
    vocab = roles | {token: next(free) for token in built if token not in roles}
    vocab |= {f"Ġword{number}": number for number in free}
    added = [
        added_token(token, ids[token], is_special=token not in MARKERS) for token in SPECIAL_TOKENS
    ]
    write_vocabulary(folder, vocab, merges, added)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> int:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layouts", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--predictor-bits", type=int, choices=(4, 6, 8, 16), default=8)
    args = parser.parse_args()
    num_bytes = write_random_omni(
        args.layouts, args.out, num_layers=args.layers, bits=args.predictor_bits
    )
    print(f"{args.out}: {num_bytes / 1e9:.2f} GB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
