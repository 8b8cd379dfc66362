"""What a packed batch carries beside its tokens."""

import torch

from myna.layers.cache import PackedBatch, Rows


def test_a_batch_of_text_carries_tokens_only() -> None:
    batch = PackedBatch(torch.arange(3), torch.arange(3))
    assert (batch.replaced, batch.added, batch.taps) == ((), (), ())


def test_cutting_counts_rows_from_the_first_token() -> None:
    rows = Rows(torch.tensor([2, 3, 7, 9]), torch.arange(8.0).view(4, 2))
    cut = rows.cut(3, 9, first_row=10)
    assert cut.rows.tolist() == [10, 14]
    assert cut.values.tolist() == [[2, 3], [4, 5]]
    assert rows.cut(4, 7).rows.tolist() == []


def test_what_is_written_to_a_cut_is_written_to_the_whole() -> None:
    rows = Rows(torch.tensor([1, 4]), torch.zeros(2, 2))
    rows.cut(4, 6).values.fill_(7)
    assert rows.values.tolist() == [[0, 0], [7, 7]]
