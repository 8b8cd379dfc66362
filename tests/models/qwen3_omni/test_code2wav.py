"""Sound made in pieces is the sound made at once, whatever the pieces, whoever speaks beside."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from myna.models.qwen3_omni.code2wav import Code2Wav, State, join, split

RELATIVE_BAR = 1e-5
EXACT_BAR = 1e-12
NUM_CODES = 64
NUM_CODEBOOKS = 4
WINDOW = 16  # shorter than the streams, so that positions leave it


@pytest.fixture(scope="module")
def network(tiny_speech) -> Code2Wav:
    """Shorten the window of the tiny model."""
    whole = tiny_speech.code2wav
    network = Code2Wav(replace(whole.config, window=WINDOW))
    network.load_state_dict(whole.state_dict())
    return network


def draw(num_frames: int, *, num_streams: int = 1, seed: int = 0) -> Tensor:
    shape = (num_streams, NUM_CODEBOOKS, num_frames)
    return torch.randint(NUM_CODES, shape, generator=torch.manual_seed(seed))


@torch.inference_mode()
def stream(network: Code2Wav, codes: Tensor, size: int, state: State | None = None) -> Tensor:
    """Decode in pieces of `size` frames."""
    state = network.fresh_state(len(codes)) if state is None else state
    return torch.cat([network(piece, state) for piece in codes.split(size, -1)], -1)


@torch.inference_mode()
def whole(network: Code2Wav, codes: Tensor) -> Tensor:
    return network.decode(codes)


def check(found: Tensor, expected: Tensor, bar: float = RELATIVE_BAR) -> None:
    rms = float(expected.pow(2).mean().sqrt())
    assert rms > 0.05
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= bar * max(1.0, rms)


@pytest.mark.parametrize("size", [1, 2, 4, 7, 25])
def test_pieces_join_without_a_seam(network, size: int) -> None:
    codes = draw(60, num_streams=2)
    check(stream(network, codes, size), whole(network, codes))


def test_long_pieces_join_without_a_seam(network) -> None:
    codes = draw(330)
    check(stream(network, codes, 300), whole(network, codes))


def test_sizes_may_change_from_piece_to_piece(network) -> None:
    codes = draw(60)
    state = network.fresh_state()
    pieces = [stream(network, piece, 60, state) for piece in codes.split([1, 29, 2, 20, 8], -1)]
    check(torch.cat(pieces, -1), whole(network, codes))


def test_in_double_precision_pieces_are_exact(network) -> None:
    exact = Code2Wav(network.config).double()
    exact.load_state_dict(network.state_dict())
    codes = draw(60)
    check(stream(exact, codes, 7), whole(exact, codes), EXACT_BAR)


@pytest.mark.parametrize("num_frames", [1, 2, 20, 31])
def test_a_stream_falls_555_samples_short_of_its_frames(network, num_frames: int) -> None:
    assert network.num_samples(num_frames) == 1920 * num_frames - 555
    assert whole(network, draw(num_frames)).shape == (1, 1920 * num_frames - 555)


def test_only_the_first_piece_is_short(network) -> None:
    state = network.fresh_state()
    lengths = [
        stream(network, piece, 9, state).shape[-1] for piece in draw(11).split([1, 1, 9], -1)
    ]
    assert lengths == [1920 - 555, 1920, 9 * 1920]
    assert network.num_samples(0) == 0


def test_eight_voices_together_are_each_alone(network) -> None:
    """They begin at different times, so that their windows are filled differently."""
    begun = [1, 2, 3, 5, 8, 13, 21, 34]
    codes = [draw(count + 24, seed=i) for i, count in enumerate(begun)]
    states = [network.fresh_state() for _ in begun]
    waves = [
        [stream(network, item[..., :count], count, state)]
        for item, count, state in zip(codes, begun, states, strict=True)
    ]
    for step in range(0, 24, 6):
        together = join(states)
        pieces = [
            item[..., count + step : count + step + 6]
            for item, count in zip(codes, begun, strict=True)
        ]
        found = stream(network, torch.cat(pieces), 6, together)
        states = split(together)
        for wave, piece in zip(waves, found.split(1), strict=True):
            wave.append(piece)
    assert [state.num_frames for state in states] == [[count + 24] for count in begun]
    for wave, item in zip(waves, codes, strict=True):
        check(torch.cat(wave, -1), whole(network, item))


def test_voices_that_begin_together_are_each_alone(network) -> None:
    codes = draw(20, num_streams=3)
    together = stream(network, codes, 5)
    for found, alone in zip(together.split(1), codes.split(1), strict=True):
        check(found, whole(network, alone))


def test_the_state_does_not_grow(network) -> None:
    state = network.fresh_state()
    before = [window.keys.shape for window in state.windows]
    stream(network, draw(40), 20, state)
    assert [window.keys.shape for window in state.windows] == before
    held = sum(past.steps.untyped_storage().nbytes() for past in state.pasts.values())
    assert held < 50_000


def test_reading_what_was_never_written_shows(network) -> None:
    state = network.fresh_state()
    assert all(window.keys.isnan().all() for window in state.windows)
    state.num_frames = [3]
    assert stream(network, draw(2), 2, state).isnan().all()


def test_fresh_streams_run_apart_from_others(network) -> None:
    begun = network.fresh_state()
    stream(network, draw(2), 2, begun)
    with pytest.raises(AssertionError, match="fresh streams run apart from others"):
        join([begun, network.fresh_state()])


def test_codes_that_are_no_sound_are_refused(network) -> None:
    with pytest.raises(AssertionError, match="a code of another codebook or a control"):
        whole(network, draw(2) + NUM_CODES)


def test_it_runs_in_half_precision(network) -> None:
    rough = Code2Wav(network.config).bfloat16()
    rough.load_state_dict(network.state_dict())
    codes = draw(3)
    found = stream(rough, codes, 2)
    assert found.dtype is torch.bfloat16
    assert float((found.float() - whole(network, codes)).abs().mean()) < 0.1
