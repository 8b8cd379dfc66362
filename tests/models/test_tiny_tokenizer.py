"""The tiny tokenizer: lossless, with markers of its own, and the same in both released forms."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
import tokenizers

from myna.models.tiny_tokenizer import (
    CHAT_TEMPLATE,
    WORDS,
    num_tokens,
    special_ids,
    vocabulary,
    write_tokenizer,
)
from myna.text import tokenizer_files
from myna.text.byte_level import from_bytes

TEXT = "Hello world, the answer is 42 - größer: 日本 🤖\n\n\t'quoted'"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tokenizer(tmp_path)
    return tmp_path


def render(**values: object) -> str:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(CHAT_TEMPLATE).render(**values)


def test_any_text_comes_back(folder: Path) -> None:
    tokenizer = tokenizer_files.from_folder(folder)
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT


def test_words_are_single_tokens() -> None:
    tokens, _ = vocabulary()
    assert all(from_bytes(word.encode()) in tokens for word in WORDS)
    assert len(tokens) == len(set(tokens.values()))


def test_words_are_written_as_single_tokens(folder: Path) -> None:
    tokenizer = tokenizer_files.from_folder(folder)
    assert len(tokenizer.encode("Hello world")) == 2


def test_markers_have_the_ids_that_are_told(folder: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert {token: tokenizer.token_to_id(token) for token in special_ids()} == special_ids()
    assert tokenizer.get_vocab_size() == num_tokens()


def test_both_released_forms_give_the_same_ids(folder: Path) -> None:
    first = tokenizer_files.from_folder(folder).encode(TEXT)
    (folder / "tokenizer.json").unlink()
    assert tokenizer_files.from_folder(folder).encode(TEXT) == first


def test_the_template_is_chatml() -> None:
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    assert render(messages=messages, add_generation_prompt=True) == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
    )


def test_thinking_opens_the_block_in_the_prompt() -> None:
    messages = [{"role": "user", "content": "U"}]
    text = render(messages=messages, add_generation_prompt=True, enable_thinking=True)
    assert text.endswith("<|im_start|>assistant\n<think>\n")


def test_tools_calls_and_their_results_are_rendered() -> None:
    call = {"function": {"name": "f", "arguments": {"x": 1}}}
    text = render(
        messages=[
            {"role": "system", "content": "S"},
            {"role": "user", "content": "U"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": "R"},
        ],
        tools=[{"name": "f"}],
    )
    assert text.startswith('<|im_start|>system\nS\n\n# Tools\n\n<tools>\n{"name": "f"}\n</tools>')
    assert '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call><|im_end|>' in text
    assert "<|im_start|>user\n<tool_response>\nR\n</tool_response><|im_end|>\n" in text
    assert text.count("system") == 1
