"""Nano's tokenizer, in the form of released ones: byte-level BPE, with Qwen's marks and template.

Every word of the domain, with the blank before it, is one token. There are no merges: any other
text is cut into single bytes, so that what was never taught is seen to be so, can be spelled, and
can be read letter by letter.
"""

from __future__ import annotations

from pathlib import Path

from myna.models.tiny import write_json
from myna.models.tiny_omni import CHAT_TEMPLATE, MARKERS, SPECIAL_TOKENS
from myna.models.tiny_tokenizer import (
    added_token,
    write_tokenizer_config,
    write_tokenizer_json,
)
from myna.text.byte_level import ALPHABET, from_bytes
from myna.text.tokenizer import Tokenizer
from myna.text.tokenizer_files import from_folder
from myna.train import workshop
from myna.train.language.data import lines

FOLDER = "tokenizer"
ANSWER_START = "<|im_start|>assistant\n"


def open_tokenizer() -> Tokenizer:
    """Open nano's tokenizer, written to the workshop if it is not there."""
    folder = workshop.folder(FOLDER)
    if not (folder / "tokenizer.json").exists():
        write_tokenizer(folder)
    return from_folder(folder)


def prompt_of(question: str) -> str:
    """Write a question as the chat template does, up to where the answer begins."""
    return f"<|im_start|>user\n{question}<|im_end|>\n{ANSWER_START}"


def token_ids() -> dict[str, int]:
    """Number all tokens: plain ones first, then what is no text."""
    tokens = vocabulary()
    return tokens | {token: len(tokens) + i for i, token in enumerate(SPECIAL_TOKENS)}


def write_tokenizer(folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and chat_template.json.

    Args:
        folder: is there.
    """
    ids = token_ids()
    added = [
        added_token(token, ids[token], is_special=token not in MARKERS) for token in SPECIAL_TOKENS
    ]
    write_tokenizer_json(folder, vocabulary(), (), added, ignores_merges=True)
    write_tokenizer_config(folder, added)
    write_json(folder / "chat_template.json", {"chat_template": CHAT_TEMPLATE})


def vocabulary() -> dict[str, int]:
    """Number the plain tokens: bytes first, then words, with a blank before them and without.

    The list of words is frozen with the weights that were trained on it: to change it is to train
    everything anew.
    """
    frozen = (from_bytes(word.encode()) for word in lines("tokens"))
    return {token: token_id for token_id, token in enumerate((*ALPHABET, *frozen))}
