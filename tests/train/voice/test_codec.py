import torch

from myna.train.shapes import CODEBOOK_SIZE, FRAME_SAMPLES, NUM_CODEBOOKS
from myna.train.voice.codec import (
    CODE_WIDTH,
    Codec,
    Quantiser,
    draw_depths,
    nearest,
    num_used,
)
from myna.train.voice.shards import SLOTS


def placed() -> tuple[Quantiser, torch.Tensor]:
    torch.manual_seed(1)
    z = torch.randn(2, 300, CODE_WIDTH)
    quantiser = Quantiser().eval()
    quantiser.begin(z.flatten(0, 1), seed=2)
    return quantiser, z


def test_the_nearest_entry_is_found() -> None:
    entries = torch.tensor([[0.0, 0.0], [1.0, 1.0], [5.0, 0.0]])
    assert nearest(torch.tensor([[0.9, 0.8], [4.0, 1.0]]), entries).tolist() == [1, 2]


def test_each_codebook_brings_the_sum_closer() -> None:
    quantiser, z = placed()
    misfits = [
        float((quantiser(z, torch.full((2,), depth)).vectors - z).square().mean())
        for depth in range(1, NUM_CODEBOOKS + 1)
    ]
    assert misfits == sorted(misfits, reverse=True)
    assert misfits[-1] < 0.2 * misfits[0]


def test_gradients_pass_straight_through() -> None:
    quantiser, z = placed()
    z.requires_grad_(True)
    quantiser(z).vectors.sum().backward()
    torch.testing.assert_close(z.grad, torch.ones_like(z))


def test_entries_follow_only_while_training() -> None:
    quantiser, z = placed()
    before = quantiser.entries.clone()
    quantiser(z)
    torch.testing.assert_close(quantiser.entries, before)
    quantiser.train()(z + 1)
    assert not torch.equal(quantiser.entries, before)


def test_an_unused_entry_is_placed_anew() -> None:
    quantiser, z = placed()
    quantiser.entries[0, 0] = 1_000.0
    quantiser.sums[0, 0] = 1_000.0
    quantiser.counts[0, 0] = 0.0
    quantiser.train()(z)
    assert float(quantiser.entries[0, 0].abs().max()) < 10


def test_about_half_of_the_rows_use_all_codebooks() -> None:
    depths = draw_depths(1_000, torch.Generator().manual_seed(0))
    assert 450 < int((depths == NUM_CODEBOOKS).sum()) < 650
    assert int(depths.min()) == 1


def test_sound_becomes_codes_and_losses() -> None:
    torch.manual_seed(3)
    codec = Codec().eval()
    waves = 0.1 * torch.randn(2, 4 * FRAME_SAMPLES)
    codec.quantiser.begin(torch.randn(600, CODE_WIDTH), seed=4)
    codes = codec.codes(waves)
    assert codes.shape == (2, NUM_CODEBOOKS, 4)
    assert int(codes.max()) < CODEBOOK_SIZE
    assert num_used(codes) == [len(codes[:, book].unique()) for book in range(NUM_CODEBOOKS)]
    phonemes = torch.zeros(2, 4, SLOTS, dtype=torch.int64)
    losses = codec.losses(waves, phonemes, torch.tensor([1, 8]))
    losses["loss"].backward()
    assert all(torch.isfinite(value) for value in losses.values())
    assert codec.enter.weight.grad is not None


@torch.no_grad()
def test_codes_do_not_know_what_follows() -> None:
    torch.manual_seed(5)
    codec = Codec().eval()
    codec.quantiser.begin(torch.randn(600, CODE_WIDTH), seed=4)
    waves = 0.1 * torch.randn(1, 8 * FRAME_SAMPLES)
    other = waves.clone()
    other[:, 5 * FRAME_SAMPLES :] = 0.0
    # The last window of a mel frame reaches a little into the next frame of codes.
    assert torch.equal(codec.codes(waves)[..., :4], codec.codes(other)[..., :4])
    assert not torch.equal(codec.codes(waves)[..., 5:], codec.codes(other)[..., 5:])
