"""Waves made in few calls are the modules' waves, whatever the pieces, whoever speaks beside."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from myna.kernels import convolve
from myna.models.qwen3_omni.code2wav import Code2Wav, join, split
from myna.models.qwen3_omni.code2wav_steps import fuse

NUM_CODES = 64
NUM_CODEBOOKS = 4


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel serve at any instruction set."""
    if convolve.native() is None:
        pytest.skip("the kernels are not compiled: there was no C++ compiler at installation")
    monkeypatch.setattr(convolve, "serves", lambda: True)


@pytest.fixture
def rough(tiny_speech) -> Code2Wav:
    """Hold the tiny model in half precision."""
    network: Code2Wav = copy.deepcopy(tiny_speech.code2wav).bfloat16()
    return network


@pytest.fixture
def fused(rough) -> Code2Wav:
    """Run it in few calls."""
    network = copy.deepcopy(rough)
    fuse(network)
    assert network.waves is not None
    return network


def draw(num_frames: int, *, num_streams: int = 1, seed: int = 0) -> Tensor:
    shape = (num_streams, NUM_CODEBOOKS, num_frames)
    return torch.randint(NUM_CODES, shape, generator=torch.manual_seed(seed))


@torch.inference_mode()
def stream(network: Code2Wav, features: Tensor, sizes: list[int], *, state=None) -> Tensor:
    """Make waves of features in pieces, the frames of each given."""
    assert network.waves is not None
    state = network.fresh_state(len(features)) if state is None else state
    waves = []
    for piece in features.split([4 * size for size in sizes], -1):
        waves.append(network.waves(piece, state))
        state.num_frames = [count + 1 for count in state.num_frames]
    return torch.cat(waves, -1)


@torch.inference_mode()
def features_of(network: Code2Wav, codes: Tensor) -> Tensor:
    features: Tensor = network.features(codes, network.fresh_state(len(codes)))
    return features


def test_it_is_nearer_to_the_exact_wave_than_the_modules_are(rough, fused) -> None:
    networks = (copy.deepcopy(rough).float(), rough, fused)
    with torch.inference_mode():
        exact, plain, found = (network.decode(draw(9)).float() for network in networks)
    assert float(exact.square().mean().sqrt()) > 0.05
    assert found.shape == exact.shape
    error, plain_error = ((wave - exact).abs().mean() for wave in (found, plain))
    assert float(error) < 1.1 * float(plain_error)


@pytest.mark.parametrize("sizes", [[1] * 12, [1, 2, 4, 5], [7, 5]], ids=str)
def test_pieces_are_the_whole_to_the_bit(fused, sizes: list[int]) -> None:
    features = features_of(fused, draw(12, num_streams=2))
    assert torch.equal(stream(fused, features, sizes), stream(fused, features, [12]))


def test_voices_together_are_each_alone_to_the_bit(fused) -> None:
    features = features_of(fused, draw(10, num_streams=3))
    together = stream(fused, features, [4, 6])
    for found, alone in zip(together.split(1), features.split(1), strict=True):
        assert torch.equal(found, stream(fused, alone, [4, 6]))


def test_streams_go_on_from_modules_and_back(rough, fused) -> None:
    """What a stream carries is the same either way."""
    codes = draw(8)
    pieces = codes.split(2, -1)
    with torch.inference_mode():
        state, alone = rough.fresh_state(), fused.fresh_state()
        keys = dict(zip(state.pasts, alone.pasts, strict=True))
        waves = [rough(pieces[0], state)]
        for conv, other in keys.items():
            alone.pasts[other] = state.pasts[conv]
        alone.windows, alone.num_frames = state.windows, state.num_frames
        waves += [fused(piece, alone) for piece in pieces[1:]]
        whole = fused(codes, fused.fresh_state())
    assert float((torch.cat(waves, -1) - whole).float().abs().mean()) < 0.05


def test_states_join_and_split(fused) -> None:
    with torch.inference_mode():
        states = [fused.fresh_state() for _ in range(2)]
        for seed, state in enumerate(states):
            fused(draw(3, seed=seed), state)
        found = fused(draw(2, num_streams=2), join(states))
        alone = fused(draw(2, num_streams=2)[1:], split(join(states))[1])
    assert float((found[1:] - alone).float().abs().mean()) < 0.02


def test_the_modules_give_up_their_weights(fused) -> None:
    names = {name for name, _ in fused.named_parameters() if name.startswith("decoder.")}
    assert not any(name.endswith("weight") for name in names)
    assert fused.fresh_state().pasts


def test_other_numbers_and_other_machines_keep_the_modules(
    tiny_speech, rough, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = copy.deepcopy(tiny_speech.code2wav)
    fuse(exact)
    monkeypatch.setattr(convolve, "serves", lambda: False)
    fuse(rough)
    assert exact.waves is None
    assert rough.waves is None
    assert rough.decoder[0].weight is not None
