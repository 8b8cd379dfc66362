"""Stage `text`: rows of turns, what of them is scored, and that it learns."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from myna.train.language import mix
from myna.train.language.tokenizer import open_tokenizer
from myna.train.stages import text
from myna.train.start import materialise


@pytest.fixture
def writer() -> text.Writer:
    return text.Writer(open_tokenizer())


def test_rows_hold_whole_turns_whose_answers_are_scored(writer: text.Writer) -> None:
    batch = writer.write(random.Random(0), rows=3, length=96)
    assert batch.token_ids.shape == batch.labels.shape == (3, 96)
    assert len(batch.turns) > 6
    decode = writer.tokenizer.decode
    for turn in batch.turns:
        answer = batch.token_ids[turn.row, turn.start : turn.end]
        assert torch.equal(batch.labels[turn.row, turn.start - 1 : turn.end - 1], answer)
        assert decode(answer.tolist(), skip_special=False).endswith("<|im_end|>")
        before = decode(batch.token_ids[turn.row, : turn.start].tolist(), skip_special=False)
        assert before.endswith("<|im_start|>assistant\n")


def test_equal_seeds_write_equal_rows(writer: text.Writer) -> None:
    first, again = (writer.write(random.Random(7), rows=2, length=64) for _ in range(2))
    assert torch.equal(first.token_ids, again.token_ids)


def test_the_embedding_is_the_whole_thinkers_and_stays_so() -> None:
    decoder = text.build()
    weight = decoder.embed_tokens.weight
    assert not weight.requires_grad
    with torch.device("meta"):
        whole = nn.ModuleDict(
            {"decoder": nn.ModuleDict({"embed_tokens": nn.Embedding(*weight.shape)})}
        )
    materialise(whole, seed=text.SEED)
    assert torch.equal(weight, whole["decoder"]["embed_tokens"].weight)


def test_a_batch_is_learnt_from_and_its_right_answers_are_counted(writer: text.Writer) -> None:
    decoder = text.build()
    alone = text.Writer(writer.tokenizer, skills=[mix.find("day_after")], decline_share=0.0)
    batch = alone.write(random.Random(0), rows=1, length=40)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=2e-3)
    found = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = text.losses(decoder, batch)["loss"]
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        found.append(loss.item())
    assert found[-1] < 0.7 * found[0]
    right, asked = text.shares(decoder, [batch])["day_after"]
    assert 0 <= right <= asked == len(batch.turns)


def test_shares_are_told_with_the_worst_first() -> None:
    line = text.told({"add": (9, 10), "spell": (1, 10)})
    assert line == "right 50.0 of 100: spell 10  add 90"
