"""What is exported loads again, every tensor in its place; and nano is as small as promised."""

from __future__ import annotations

from pathlib import Path

import torch

from myna.layers.cache import PackedBatch
from myna.layers.dense_cache import DenseCache
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import SPEECH_RULES, THINKER_RULES, Speech
from myna.models.tiny_omni import write_tiny_omni
from myna.train import export, shapes
from myna.train.rectangle import Rectangle
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint

IDS = {name: 2000 + i for i, name in enumerate(shapes.NAMED_TOKENS)}


def test_nano_is_a_released_config_of_the_promised_size() -> None:
    config = Config.from_hf(shapes.config(IDS))
    with torch.device("meta"):
        thinker = Thinker(config.thinker)
        assert config.speech is not None
        speech = Speech(config.speech)
    assert config.speech.code2wav.frame_samples == shapes.FRAME_SAMPLES
    count = sum(p.numel() for network in (thinker, speech) for p in network.parameters())
    assert 18e6 < count < 19e6


def test_what_is_written_loads_again(tmp_path: Path) -> None:
    tokenizer = write_tiny_omni(tmp_path / "tiny")
    for path in tokenizer.glob("*.safetensors*"):
        path.unlink()
    config = Config.from_hf(shapes.config(export.special_ids(tokenizer)))
    thinker, speech = export.build(config, seed=3)
    export.write(tmp_path / "out", thinker, speech, tokenizer=tokenizer)
    checkpoint = open_checkpoint(tmp_path / "out")
    with torch.device("meta"):
        other = Thinker(config.thinker)
        assert config.speech is not None
        voice = Speech(config.speech)
    load_weights(other, checkpoint, THINKER_RULES, dtype=torch.float32)
    load_weights(voice, checkpoint, SPEECH_RULES, dtype=torch.float32)
    for ours, theirs in ((thinker, other), (speech, voice)):
        loaded = dict(theirs.named_parameters())
        for name, value in ours.named_parameters():
            assert torch.equal(value.bfloat16().float(), loaded[name]), name


def test_equal_seeds_give_equal_first_weights() -> None:
    config = Config.from_hf(shapes.config(IDS))
    first, again = export.build(config, seed=1)[0], export.build(config, seed=1)[0]
    other = export.build(config, seed=2)[0]
    rows = first.decoder.embed_tokens.weight
    assert torch.equal(rows, again.decoder.embed_tokens.weight)
    assert not torch.equal(rows, other.decoder.embed_tokens.weight)
    assert 0.2 < float(rows.detach().std()) < 0.3


def test_a_rectangle_reads_as_each_sequence_alone() -> None:
    config = Config.from_hf(shapes.config(IDS))
    decoder = export.build(config)[0].decoder
    ids = torch.arange(24).view(3, 8)
    with torch.no_grad():
        packed = PackedBatch(ids.flatten(), torch.arange(8).repeat(3).expand(3, -1))
        found = decoder(packed, [Rectangle(3) for _ in decoder.layers]).view(3, 8, -1)
        for row, alone in zip(found, ids, strict=True):
            batch = PackedBatch(alone, torch.arange(8).expand(3, -1))
            assert torch.allclose(
                row, decoder(batch, [DenseCache() for _ in decoder.layers]), atol=1e-5
            )
