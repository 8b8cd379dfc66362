"""From what the stages learnt to a folder in the released form, which everything of Myna can load.

Not here: how blocks are made (weights.quantize), the model card (evals).
"""

from __future__ import annotations

import json
import shutil
from math import prod
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.tensors import split
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import Speech
from myna.text import tokenizer_files
from myna.train import curriculum, shapes
from myna.train.language.style import DECLINE_START
from myna.train.language.tokenizer import ANSWER_START
from myna.train.start import materialise
from myna.weights.quantize.scheme import Bits, Exempt

# One shard for each part, so that a part that is trained anew leaves the others' files alone.
SHARDS = (
    ("thinker.audio_tower.", "ears"),
    ("thinker.visual.", "eyes"),
    ("thinker.", "thinker"),
    ("talker.", "talker"),
    ("code2wav.", "code2wav"),
)
# Five bits of most weights, since eight of all would take a third more than the box holds. Eight
# where few weights decide much, or an error is heard.
BITS: Bits = 5
EXEMPT = (
    Exempt("*pos_embed*", None, "positions: small, and part of every patch"),
    Exempt("*.patch_embed.proj.weight", "Q8_0", "every picture is read through it", True),
    Exempt("thinker.lm_head.weight", "Q8_0", "every token is chosen by it"),
    Exempt("talker.codec_head.weight", "Q8_0", "every frame is chosen by it"),
    Exempt("talker.model.codec_embedding.weight", "Q8_0", "every frame is read through it"),
    Exempt("talker.*_projection.*", "Q8_0", "all that is to be said is read through it"),
    Exempt("talker.code_predictor.*", "Q8_0", "its errors add up over a frame's codes"),
    Exempt("code2wav.upsample.*", "Q8_0", "makes sound, where errors are heard", True),
    Exempt("code2wav.decoder.*", "Q8_0", "makes sound, where errors are heard", True),
)


def build(config: Config, *, seed: int = 0) -> tuple[Thinker, Speech]:
    """Make both networks with first weights in float32."""
    assert config.speech is not None, "nano speaks"
    with torch.device("meta"):
        thinker, speech = Thinker(config.thinker), Speech(config.speech)
    materialise(thinker, seed=seed)
    materialise(speech, seed=seed)
    return thinker, speech


def write(folder: Path, thinker: Thinker, speech: Speech, *, tokenizer: Path) -> None:
    """Write a whole model in bfloat16.

    Args:
        folder: made if it is not there; files of the same names are replaced.
        thinker: hears, sees and writes.
        speech: speaks.
        tokenizer: folder of the tokenizer's files and the chat template, which are copied.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards: dict[str, dict[str, Tensor]] = {name: {} for _, name in SHARDS}
    for name, value in split(thinker, speech):
        shard = next(shard for prefix, shard in SHARDS if name.startswith(prefix))
        shards[shard][name] = value.bfloat16().contiguous()
    weight_map: dict[str, str] = {}
    total_bytes = 0
    for number, (shard, held) in enumerate(shards.items(), start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}-{shard}.safetensors"
        save_file(held, folder / file, {"format": "pt"})
        weight_map |= dict.fromkeys(held, file)
        total_bytes += sum(2 * prod(value.shape) for value in held.values())
    index = {"metadata": {"total_size": total_bytes}, "weight_map": weight_map}
    _write_json(folder / "model.safetensors.index.json", index)
    for path in sorted(tokenizer.iterdir()):
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    ids = special_ids(tokenizer)
    _write_json(folder / "config.json", shapes.config(ids))
    _write_json(folder / "preprocessor_config.json", shapes.PREPROCESSOR)
    _write_json(folder / "video_preprocessor_config.json", {"max_pixels": shapes.CLIP_PIXELS})
    _write_json(folder / "generation_config.json", generation(tokenizer))


def generation(tokenizer: Path) -> dict[str, object]:
    """Say how answers are chosen: the likeliest, once declining is no rarer than it should be.

    Args:
        tokenizer: folder of the tokenizer's files.
    """
    read = tokenizer_files.from_folder(tokenizer)
    declining = (*read.encode(ANSWER_START), read.encode(DECLINE_START)[0])
    return {
        "do_sample": False,
        "eos_token_id": read.id_of("<|im_end|>"),
        "pad_token_id": read.id_of("<|endoftext|>"),
        "sequence_bias": [[declining, round(curriculum.log_odds_of_answering(), 2)]],
    }


def special_ids(tokenizer: Path) -> dict[str, int]:
    """Read the numbers of the tokens that the configuration names, off a tokenizer's files."""
    read = tokenizer_files.from_folder(tokenizer)
    found = {name: read.id_of(name) for name in shapes.NAMED_TOKENS}
    missing = [name for name, number in found.items() if number is None]
    assert not missing, f"{tokenizer} lacks {', '.join(missing)}"
    return {name: number for name, number in found.items() if number is not None}


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
