"""Ears begin with a sound start, learn from frames, and say words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from myna.models.qwen3_omni.audio_encoder import AudioEncoder, sinusoids
from myna.models.qwen3_omni.encoder_config import AudioConfig
from myna.train import start
from myna.train.shapes import THINKER_WIDTH
from myna.train.sound.frames import OTHER
from myna.train.sound.lessons import Lesson
from myna.train.stages.ears import (
    CONTENT_STD,
    OFFSETS,
    Ears,
    balance,
    heard_words,
    look_around,
    losses,
    word_error_rate,
    word_ids,
)
from myna.train.wording import Wording

WORDS = ("cat", "dog", "bird")
CONFIG = AudioConfig(
    num_mels=128,
    width=128,
    hidden_width=32,
    num_layers=2,
    num_heads=4,
    conv_channels=4,
    chunk_frames=800,
    window_chunks=1,
    out_width=THINKER_WIDTH,
)


@pytest.fixture
def ears() -> Ears:
    with torch.device("meta"):
        made = Ears(AudioEncoder(CONFIG), OTHER + 1 + len(WORDS))
    start.materialise(made, seed=3)
    made.wording = Wording(WORDS)
    return made


def lesson(*, step: int) -> Lesson:
    """Make two clips: each word is a band of its own, said in the middle."""
    mel = np.full((2, 128, 48), -1.0, np.float32)
    words = np.zeros((2, 6, 2), np.int64)
    for clip, (word, band) in enumerate(((2, 20), (3, 90))):
        mel[clip, band : band + 16, 16:40] = 1.0
        words[clip, 2:5] = word
    begins = np.zeros_like(words)
    begins[:, 2, 0] = 1
    return Lesson(
        mel=mel,
        phones=np.repeat(words, 2, axis=2),
        words=words,
        begins=begins,
        events=np.zeros((2, 6), np.int64),
        onsets=np.zeros_like(words),
        pitches=np.zeros((2, 6), np.int64),
        texts=("cat", "dog"),
        step=step,
    )


def test_convolutions_are_balanced_against_positions(ears: Ears) -> None:
    mel = torch.randn(2, 128, 80).cumsum(2) / 5
    balance(ears.audio_tower, mel)
    rows = ears.audio_tower.convolve(mel) - sinusoids(10, CONFIG.width)
    assert rows.flatten(0, 1).std(0).mean().item() == pytest.approx(CONTENT_STD, rel=0.2)


def test_heads_look_where_they_are_turned_to(ears: Ears) -> None:
    look_around(ears.audio_tower)
    layer = ears.audio_tower.layers[0]
    x = layer.self_attn_layer_norm(sinusoids(40, CONFIG.width))
    q, k = (
        projection(x).unflatten(-1, (CONFIG.num_heads, -1))
        for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj)
    )
    likeliest = torch.einsum("qhk,shk->hqs", q, k).argmax(-1)  # (H, T)
    middle = slice(8, 32)
    for head, offset in enumerate(OFFSETS[0]):
        shifts = (likeliest[head] - torch.arange(40))[middle]
        assert (shifts - offset).abs().float().mean().item() < 0.5


def test_ears_hear_as_the_encoder_does(ears: Ears) -> None:
    mel = torch.from_numpy(lesson(step=0).mel)
    with torch.no_grad():
        heard, _ = ears(mel)
        assert torch.equal(heard, ears.audio_tower(list(mel)))


def test_a_stream_that_grows_is_held_back(ears: Ears) -> None:
    mel = torch.from_numpy(lesson(step=0).mel)
    balance(ears.audio_tower, mel)
    with torch.no_grad():
        before = ears(mel)[1].item()
        ears.audio_tower.layers[0].fc2.weight *= 50
        assert ears(mel)[1].item() > before + 1


def test_ears_learn_words_frame_by_frame(ears: Ears) -> None:
    balance(ears.audio_tower, torch.from_numpy(lesson(step=0).mel))
    terms: dict[str, Tensor] = {}
    for step in range(40):
        terms = dict(losses(ears, lesson(step=step)))
        ears.zero_grad()
        terms["total"].backward()
        with torch.no_grad():
            for parameter in ears.parameters():
                parameter -= 2e-3 * parameter.grad.sign()
    assert terms["words"].item() < 0.3
    assert terms["words_right"].item() == 1.0
    mel = torch.from_numpy(lesson(step=0).mel)
    assert [heard_words(ears, clip, WORDS) for clip in mel] == [["cat"], ["dog"]]


def test_the_total_is_minimised_and_comes_first(ears: Ears) -> None:
    terms = losses(ears, lesson(step=0))
    assert next(iter(terms)) == "total"
    assert terms["total"].requires_grad


def test_words_are_numbered_after_silence_and_others() -> None:
    assert word_ids(WORDS) == {"cat": 2, "dog": 3, "bird": 4}


def test_errors_are_counted_against_what_was_said() -> None:
    said = [["a", "cat", "sat"], ["stop"]]
    assert word_error_rate(said, said) == 0.0
    assert word_error_rate(said, [["a", "dog", "sat"], ["stop", "it"]]) == 0.5
    assert word_error_rate([["a", "b"]], [[]]) == 1.0
