"""The tokenizer of tiny checkpoints: every byte, a few English words, ChatML's markers.

Written in the released files' form, so that whatever reads those reads this. Not here: reading
(text).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from myna.text.byte_level import ALPHABET, from_bytes
from myna.text.tokenizer_parts import QWEN2_PATTERN

WORDS = (
    *("the", " the", " of", " and", " to", " in", " is", " that", " for", " it", " you", " with"),
    *("ing", "er", " model", " answer", " question", "ed", "ion", " a", "Hello", " world"),
)
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MARKERS = (
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)

CHAT_TEMPLATE = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- '# Tools\\n\\n<tools>' }}
    {%- for tool in tools %}
        {{- '\\n' + (tool | tojson) }}
    {%- endfor %}
    {{- '\\n</tools>\\n\\nAnswer a call as <tool_call>\\n{"name": ..., "arguments":
    ...}\\n</tool_call>' }} {{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content +
        '\\n</tool_response><|im_end|>\\n' }}
    {%- elif not (tools and loop.first and message.role == 'system') %}
        {{- '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
        {%- for call in message.tool_calls or [] %}
            {%- set call = call.function or call %}
            {{- '\\n<tool_call>\\n{"name": "' + call.name + '", "arguments": ' }}
            {{- (call.arguments if call.arguments is string else call.arguments | tojson) + '}' }}
            {{- '\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking %}
        {{- '<think>\\n' }}
    {%- endif %}
{%- endif %}
"""


def vocabulary(words: Sequence[str] = WORDS) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Make the plain tokens with their ids, and the merges that build the words."""
    tokens = list(ALPHABET)
    merges: list[tuple[str, str]] = []
    for word in words:
        pieces = _apply(merges, list(from_bytes(word.encode())))
        while len(pieces) > 1:
            merges.append((pieces[0], pieces[1]))
            pieces = [pieces[0] + pieces[1], *pieces[2:]]
            if pieces[0] not in tokens:
                tokens.append(pieces[0])
    return {token: token_id for token_id, token in enumerate(tokens)}, merges


def special_ids() -> dict[str, int]:
    """Number the special tokens and markers, after the plain ones."""
    first = len(vocabulary()[0])
    return {token: first + i for i, token in enumerate((*SPECIAL_TOKENS, *MARKERS))}


def num_tokens() -> int:
    """Count all tokens."""
    return len(vocabulary()[0]) + len(SPECIAL_TOKENS) + len(MARKERS)


def write_tokenizer(folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json, vocab.json and merges.txt."""
    vocab, merges = vocabulary()
    added = [
        added_token(token, token_id, is_special=token in SPECIAL_TOKENS)
        for token, token_id in special_ids().items()
    ]
    write_tokenizer_json(folder, vocab, merges, added)
    write_vocabulary(folder, vocab, merges, added, chat_template=CHAT_TEMPLATE)


def write_tokenizer_json(
    folder: Path,
    vocab: Mapping[str, int],
    merges: Sequence[tuple[str, str]],
    added: Sequence[Mapping[str, object]],
    *,
    ignores_merges: bool = False,
) -> None:
    """Write tokenizer.json.

    Args:
        folder: is there.
        vocab: the plain tokens.
        merges: what builds them.
        added: the others, made by `added_token`.
        ignores_merges: whether a word that is a token is that token, whatever the merges say.
    """
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": QWEN2_PATTERN},
                    "behavior": "Isolated",
                    "invert": False,
                },
                _byte_level(),
            ],
        },
        "post_processor": _byte_level(),
        "decoder": _byte_level(),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": ignores_merges,
            "vocab": vocab,
            "merges": [f"{left} {right}" for left, right in merges],
        },
    }
    _write_json(folder / "tokenizer.json", tokenizer)


def write_vocabulary(
    folder: Path,
    vocab: Mapping[str, int],
    merges: Sequence[tuple[str, str]],
    added: Sequence[Mapping[str, object]],
    **settings: object,
) -> None:
    """Write tokenizer_config.json, vocab.json and merges.txt.

    Args:
        folder: is there.
        vocab: the plain tokens.
        merges: what builds them.
        added: the others, made by `added_token`.
        **settings: further keys of tokenizer_config.json.
    """
    write_tokenizer_config(folder, added, **settings)
    _write_json(folder / "vocab.json", vocab)
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_tokenizer_config(
    folder: Path, added: Sequence[Mapping[str, object]], **settings: object
) -> None:
    """Write tokenizer_config.json; the arguments are those of `write_vocabulary`."""
    config = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"}
            for token in added
        },
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
        **settings,
    }
    _write_json(folder / "tokenizer_config.json", config)


def added_token(token: str, token_id: int, *, is_special: bool) -> dict[str, object]:
    """Describe a token that is no text, as the released files do."""
    return {
        "id": token_id,
        "content": token,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": is_special,
    }


def _apply(merges: list[tuple[str, str]], pieces: list[str]) -> list[str]:
    for left, right in merges:
        i = 0
        while i + 1 < len(pieces):
            if (pieces[i], pieces[i + 1]) == (left, right):
                pieces[i : i + 2] = [left + right]
            i += 1
    return pieces


def _byte_level() -> dict[str, object]:
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": False,
        "use_regex": False,
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
