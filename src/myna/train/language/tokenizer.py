"""Nano's tokenizer, in the form of released ones: byte-level BPE, with Qwen's marks and template.

Every word of the domain, with the blank before it, is one token. There are no merges: any other
text is cut into single bytes, so that what was never taught is seen to be so, can be spelled, and
can be read letter by letter.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from myna.models.tiny import write_json
from myna.models.tiny_omni import CHAT_TEMPLATE, MARKERS, ROLES, SPECIAL_TOKENS
from myna.models.tiny_tokenizer import (
    added_token,
    write_tokenizer_config,
    write_tokenizer_json,
)
from myna.text.byte_level import ALPHABET, from_bytes
from myna.text.tokenizer import Tokenizer
from myna.text.tokenizer_files import from_folder
from myna.train import workshop
from myna.train.language import words
from myna.train.pictures.names import NAMES, phrase

FOLDER = "tokenizer"
MARKS = ("'s", "'t", "'clock", " +", " -", " =")


def open_tokenizer() -> Tokenizer:
    """Open nano's tokenizer, written to the workshop if it is not there."""
    folder = workshop.folder(FOLDER)
    if not (folder / "tokenizer.json").exists():
        write_tokenizer(folder)
    return from_folder(folder)


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
    """Number the plain tokens: bytes first."""
    tokens = dict.fromkeys((*ALPHABET, *_whole_words()))
    return {token: token_id for token_id, token in enumerate(tokens)}


def _whole_words() -> Iterator[str]:
    """Give every word with a blank before it; without one too if it may begin a turn."""
    verbs = (*words.VERBS, *words.INTRANSITIVE)
    nouns = (*words.NOUNS, *words.SHAPES, *words.SOUNDS)
    inflected = {words.past(verb) for verb in verbs} | {words.plural(noun) for noun in nouns}
    inflected -= {*verbs, *nouns, *words.TALK, *words.DIRECTIONS}
    domain = words.domain()
    proper = [word.capitalize() for word in (*words.PEOPLE, *words.DAYS, *words.MONTHS)]
    starts = [*(word for word in domain if word not in inflected), *words.CAPITALS, *proper]
    starts += [*ROLES, *(phrase(name).split()[0] for name in NAMES)]
    names = [w for name in NAMES for w in (*name.split(), words.plural(name).split()[-1])]
    spaced = [f" {word}" for word in (*domain, *names, *proper, "I")]
    for text in (*starts, *spaced, *MARKS):
        yield from_bytes(text.encode())
