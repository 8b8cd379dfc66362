"""The tokenizer: released form, whole words, frozen ids."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest
import tokenizers

from myna.models.qwen3_omni.config import Config
from myna.text.tokenizer_files import from_folder
from myna.train.language import sentences, style, tokenizer, words
from myna.train.pictures.names import NAMES
from myna.train.shapes import VOCAB_SIZE, config

FROZEN = 3213598901


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    tokenizer.write_tokenizer(path)
    return path


def test_words_and_their_numbers_stay_what_weights_were_trained_on() -> None:
    """A change here means to train everything anew."""
    assert zlib.crc32("\n".join(tokenizer.token_ids()).encode()) == FROZEN


def test_it_fits_the_shape_of_the_model() -> None:
    ids = tokenizer.token_ids()
    assert len(ids) <= VOCAB_SIZE
    made = Config.from_hf(config(ids))
    assert made.thinker.text.vocab_size == VOCAB_SIZE


def test_sentences_and_names_are_whole_words(folder: Path) -> None:
    tokens = from_folder(folder)
    rng = random.Random(0)
    said = [*(sentences.make(rng) for _ in range(300)), *NAMES, *words.domain()]
    said += [words.plural(name) for name in NAMES]
    for text in [*said, *style.DECLINES]:
        num_commas = text.count(",")
        assert len(tokens.encode(f" {text}")) == len(text.split()) + num_commas, text


def test_any_text_comes_back(folder: Path) -> None:
    tokens = from_folder(folder)
    text = "Écrivez 漢字 to <me>, 47 + 85 = ?\n\tdef f(): pass"
    assert tokens.decode(tokens.encode(text)) == text


def test_the_library_cuts_text_in_the_same_way(folder: Path) -> None:
    theirs = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    ours = from_folder(folder)
    for text in ("what is 47 + 85?", "seven o'clock, Monday", "a stethoscope"):
        assert theirs.encode(text).ids == ours.encode(text)


def test_a_chat_is_rendered_with_roles_of_one_token(folder: Path) -> None:
    ids = tokenizer.token_ids()
    start = from_folder(folder).encode("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n")
    assert start[:2] == [ids["<|im_start|>"], ids["user"]]
    assert start[-2] == ids["assistant"]


def test_the_workshop_keeps_one_tokenizer(workshop: Path) -> None:
    first = tokenizer.open_tokenizer()
    assert (workshop / tokenizer.FOLDER / "tokenizer.json").exists()
    assert tokenizer.open_tokenizer().vocab_size == first.vocab_size
