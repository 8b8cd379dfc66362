"""Stage `export`: write the model in the released form, in few bits, and tell what that changed.

`whole` and `nano` in the stage's folder are the model before and after; both load like any other.
`harm.txt` tells what rounding changed.
Not here: which weights get how many bits (train.export), what the model can do (evals).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from myna.core.errors import InvalidRequest
from myna.core.progress import silent
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import SPEECH_RULES, THINKER_RULES, Speech
from myna.train import curriculum, export, loop
from myna.train.batches import Reader, Rectangles, packed_batch
from myna.train.examples import UNSCORED
from myna.train.language.tokenizer import open_tokenizer
from myna.train.nano_config import nano_config
from myna.train.pictures.asking import open_studio
from myna.train.pictures.rule import PICTURE_RULE
from myna.train.rectangle import Rectangle
from myna.train.sound.voices import spoken_live
from myna.train.stages import code2wav
from myna.train.stages import thinker as thinker_stage
from myna.train.stages.codec import coded_shards
from myna.train.stages.talker import School
from myna.train.voice.pupil import Pupil
from myna.train.voice.shards import Cuts
from myna.train.workshop import folder
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint
from myna.weights.quantize.folder import quantize_folder
from myna.weights.rules import Rule

NAME = "export"
WHOLE, NANO = "whole", "nano"  # folders
HARM = "harm.txt"
MAX_BYTES = 15_000_000  # of all files: 16 MB less the tour, the card and what it is made of
# Of the voice's codes, besides that at which all talkers draw: it is part of the heads' weights.
FIRST_TEMPERATURE, OTHERS_TEMPERATURE = 0.7, 0.4
SEED = 97  # of questions that no stage draws
BATCHES = 4
QUESTIONS = 24  # of a batch


def run(*, minutes: float | None, report: Callable[[str], None]) -> None:
    """Write the model; what was written before is replaced.

    Args:
        minutes: not looked at: it takes about two.
        report: takes lines of progress.

    Raises:
        FileNotFoundError: a stage that a part needs has not run.
        InvalidRequest: the files are too large for the box.
    """
    del minutes
    whole, nano = folder(NAME) / WHOLE, folder(NAME) / NANO
    for path in (whole, nano):
        shutil.rmtree(path, ignore_errors=True)
    config = nano_config()
    export.write(whole, *gather(config, report=report), tokenizer=folder("tokenizer"))
    found = quantize_folder(whole, nano, bits=export.BITS, progress=silent, exempt=export.EXEMPT)
    for kind, error in found.error.items():
        report(f"{kind}: {found.num_tensors[kind]} tensors, rounded by {100 * error:.2f} %")
    report(f"{nano}: {check_size(nano) / 1e6:.2f} MB")
    exact, rounded = load(whole, config), load(nano, config)
    harms = (
        str(thinker_harm(exact[0], rounded[0], questions(config))),
        voice_harm(exact, rounded, config),
    )
    (folder(NAME) / HARM).write_text("\n".join(harms) + "\n")
    for line in harms:
        report(line)


def gather(config: Config, *, report: Callable[[str], None]) -> tuple[Thinker, Speech]:
    """Put what the stages learnt into both networks.

    Without a checkpoint of the thinker's own, its parts are as their stages left them.

    Args:
        config: of nano.
        report: is told what is missing.

    Raises:
        FileNotFoundError: a stage that a part needs has not run.
    """
    trained = thinker_stage.build(config)
    if (folder(thinker_stage.NAME) / loop.STATE).is_file():
        loop.load_weights(trained, folder(thinker_stage.NAME))
    else:
        report("the stage 'thinker' has not run: its parts are taken as they are")
    _, speech = export.build(config)
    loop.load_weights(speech, folder("talker"))
    loop.load_weights(speech.code2wav, folder("code2wav"))
    speech.talker.decoder.get_parameter("lm_head.weight").data.div_(FIRST_TEMPERATURE)
    speech.talker.code_predictor.get_parameter("lm_head").data.div_(OTHERS_TEMPERATURE)
    return trained, speech


def check_size(model: Path) -> int:
    """Add the bytes of a folder's files up.

    Raises:
        InvalidRequest: they are too many for the box.
    """
    size = sum(path.stat().st_size for path in model.iterdir())
    if size > MAX_BYTES:
        raise InvalidRequest(
            f"{model} takes {size} bytes, but {MAX_BYTES} are the most that the box holds; give "
            "fewer bits to some weights (`myna.train.export.EXEMPT`)"
        )
    return size


def load(model: Path, config: Config) -> tuple[Thinker, Speech]:
    """Load both networks in float32, as everything of Myna does."""
    assert config.speech is not None, "nano speaks"
    with torch.device("meta"):
        thinker, speech = Thinker(config.thinker), Speech(config.speech)
    checkpoint = open_checkpoint(model)
    networks: tuple[tuple[nn.Module, Sequence[Rule]], ...] = (
        (thinker, THINKER_RULES),
        (speech, SPEECH_RULES),
    )
    for network, rules in networks:
        load_weights(network, checkpoint, rules, dtype=torch.float32)
    return thinker, speech


def questions(config: Config) -> list[Rectangles]:
    """Draw questions of all kinds."""
    mixture = thinker_stage.Mixture(
        curriculum.makers(open_studio(say=spoken_live)),
        Reader(open_tokenizer(), config, PICTURE_RULE),
        size=QUESTIONS,
        seed=SEED,
        pad_id=0,
    )
    return [mixture.at(step) for step in range(BATCHES)]


@dataclass(frozen=True)
class Harm:
    """Tell how far two networks are apart.

    Attributes:
        divergence: of their probabilities of the answers' tokens, in nats a token.
        agreement: share of these tokens that are the likeliest for both or for neither.
        asked: questions.
    """

    divergence: float
    agreement: float
    asked: int

    def __str__(self) -> str:
        """Write it in a line."""
        return (
            f"thinker: {self.divergence:.4f} nats apart a token; the likeliest token is the same "
            f"for {100 * self.agreement:.1f} % in {self.asked} answers"
        )


@torch.inference_mode()
def thinker_harm(exact: Thinker, rounded: Thinker, batches: Sequence[Rectangles]) -> Harm:
    """Compare what two thinkers would answer."""
    divergences, same, asked = [], [], 0
    for batch in batches:
        true, found = (log_probabilities(thinker, batch) for thinker in (exact, rounded))
        divergences.append((true.exp() * (true - found)).sum(-1))
        same.append(true.argmax(-1) == found.argmax(-1))
        asked += len(batch.token_ids)
    agreement = torch.cat(same).float().mean()
    return Harm(float(torch.cat(divergences).mean()), float(agreement), asked)


def log_probabilities(thinker: Thinker, batch: Rectangles) -> Tensor:
    """Give the logarithms of probabilities where answers are scored: (R, V)."""
    caches = [Rectangle(len(batch.token_ids)) for _ in thinker.decoder.layers]
    hidden = thinker.decoder(packed_batch(thinker, batch), caches)  # (B*T, D)
    scored = (batch.labels.flatten() != UNSCORED).nonzero()[:, 0]
    scores: Tensor = thinker.decoder.logits(hidden[scored])
    return scores.float().log_softmax(-1)


@torch.inference_mode()
def voice_harm(
    exact: tuple[Thinker, Speech], rounded: tuple[Thinker, Speech], config: Config
) -> str:
    """Compare the losses of two voices on speech that no stage learnt from."""
    all_shards, all_codes = coded_shards()
    shards, codes = all_shards[:1], all_codes[:1]
    school = School(shards, codes, open_tokenizer(), config, held_out=0)
    lessons, media, chosen = school.lesson(0)
    cuts = Cuts(shards, codes, code2wav.CUT_FRAMES)
    told = []
    for thinker, speech in (exact, rounded):
        pupil = Pupil(speech.talker, thinker.get_parameter("decoder.embed_tokens.weight"))
        spoken = pupil.losses(lessons, media, chosen=chosen)
        drawn = code2wav.drawn(cuts, code2wav.BATCH, np.random.default_rng(SEED))
        waves = code2wav.losses(speech.code2wav, *drawn)
        told.append((spoken["first"], spoken["others"], waves["mel"]))
    names = ("first code", "other codes", "mel frames")
    pairs = zip(names, *told, strict=True)
    return "voice: " + ", ".join(f"{name} {float(a):.4f} -> {float(b):.4f}" for name, a, b in pairs)
