"""Find the chat template of a checkpoint: several files may hold one, and they may differ.

Source: transformers 5.x `processing_utils.py`, `tokenization_utils_base.py`.
Differs: one order for all: chat_template.jinja, chat_template.json, processor_config.json,
tokenizer_config.json, GGUF metadata; what differs from the one used is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from myna.core.errors import BadCheckpoint
from myna.text.json_files import decode_json, read_bytes, read_text

_DEFAULT = "default"
_GGUF_KEY = "tokenizer.chat_template"


@dataclass(frozen=True, kw_only=True)
class FoundTemplate:
    """Hold a checkpoint's chat template.

    Attributes:
        source: its text.
        origin: the file, or GGUF key, that it came from.
        named: the checkpoint's templates for other uses, such as "tool_use".
        warnings: what the caller should log.
    """

    source: str
    origin: str
    named: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class _Named(msgspec.Struct, frozen=True):
    name: str
    template: str


class _WithTemplate(msgspec.Struct, frozen=True):
    chat_template: str | tuple[_Named, ...] | dict[str, str] | None = None


def find_in_folder(folder: Path) -> FoundTemplate | None:
    """Find the chat template of a checkpoint folder; a base model may have none."""
    readers: tuple[tuple[str, Callable[[Path], dict[str, str]]], ...] = (
        ("chat_template.jinja", _read_jinja),
        ("chat_template.json", _read_json),
        ("processor_config.json", _read_json),
        ("tokenizer_config.json", _read_json),
    )
    found = [
        (name, templates)
        for name, read in readers
        if (folder / name).is_file() and (templates := read(folder / name))
    ]
    return _choose(found)


def find_in_gguf(metadata: Mapping[str, object]) -> FoundTemplate | None:
    """Find the chat template in the metadata of a GGUF file."""
    templates: dict[str, str] = {}
    for key, value in metadata.items():
        if key != _GGUF_KEY and not key.startswith(_GGUF_KEY + "."):
            continue
        if not isinstance(value, str):
            raise BadCheckpoint(
                f"GGUF metadata: `{key}` is of type {type(value).__name__}, and should be a text; "
                "fetch the file again."
            )
        templates[key.removeprefix(_GGUF_KEY).removeprefix(".") or _DEFAULT] = value
    return _choose([(_GGUF_KEY, templates)] if templates else [])


def _choose(found: list[tuple[str, dict[str, str]]]) -> FoundTemplate | None:
    """Use the first place, and name those that say something else."""
    if not found:
        return None
    origin, templates = found[0]
    source = templates.get(_DEFAULT)
    if source is None:
        raise BadCheckpoint(
            f"{origin} has chat templates for {', '.join(sorted(templates))}, and none called "
            f"{_DEFAULT!r}; give one with your own file."
        )
    warnings = tuple(
        f"the chat template of {other} differs from that of {origin}, which is used"
        for other, theirs in found[1:]
        if theirs.get(_DEFAULT, source) != source
    )
    named = {name: text for name, text in templates.items() if name != _DEFAULT}
    return FoundTemplate(source=source, origin=origin, named=named, warnings=warnings)


def _read_jinja(path: Path) -> dict[str, str]:
    templates = {_DEFAULT: read_text(path)}
    for other in sorted((path.parent / "additional_chat_templates").glob("*.jinja")):
        templates[other.stem] = read_text(other)
    return templates


def _read_json(path: Path) -> dict[str, str]:
    value = decode_json(read_bytes(path), _WithTemplate, path).chat_template
    if value is None:
        return {}
    if isinstance(value, str):
        return {_DEFAULT: value}
    if isinstance(value, dict):
        return value
    return {entry.name: entry.template for entry in value}
