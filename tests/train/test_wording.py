"""Tokens near a word's embedding are heard or seen as that word."""

from __future__ import annotations

import pytest
import torch

from myna.train import wording
from myna.train.language.tokenizer import open_tokenizer
from myna.train.stages import text

WORDS = ("cat", "dog", "red", "seven")


def test_words_are_embedded_as_the_thinker_reads_them(monkeypatch, tmp_path):
    monkeypatch.setenv("MYNA_HOME", str(tmp_path))
    table = text.build().embed_tokens.weight
    ids = open_tokenizer().encode(" cat dog red seven")
    assert torch.equal(wording.embedded(WORDS), table[ids])


def test_the_nearest_word_scores_highest_at_any_loudness():
    tokens = wording.embedded(WORDS)
    for loudness in (0.1, 10.0):
        logits = wording.Wording(WORDS)(loudness * tokens)
        assert logits[:, 0].argmax(-1).tolist() == [0, 1, 2, 3]
        assert logits[:, 0].softmax(-1).max(-1).values.min() > 0.99


def test_words_in_two_places_of_a_token_do_not_disturb_one_another():
    made = wording.Wording(WORDS, num_places=2)
    first, second = made.table
    logits = made(torch.stack([first[0] + second[2], first[3] + second[3]]))
    assert logits.argmax(-1).tolist() == [[0, 2], [3, 3]]


def test_a_word_that_is_no_token_is_refused():
    with pytest.raises(KeyError):
        wording.Wording(("zyzzyva",))
