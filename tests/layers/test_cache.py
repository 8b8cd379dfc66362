"""What a packed batch carries beside its tokens, and how it is cut and joined."""

import torch

from myna.layers.cache import PackedBatch, Rows, Tap, join


def text(*token_ids: int) -> PackedBatch:
    return PackedBatch(torch.tensor(token_ids), torch.arange(len(token_ids)))


def mixed() -> PackedBatch:
    """Make six tokens: 1 and 4 replaced, something added to 4, and 4 tapped."""
    positions = torch.arange(18.0).view(3, 6)
    rows, one = torch.tensor([1, 4]), torch.tensor([4])
    return PackedBatch(
        torch.arange(6),
        positions,
        replaced=(Rows(rows, torch.tensor([[1.0], [4.0]])),),
        added=((Rows(one, torch.tensor([[40.0]])),), (Rows(one, torch.tensor([[41.0]])),)),
        taps=(Tap(2, Rows(one, torch.zeros(1, 1))),),
    )


def test_a_batch_of_text_carries_tokens_only() -> None:
    batch = text(0, 1, 2)
    assert (batch.replaced, batch.added, batch.taps) == ((), (), ())


def test_cut_rows_are_counted_from_the_cut_on() -> None:
    rows = Rows(torch.tensor([2, 3, 7, 9]), torch.arange(8.0).view(4, 2))
    cut = rows.cut(3, 9)
    assert cut.rows.tolist() == [0, 4]
    assert cut.values.tolist() == [[2, 3], [4, 5]]
    assert rows.cut(4, 7).rows.tolist() == []


def test_what_is_written_to_a_cut_is_written_to_the_whole() -> None:
    rows = Rows(torch.tensor([1, 4]), torch.zeros(2, 2))
    rows.cut(4, 6).moved(3).values.fill_(7)
    assert rows.values.tolist() == [[0, 0], [7, 7]]


def test_a_chunk_keeps_what_belongs_to_its_tokens() -> None:
    chunk = mixed().cut(3, 6)
    assert chunk.token_ids.tolist() == [3, 4, 5]
    assert chunk.positions.tolist() == [[3, 4, 5], [9, 10, 11], [15, 16, 17]]
    assert [rows.rows.tolist() for rows in chunk.replaced] == [[1]]
    assert [layer[0].values.tolist() for layer in chunk.added] == [[[40]], [[41]]]
    assert chunk.taps[0].out.rows.tolist() == [1]
    assert mixed().cut(2, 4).replaced[0].rows.tolist() == []


def test_joined_batches_count_rows_from_the_first_token() -> None:
    joined = join([text(8, 9), mixed(), mixed().cut(4, 5)])
    assert joined.token_ids.tolist() == [8, 9, 0, 1, 2, 3, 4, 5, 4]
    assert joined.positions[:, :2].tolist() == [[0, 1]] * 3
    assert joined.positions[:, 8].tolist() == [4, 10, 16]
    assert [rows.rows.tolist() for rows in joined.replaced] == [[3, 6], [8]]
    assert [[rows.rows.tolist() for rows in layer] for layer in joined.added] == [[[6], [8]]] * 2
    assert [(tap.depth, tap.out.rows.tolist()) for tap in joined.taps] == [(2, [6]), (2, [8])]


def test_batches_of_text_join_as_they_are() -> None:
    joined = join([text(8, 9), text(7)])
    assert joined.positions.tolist() == [0, 1, 0]
    assert joined.added == ()
