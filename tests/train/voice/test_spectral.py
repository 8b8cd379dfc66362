import torch

from myna.train.voice.spectral import FLOOR, MEL_HOP, NUM_MELS, distance, filters, log_mel
from myna.train.voice.teacher import RATE_HZ


def tone(hz: float) -> torch.Tensor:
    return torch.sin(2 * torch.pi * hz * torch.arange(RATE_HZ // 4) / RATE_HZ)[None]


def test_a_higher_tone_is_in_a_higher_band() -> None:
    low, high = (log_mel(tone(hz))[0].mean(0).argmax() for hz in (300, 3_000))
    assert low < high


def test_every_band_covers_some_frequency() -> None:
    assert filters().shape[0] == NUM_MELS
    assert bool((filters().sum(1) > 0).all())


def test_silence_is_at_the_floor() -> None:
    mels = log_mel(torch.zeros(1, 10 * MEL_HOP))
    assert mels.shape == (1, 10, NUM_MELS)
    torch.testing.assert_close(mels, torch.full_like(mels, FLOOR).log())


def test_equal_sounds_have_no_distance() -> None:
    assert float(distance(tone(440), tone(440))) == 0
    assert float(distance(tone(440), tone(880))) > 1


def test_the_distance_of_silence_has_a_gradient() -> None:
    made = torch.zeros(1, 4_096, requires_grad=True)
    distance(made, tone(440)[:, :4_096]).backward()
    assert made.grad is not None
    assert bool(made.grad.isfinite().all())
