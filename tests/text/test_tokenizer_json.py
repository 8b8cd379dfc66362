"""Reading tokenizer.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from myna.core.errors import BadCheckpoint, Unsupported
from myna.text.tokenizer_json import read_tokenizer_json
from myna.text.tokenizer_parts import LLAMA3_PATTERN, assemble

# The file is changed by hand below, at places of every type.
Json = dict[str, Any]


@pytest.fixture
def write(
    trained: tokenizers.Tokenizer, tmp_path: Path
) -> Callable[[Callable[[Json], object]], Path]:
    """Give a function that writes the trained tokenizer's file with a change."""

    def write(change: Callable[[Json], object]) -> Path:
        form = json.loads(trained.to_str())
        change(form)
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps(form))
        return path

    return write


Write = Callable[[Callable[[Json], object]], Path]

STEPS = {
    "digits first, as SmolLM2": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    ),
    "llama 3": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(LLAMA3_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    ),
    "gpt-2, with a blank first": pre_tokenizers.ByteLevel(add_prefix_space=True),
    "nested, and by a plain text": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(" ", "merged_with_next"),
            pre_tokenizers.Sequence([pre_tokenizers.ByteLevel(False, use_regex=True)]),
        ]
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_the_rebuilt_tokenizer_equals_the_library_on_the_same_file(
    trained: tokenizers.Tokenizer, corpus: tuple[str, ...], tmp_path: Path, name: str
) -> None:
    model = models.BPE(
        vocab=json.loads(trained.to_str())["model"]["vocab"],
        merges=[tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]],
        ignore_merges=name == "llama 3",
    )
    rust = tokenizers.Tokenizer(model)
    rust.pre_tokenizer = STEPS[name]
    rust.normalizer = normalizers.Sequence([normalizers.NFKC()]) if "gpt" in name else None
    rust.decoder = decoders.ByteLevel()
    rust.add_special_tokens(["<|im_end|>", "<|im_start|>"])
    rust.save(str(tmp_path / "tokenizer.json"))
    parts, _ = read_tokenizer_json(tmp_path / "tokenizer.json")
    ours = assemble(parts, source="f")
    for text in (*corpus, "a<|im_end|> b 123456"):
        assert ours.encode(text).ids == rust.encode(text, add_special_tokens=False).ids


def test_merges_may_be_lines(write: Write, trained: tokenizers.Tokenizer) -> None:
    def to_lines(form: Json) -> None:
        form["model"]["merges"] = [" ".join(pair) for pair in form["model"]["merges"]]

    parts, first = read_tokenizer_json(write(to_lines))
    assert parts.merges == [tuple(p) for p in json.loads(trained.to_str())["model"]["merges"]]
    assert first is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: f["model"].update(type="Unigram"),
            "kind 'Unigram' with the decoder 'ByteLevel'",
        ),
        (lambda f: f.update(decoder=None), "with the decoder None; only byte-level BPE"),
        (lambda f: f["model"].update(end_of_word_suffix="</w>"), "without prefixes or suffixes"),
        (lambda f: f["model"].update(continuing_subword_prefix="##"), "without prefixes"),
        (lambda f: f["normalizer"].update(type="Lowercase"), "the normalizer 'Lowercase' is not"),
        (lambda f: f["pre_tokenizer"].update(type="Metaspace"), "the pre_tokenizer 'Metaspace'"),
        (
            lambda f: f["pre_tokenizer"]["pretokenizers"][0].update(behavior="Odd"),
            "the pre_tokenizer 'Split' is not known",
        ),
        (
            lambda f: f["pre_tokenizer"]["pretokenizers"][0].update(pattern={"Odd": "a"}),
            "the pattern .*Odd.* is not known here",
        ),
        (
            lambda f: f["pre_tokenizer"]["pretokenizers"][0].update(pattern={"String": ""}),
            "the pattern .* is not known here",
        ),
    ],
)
def test_other_kinds_are_refused_by_name(
    write: Write, change: Callable[[Json], object], message: str
) -> None:
    with pytest.raises(Unsupported, match=message):
        read_tokenizer_json(write(change))


def test_a_broken_pattern_is_refused(write: Write) -> None:
    path = write(lambda f: f["pre_tokenizer"]["pretokenizers"][0].update(pattern={"Regex": "(("}))
    with pytest.raises(BadCheckpoint, match=r"pattern '\(\(' is no regular expression"):
        read_tokenizer_json(path)


def test_added_tokens_that_share_an_id_are_refused(write: Write) -> None:
    path = write(lambda f: f["added_tokens"][0].update(id=f["added_tokens"][1]["id"]))
    with pytest.raises(BadCheckpoint, match=r"the tokens .* and .* share the id"):
        assemble(read_tokenizer_json(path)[0], source="f")
