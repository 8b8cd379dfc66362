"""Stage: code2wav learns to make sound of the codec's codes.

Its output is 555 samples shorter than its frames and begins so much later, so that the samples of a
frame need no frame after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from myna.layers.linear import Linear
from myna.models.qwen3_omni.code2wav import Code2Wav
from myna.models.qwen3_omni.speech_config import Code2WavConfig
from myna.train.loop import Losses, Schedule, Trainer
from myna.train.nano_config import speech_config
from myna.train.shapes import FRAME_SAMPLES, NUM_CODEBOOKS
from myna.train.stages.codec import coded_shards, trained_codec
from myna.train.start import materialise
from myna.train.voice.codec import MEAN, MELS_PER_FRAME, SPREAD, Codec
from myna.train.voice.shards import Cuts
from myna.train.voice.spectral import NUM_MELS, distance, log_mel
from myna.train.workshop import folder

SCHEDULE = Schedule(steps=2_000, rate=8e-4, warmup=100, decay=0.01, clip=5.0)
BATCH = 5
CUT_FRAMES = 12
CONTEXT_FRAMES = 2  # at the beginning, where the loss does not look
MEL_SHARE = 0.6
LONG_BATCH = 16  # from which the features alone learn
LONG_FRAMES = 24
FORETOLD_SHARE = 1.0
SCALE = 0.1  # first weight of what is added to a residual stream
SEED = 31


class Apprentice(Code2Wav):
    """Tell besides, from the features that waves are made of, how the sound's spectrum looks.

    Attributes:
        mels: tells the mel frames of each step of the features.
    """

    def __init__(self, config: Code2WavConfig) -> None:
        super().__init__(config)
        steps_per_frame = math.prod(config.upsample_ratios)
        mels_per_step = MELS_PER_FRAME // steps_per_frame
        self.mels = Linear(config.width, mels_per_step * NUM_MELS, bias=True)


def run(*, minutes: float | None, report: Callable[[str], None]) -> None:
    """Train code2wav; the codec must have been trained."""
    torch.manual_seed(SEED)
    network = fresh(trained_codec())
    shards, codes = coded_shards()  # of which the first is kept for measuring
    cuts, long_cuts = (Cuts(shards[1:], codes[1:], size) for size in (CUT_FRAMES, LONG_FRAMES))
    schedule = replace(SCHEDULE, minutes=minutes)
    trainer = Trainer(network, folder("code2wav"), schedule, report=report)

    def losses_at(step: int) -> Losses:
        rng = np.random.default_rng((SEED, step))
        told = foretold(network, *drawn(long_cuts, LONG_BATCH, rng))
        found = losses(network, *drawn(cuts, BATCH, rng))
        return {"loss": found.pop("loss") + FORETOLD_SHARE * told, **found, "foretold": told}

    trainer.run(losses_at)


def drawn(cuts: Cuts, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw waves (B, T*FRAME_SAMPLES) and their codes (B, Q, T)."""
    waves, codes = cuts.draw(size, rng)
    return torch.from_numpy(waves), torch.from_numpy(codes).transpose(1, 2)


def foretold(network: Apprentice, waves: Tensor, codes: Tensor) -> Tensor:
    """Compare the mel frames that features tell with those of the sound, in nats.

    It costs a tenth of what waves cost, and waves are soon made once features know how they sound.

    Args:
        network: learns.
        waves: (B, T*FRAME_SAMPLES).
        codes: (B, Q, T) int64.
    """
    features = network.features(codes, network.fresh_state(len(codes)))  # (B, D, U)
    told: Tensor = network.mels(features.transpose(1, 2)).float()
    mels = told.reshape(len(waves), -1, NUM_MELS) * SPREAD + MEAN
    return (mels - log_mel(waves)).abs().mean()


def losses(network: Code2Wav, waves: Tensor, codes: Tensor) -> dict[str, Tensor]:
    """Compare what the network makes of codes with the sound that they were made of.

    Args:
        network: learns.
        waves: (B, T*FRAME_SAMPLES).
        codes: (B, Q, T) int64.
    """
    made = network.decode(codes).float()  # (B, W)
    wanted = waves[:, waves.shape[1] - made.shape[1] :]
    skipped = CONTEXT_FRAMES * FRAME_SAMPLES
    made, wanted = made[:, skipped:], wanted[:, skipped:]
    spectra = distance(made, wanted)
    mel = (log_mel(made) - log_mel(wanted)).abs().mean()
    return {"loss": spectra + MEL_SHARE * mel, "spectra": spectra, "mel": mel}


def fresh(codec: Codec) -> Apprentice:
    """Give the network first weights; what codes mean is taken from the codec's entries."""
    with torch.device("meta"):
        network = Apprentice(speech_config().code2wav)
    materialise(network, seed=SEED)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            leaf = name.rpartition(".")[2]
            if leaf in ("alpha", "beta"):  # of Snake, as exponents
                weight.zero_()
            elif leaf in ("gamma", "scale"):
                weight.fill_(SCALE)
            elif weight.dim() == 3:  # a convolution's
                nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
        meaning = embeddings(codec, network.config.width)
        network.get_parameter("code_embedding.weight").copy_(meaning)
    return network


def embeddings(codec: Codec, width: int) -> Tensor:
    """Turn the codec's entries by a random rotation: (Q*V, D); their means over Q are about 1."""
    entries = codec.quantiser.entries.detach().flatten(0, 1)  # (Q*V, Z)
    turned: Tensor = torch.linalg.qr(torch.randn(width, entries.shape[1]))[0].T  # (Z, D)
    spread = codec.quantiser.entries.var(1).sum(0).mean().sqrt()
    size = NUM_CODEBOOKS * math.sqrt(width / entries.shape[1])
    return size / spread * (entries @ turned)
