"""All files of a random model's folder but its weights: configurations, tokenizer, templates.

Configurations are the released ones. Tokenizers have the released number of tokens, of which a few
are words and all others made up; of models that see and hear, what stands for pictures and sounds
has its released number. Not here: the weights (random_model).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from released import LAYOUTS, Json, Released

from myna.hub.catalogue import Kind
from myna.models import tiny_image_edit, tiny_omni, tiny_tokenizer
from myna.models.tiny import write_json
from myna.models.tiny_tokenizer import WORDS, added_token, vocabulary, write_vocabulary

FIRST_SPECIAL = 151_643  # of the plain tokens of Qwen2's vocabulary there are so many
SAMPLING: Mapping[str, object] = {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8}
# The keys by which a configuration numbers special tokens; the others follow as they come.
NUMBERED: Mapping[str, str] = {
    "<|im_start|>": "im_start_token_id",
    "<|im_end|>": "im_end_token_id",
    "<tts_pad>": "tts_pad_token_id",
    "<tts_text_bos>": "tts_bos_token_id",
    "<tts_text_eod>": "tts_eos_token_id",
    "<|audio_start|>": "audio_start_token_id",
    "<|audio_end|>": "audio_end_token_id",
    "<|audio_pad|>": "audio_token_id",
    "<|image_pad|>": "image_token_id",
    "<|video_pad|>": "video_token_id",
    "<|vision_start|>": "vision_start_token_id",
    "<|vision_end|>": "vision_end_token_id",
}
PLAIN = (*tiny_tokenizer.MARKERS, *tiny_omni.MARKERS)  # text to the tokenizer, not marks


def write_rest(folder: Path, model: Released) -> None:
    """Write all that is no weight, and make the folders of the networks.

    Args:
        folder: is there.
        model: whose files they are.
    """
    for prefix, network in model.networks.items():
        (folder / prefix).mkdir(exist_ok=True)
        write_json(folder / prefix / "config.json", network.values)
    WRITERS[model.kind](folder, model)


def _write_text(folder: Path, model: Released) -> None:
    values = model.networks[""].values
    tokens = (*tiny_tokenizer.SPECIAL_TOKENS, *tiny_tokenizer.MARKERS)
    num_words = values["vocab_size"] - len(tokens)
    ids = {token: num_words + i for i, token in enumerate(tokens)}
    template = tiny_tokenizer.CHAT_TEMPLATE
    _write_tokenizer(folder, ids, num_words=num_words, chat_template=template)
    write_json(folder / "config.json", {**values, **_ends(ids)})
    write_json(folder / "generation_config.json", {**SAMPLING, **_ends(ids)})


def _write_omni(folder: Path, model: Released) -> None:
    values = model.networks[""].values
    ids = _special_ids({**values["thinker_config"], **values})
    roles = {role: values[f"{role}_token_id"] for role in tiny_omni.ROLES}
    _write_tokenizer(folder, ids, num_words=FIRST_SPECIAL, fixed=roles)
    write_json(folder / "generation_config.json", {**SAMPLING, **_ends(ids)})
    write_json(folder / "preprocessor_config.json", tiny_omni.PREPROCESSOR)
    write_json(folder / "chat_template.json", {"chat_template": tiny_omni.CHAT_TEMPLATE})


def _write_edit(folder: Path, model: Released) -> None:
    for name in ("scheduler", "tokenizer", "processor"):
        (folder / name).mkdir()
    ids = _special_ids(model.networks["text_encoder"].values)
    _write_tokenizer(folder / "tokenizer", ids, num_words=FIRST_SPECIAL)
    schedule = json.loads((LAYOUTS / f"{model.id}.scheduler.json").read_text(encoding="utf-8"))
    write_json(folder / "model_index.json", tiny_image_edit.MODEL_INDEX)
    write_json(folder / "scheduler/scheduler_config.json", schedule)
    write_json(folder / "processor/preprocessor_config.json", tiny_image_edit.PREPROCESSOR)


WRITERS: Mapping[Kind, Callable[[Path, Released], None]] = {
    "text": _write_text,
    "omni": _write_omni,
    "image_edit": _write_edit,
}


def _special_ids(values: Json) -> dict[str, int]:
    """Number the special tokens of models that see and hear as a configuration does."""
    ids = {token: values[key] for token, key in NUMBERED.items() if key in values}
    taken = set(ids.values())
    free = (number for number in range(FIRST_SPECIAL, 1 << 18) if number not in taken)
    return ids | {token: next(free) for token in tiny_omni.SPECIAL_TOKENS if token not in ids}


def _ends(ids: Mapping[str, int]) -> dict[str, int]:
    return {"eos_token_id": ids["<|im_end|>"], "pad_token_id": ids["<|endoftext|>"]}


def _write_tokenizer(
    folder: Path,
    ids: Mapping[str, int],
    *,
    num_words: int,
    fixed: Mapping[str, int] | None = None,
    **settings: object,
) -> None:
    """Write a vocabulary: bytes, few words that are built, fillers, and what is no text.

    Args:
        folder: is there.
        ids: of what is no text, above the words.
        num_words: how many numbers there are below.
        fixed: words whose numbers are settled.
        **settings: further keys of tokenizer_config.json.
    """
    fixed = fixed or {}
    built, merges = vocabulary((*WORDS, *fixed))
    taken = set(fixed.values())
    free = (number for number in range(num_words) if number not in taken)
    vocab = {**fixed, **{token: next(free) for token in built if token not in fixed}}
    vocab |= {f"Ġword{number}": number for number in free}
    write_vocabulary(folder, vocab, merges, _added(ids), **settings)


def _added(ids: Mapping[str, int]) -> Sequence[Mapping[str, object]]:
    return [
        added_token(token, number, is_special=token not in PLAIN) for token, number in ids.items()
    ]
