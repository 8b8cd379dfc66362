"""Tokenizers of checkpoint folders: `tokenizer.json`, or `vocab.json` with `merges.txt`.

The first is used where both are there. Not here: GGUF files, tiktoken ranks.
Source: transformers 5.x `tokenization_utils_base.py`, `models/qwen2/tokenization_qwen2.py`.
Differs: only byte-level BPE is read; a folder without `tokenizer.json` needs no conversion.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import tokenizers

from myna.core.errors import BadCheckpoint, NotFound, Unsupported
from myna.text.tokenizer import Tokenizer
from myna.text.tokenizer_parts import (
    GPT2_PATTERN,
    QWEN2_PATTERN,
    TokenizerParts,
    assemble,
    check_merges,
    split_merge,
    unique_vocab,
    with_added,
)

# The largest released tokenizer.json has 34 MB.
MAX_FILE_BYTES = 256 * 2**20

_QWEN2_CLASSES = ("Qwen2Tokenizer", "Qwen2TokenizerFast")
_GPT2_CLASSES = ("GPT2Tokenizer", "GPT2TokenizerFast")

_Form = TypeVar("_Form")


class _AddedToken(msgspec.Struct, frozen=True):
    content: str
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False
    special: bool = False

    def to_rust(self) -> tokenizers.AddedToken:
        return tokenizers.AddedToken(
            self.content,
            lstrip=self.lstrip,
            rstrip=self.rstrip,
            single_word=self.single_word,
            normalized=self.normalized,
            special=self.special,
        )


class _NumberedToken(_AddedToken, frozen=True, kw_only=True):
    id: int


class _Step(msgspec.Struct, frozen=True):
    """One step of the decoder or of the post-processor, or a sequence of such."""

    type: str = ""
    decoders: tuple[_Step, ...] = ()
    processors: tuple[_Step, ...] = ()
    single: tuple[dict[str, dict[str, object]], ...] = ()

    def steps(self) -> Iterator[_Step]:
        """Yield this step and all those in it."""
        yield self
        for step in (*self.decoders, *self.processors):
            yield from step.steps()


class _Model(msgspec.Struct, frozen=True):
    type: str = "BPE"
    vocab: msgspec.Raw = msgspec.Raw(b"{}")
    merges: tuple[str | tuple[str, str], ...] = ()


class _TokenizerJson(msgspec.Struct, frozen=True):
    """The parts of tokenizer.json that are looked at; the tokenizers library reads it all."""

    model: _Model
    added_tokens: tuple[_NumberedToken, ...] = ()
    decoder: _Step | None = None
    post_processor: _Step | None = None

    def is_byte_level(self) -> bool:
        """Tell whether tokens are bytes in the byte-level alphabet."""
        return self.decoder is not None and any(
            step.type == "ByteLevel" for step in self.decoder.steps()
        )

    def first_token(self) -> str | None:
        """Find the special token that a template puts before a single text."""
        if self.post_processor is None:
            return None
        for step in self.post_processor.steps():
            if step.type == "TemplateProcessing" and step.single:
                token = step.single[0].get("SpecialToken", {}).get("id")
                return token if isinstance(token, str) else None
        return None


class _TokenizerConfig(msgspec.Struct, frozen=True):
    tokenizer_class: str | None = None
    bos_token: _AddedToken | str | None = None
    eos_token: _AddedToken | str | None = None
    pad_token: _AddedToken | str | None = None
    additional_special_tokens: tuple[_AddedToken | str, ...] | None = None
    add_bos_token: bool | None = None
    added_tokens_decoder: dict[int, _AddedToken] = {}

    def named_tokens(self) -> set[str]:
        """Collect the special tokens that have a role."""
        named = (self.bos_token, self.eos_token, self.pad_token)
        return {
            text
            for token in (*named, *(self.additional_special_tokens or ()))
            if (text := _text_of(token)) is not None
        }


class _EndIds(msgspec.Struct, frozen=True):
    """What generation_config.json and config.json say about the end of an answer."""

    eos_token_id: int | list[int] | None = None


def from_folder(folder: Path) -> Tokenizer:
    """Build the tokenizer of a checkpoint folder.

    Args:
        folder: a Hugging Face model folder.
    """
    config = _read(folder / "tokenizer_config.json", _TokenizerConfig) or _TokenizerConfig()
    if (folder / "tokenizer.json").is_file():
        rust, begins_with = _from_json(folder / "tokenizer.json")
    elif (folder / "vocab.json").is_file():
        rust, begins_with = _from_vocab_and_merges(folder, config), None
    else:
        raise NotFound(
            f"{folder} has neither `tokenizer.json` nor `vocab.json` with `merges.txt`; "
            "fetch the model's tokenizer files."
        )
    bos_id = _role_id(rust, config.bos_token, folder=folder)
    if bos_id is None:
        bos_id = begins_with
    adds_bos = begins_with is not None if config.add_bos_token is None else config.add_bos_token
    return Tokenizer(
        rust, bos_id=bos_id, eos_ids=_end_ids(rust, config, folder=folder), adds_bos=adds_bos
    )


def _from_json(path: Path) -> tuple[tokenizers.Tokenizer, int | None]:
    """Load tokenizer.json; also tell the token that its post-processor puts first."""
    raw = _read_bytes(path)
    form = _decode(raw, _TokenizerJson, path)
    if form.model.type != "BPE" or not form.is_byte_level():
        decoder = form.decoder.type if form.decoder else None
        raise Unsupported(
            f"{path}: a tokenizer of the kind {form.model.type!r} with the decoder {decoder!r}; "
            "only byte-level BPE is supported."
        )
    vocab = _vocab(bytes(form.model.vocab), path)
    merges = _pairs(form.model.merges, path)
    ids = with_added(vocab, ((token.id, token.content) for token in form.added_tokens), str(path))
    check_merges(merges, vocab, source=str(path))
    rust = _load(raw, path)
    if any(rust.token_to_id(token.content) != token.id for token in form.added_tokens):
        # The library numbers added tokens itself: where the ids have gaps, not as the file does.
        whole = json.loads(raw)
        whole["model"]["vocab"] = ids
        rust = _load(json.dumps(whole).encode(), path)
    first = form.first_token()
    return rust, None if first is None else ids.get(first)


def _load(raw: bytes, path: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_buffer(raw)
    except Exception as error:  # noqa: BLE001 - the library raises bare exceptions only
        raise BadCheckpoint(
            f"{path} cannot be read as a tokenizer ({error}); fetch it again."
        ) from None


def _from_vocab_and_merges(folder: Path, config: _TokenizerConfig) -> tokenizers.Tokenizer:
    vocab_path, merges_path = folder / "vocab.json", folder / "merges.txt"
    if not merges_path.is_file():
        raise NotFound(f"{vocab_path} is there and {merges_path.name} is not; fetch it too.")
    if config.tokenizer_class not in (*_QWEN2_CLASSES, *_GPT2_CLASSES):
        raise Unsupported(
            f"{folder}: `tokenizer_class` is {config.tokenizer_class!r}, and `vocab.json` with "
            f"`merges.txt` is read for {_QWEN2_CLASSES[0]} and {_GPT2_CLASSES[0]} only; "
            "hint: look for a `tokenizer.json` of this model."
        )
    is_qwen = config.tokenizer_class in _QWEN2_CLASSES
    lines = _text(merges_path).split("\n")
    if lines and lines[0].startswith("#version"):
        lines = lines[1:]
    parts = TokenizerParts(
        vocab=_vocab(_read_bytes(vocab_path), vocab_path),
        merges=[
            split_merge(line.rstrip("\r"), rank=rank, source=str(merges_path))
            for rank, line in enumerate(lines)
            if line.strip()
        ],
        added=_added_tokens(folder, config),
        patterns=(QWEN2_PATTERN if is_qwen else GPT2_PATTERN,),
        is_nfc=is_qwen,
    )
    return assemble(parts, source=str(folder))


def _added_tokens(folder: Path, config: _TokenizerConfig) -> dict[int, tokenizers.AddedToken]:
    """Read the added tokens, with their flags where the folder has them."""
    if config.added_tokens_decoder:
        return {i: token.to_rust() for i, token in config.added_tokens_decoder.items()}
    ids = _read(folder / "added_tokens.json", dict[str, int]) or {}
    named = config.named_tokens()
    return {
        token_id: tokenizers.AddedToken(
            text, special=text in named or text.startswith("<|"), normalized=False
        )
        for text, token_id in ids.items()
    }


def _vocab(raw: bytes, path: Path) -> dict[str, int]:
    """Read token -> id, refusing a token that comes twice (which JSON readers let pass)."""
    vocab = _decode(raw, dict[str, int], path)
    pairs = json.loads(raw, object_pairs_hook=list)
    return vocab if len(pairs) == len(vocab) else unique_vocab(pairs, source=str(path))


def _pairs(merges: Iterable[str | tuple[str, str]], path: Path) -> list[tuple[str, str]]:
    """Read merges in either of the forms that tokenizer.json has had."""
    return [
        split_merge(merge, rank=rank, source=str(path)) if isinstance(merge, str) else merge
        for rank, merge in enumerate(merges)
    ]


def _role_id(
    rust: tokenizers.Tokenizer, token: _AddedToken | str | None, *, folder: Path
) -> int | None:
    text = _text_of(token)
    if text is None:
        return None
    token_id: int | None = rust.token_to_id(text)
    if token_id is None:
        raise BadCheckpoint(
            f"{folder}: `tokenizer_config.json` names the token {text!r}, which the vocabulary "
            "lacks; the tokenizer files do not belong together, fetch them again."
        )
    return token_id


def _end_ids(
    rust: tokenizers.Tokenizer, config: _TokenizerConfig, *, folder: Path
) -> Sequence[int]:
    """Collect the end tokens of all files that name some: they differ, and all are meant."""
    ends: list[int] = []
    end_id = _role_id(rust, config.eos_token, folder=folder)
    if end_id is not None:
        ends.append(end_id)
    for name in ("generation_config.json", "config.json"):
        named = (_read(folder / name, _EndIds) or _EndIds()).eos_token_id
        for token_id in [named] if isinstance(named, int) else named or []:
            if token_id < 0 or rust.id_to_token(token_id) is None:
                raise BadCheckpoint(
                    f"{folder / name}: `eos_token_id` holds {token_id}, and the vocabulary has no "
                    "such token; the files do not belong together, fetch them again."
                )
            ends.append(token_id)
    return ends


def _text_of(token: _AddedToken | str | None) -> str | None:
    return token.content if isinstance(token, _AddedToken) else token


def _read(path: Path, form: type[_Form]) -> _Form | None:
    """Read a JSON file as `form`; `None` where there is no file."""
    return _decode(_read_bytes(path), form, path) if path.is_file() else None


def _decode(raw: bytes, form: type[_Form], path: Path) -> _Form:
    try:
        return msgspec.json.decode(raw, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadCheckpoint(f"{path} is not as it should be: {error}; fetch it again.") from None


def _read_bytes(path: Path) -> bytes:
    """Read a whole file, of a size that a tokenizer can have."""
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise BadCheckpoint(
            f"{path} has {size} bytes, and at most {MAX_FILE_BYTES} are read; is it the right file?"
        )
    return path.read_bytes()


def _text(path: Path) -> str:
    try:
        return _read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise BadCheckpoint(f"{path} is no UTF-8 text: {error}; fetch it again.") from None
