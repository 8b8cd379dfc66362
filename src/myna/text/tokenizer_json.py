"""Tokenizers in tokenizer.json, the format of the tokenizers library.

The file is read by us and the tokenizer made of its parts: the library ends the process on some
files that are wrong.
Source: huggingface/tokenizers 0.23 `tokenizer/serialization.rs`, `models/bpe/serialization.rs`.
Differs: only byte-level BPE is read, with the steps that such tokenizers have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import tokenizers
from tokenizers import normalizers, pre_tokenizers
from tokenizers.normalizers import Normalizer
from tokenizers.pre_tokenizers import PreTokenizer

from myna.core.errors import BadCheckpoint, Unsupported
from myna.text.json_files import decode_json, read_bytes
from myna.text.tokenizer_parts import TokenizerParts, split_merge, unique_vocab

_NORMALIZERS = {
    "NFC": normalizers.NFC,
    "NFD": normalizers.NFD,
    "NFKC": normalizers.NFKC,
    "NFKD": normalizers.NFKD,
}
_BEHAVIORS = {
    "Removed": "removed",
    "Isolated": "isolated",
    "MergedWithPrevious": "merged_with_previous",
    "MergedWithNext": "merged_with_next",
    "Contiguous": "contiguous",
}


class AddedToken(msgspec.Struct, frozen=True):
    """Describe a token that is matched in the text before anything else."""

    content: str
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False
    special: bool = False

    def to_rust(self) -> tokenizers.AddedToken:
        """Make the library's own object."""
        return tokenizers.AddedToken(
            self.content,
            lstrip=self.lstrip,
            rstrip=self.rstrip,
            single_word=self.single_word,
            normalized=self.normalized,
            special=self.special,
        )


class _NumberedToken(AddedToken, frozen=True, kw_only=True):
    id: int


class _Step(msgspec.Struct, frozen=True):
    """One step of any kind, or a sequence of such, with all fields that any kind has."""

    type: str
    normalizers: tuple[_Step, ...] = ()
    pretokenizers: tuple[_Step, ...] = ()
    decoders: tuple[_Step, ...] = ()
    processors: tuple[_Step, ...] = ()
    pattern: dict[str, str] = {}
    behavior: str = "Isolated"
    invert: bool = False
    individual_digits: bool = False
    add_prefix_space: bool = True
    use_regex: bool = True
    single: tuple[dict[str, dict[str, object]], ...] = ()


class _Model(msgspec.Struct, frozen=True):
    vocab: msgspec.Raw
    merges: tuple[str | tuple[str, str], ...]
    type: str = "BPE"
    ignore_merges: bool = False
    continuing_subword_prefix: str | None = None
    end_of_word_suffix: str | None = None


class _TokenizerJson(msgspec.Struct, frozen=True):
    model: _Model
    added_tokens: tuple[_NumberedToken, ...] = ()
    normalizer: _Step | None = None
    pre_tokenizer: _Step | None = None
    decoder: _Step | None = None
    post_processor: _Step | None = None


def read_tokenizer_json(path: Path) -> tuple[TokenizerParts, str | None]:
    """Read a tokenizer.json; also tell which token its post-processor puts before a text."""
    form = decode_json(read_bytes(path), _TokenizerJson, path)
    model = form.model
    is_byte_level = any(step.type == "ByteLevel" for step in _flat(form.decoder))
    affixes = (model.continuing_subword_prefix, model.end_of_word_suffix)
    if model.type != "BPE" or not is_byte_level or any(affixes):
        raise Unsupported(
            f"{path}: a tokenizer of the kind {model.type!r} with the decoder "
            f"{form.decoder and form.decoder.type!r}; only byte-level BPE is supported, without "
            "prefixes or suffixes."
        )
    parts = TokenizerParts(
        vocab=read_vocab(model.vocab, path),
        merges=list(_pairs(model.merges, path)),
        added=[(token.id, token.to_rust()) for token in form.added_tokens],
        splits=[_split(step, path) for step in _flat(form.pre_tokenizer)],
        normalizer=_normalizer(form.normalizer, path),
        ignores_merges=model.ignore_merges,
    )
    return parts, _first_token(form.post_processor)


def read_vocab(raw: bytes | msgspec.Raw, path: Path) -> dict[str, int]:
    """Read token -> id, refusing a token that comes twice (which JSON readers let pass)."""
    vocab = decode_json(raw, dict[str, int], path)
    pairs = json.loads(bytes(raw), object_pairs_hook=list)
    return vocab if len(pairs) == len(vocab) else unique_vocab(pairs, source=str(path))


def _pairs(merges: Iterable[str | tuple[str, str]], path: Path) -> Iterator[tuple[str, str]]:
    """Read merges in either of the forms that the file has had."""
    for rank, merge in enumerate(merges):
        if isinstance(merge, str):
            yield split_merge(merge, rank=rank, source=str(path))
        else:
            yield merge


def _flat(step: _Step | None) -> Iterator[_Step]:
    """Yield the steps of a sequence in order, whatever nests in it."""
    if step is None:
        return
    if step.type != "Sequence":
        yield step
    for inner in (*step.normalizers, *step.pretokenizers, *step.decoders, *step.processors):
        yield from _flat(inner)


def _normalizer(step: _Step | None, path: Path) -> Normalizer | None:
    steps = list(_flat(step))
    for inner in steps:
        if inner.type not in _NORMALIZERS:
            raise _unknown(path, "normalizer", inner.type)
    return normalizers.Sequence([_NORMALIZERS[inner.type]() for inner in steps]) if steps else None


def _split(step: _Step, path: Path) -> PreTokenizer:
    match step.type:
        case "ByteLevel":
            return pre_tokenizers.ByteLevel(
                add_prefix_space=step.add_prefix_space, use_regex=step.use_regex
            )
        case "Digits":
            return pre_tokenizers.Digits(individual_digits=step.individual_digits)
        case "Split" if step.behavior in _BEHAVIORS:
            return pre_tokenizers.Split(
                _pattern(step, path), _BEHAVIORS[step.behavior], invert=step.invert
            )
    raise _unknown(path, "pre_tokenizer", step.type)


def _pattern(step: _Step, path: Path) -> str | tokenizers.Regex:
    """Read {"Regex": …} or {"String": …}."""
    match step.pattern:
        case {"String": text} if text:
            return text
        case {"Regex": source}:
            try:
                return tokenizers.Regex(source)
            except Exception as error:  # noqa: BLE001 - the library raises bare exceptions only
                raise BadCheckpoint(
                    f"{path}: the pattern {source[:80]!r} is no regular expression ({error}); "
                    "fetch the file again."
                ) from None
    raise _unknown(path, "pattern", str(step.pattern)[:80])


def _unknown(path: Path, kind: str, name: str) -> Unsupported:
    return Unsupported(
        f"{path}: the {kind} {name!r} is not known here; use a GGUF file of this model, or another "
        "model."
    )


def _first_token(post_processor: _Step | None) -> str | None:
    """Find the special token that a template puts before a single text."""
    for step in _flat(post_processor):
        if step.type == "TemplateProcessing" and step.single:
            token = step.single[0].get("SpecialToken", {}).get("id")
            return token if isinstance(token, str) else None
    return None
