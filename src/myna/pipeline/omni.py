"""What an omni model has beside its decoder: encoders, the rule for pictures, and what speaks.

Not here: prompts with media (media_prompt), and speaking (speaking).
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
import torch

from myna.core.errors import BadCheckpoint, Unavailable
from myna.media.patches import PatchRule
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.encoder_config import VisionConfig
from myna.models.qwen3_omni.inputs import check_tokens
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import SPEECH_RULES, Speech
from myna.pipeline.machine import free_bytes
from myna.text.tokenizer import Tokenizer
from myna.weights.load import check_layout, load_weights
from myna.weights.open import open_checkpoint
from myna.weights.plan import make_plan

log = logging.getLogger("myna.load")

USUAL_VOICE = "ethan"


class LazySpeech:
    """Load what speaks when somebody first asks for it.

    Args:
        folder: of the checkpoint.
        config: of the model, which can speak.
        dtype: of the weights.
        device: of the weights.
        keep_packed: leave quantized blocks packed in memory.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        dtype: torch.dtype,
        *,
        device: torch.device,
        keep_packed: bool,
    ) -> None:
        self._folder = folder
        self._config = config
        self._dtype = dtype
        self._device = device
        self._keep_packed = keep_packed
        self._lock = threading.Lock()
        self._loaded: Speech | None = None

    @property
    def is_loaded(self) -> bool:
        """Tell whether the weights are in memory."""
        return self._loaded is not None

    def check(self) -> None:
        """Prove, without reading a value, that the weights are there and fit.

        Raises:
            BadCheckpoint: they are not, or do not.
        """
        check_layout(self._build(), open_checkpoint(self._folder), SPEECH_RULES)

    def get(self) -> Speech:
        """Return what speaks; the first call may take a minute, others then wait for it.

        Raises:
            Unavailable: it does not fit this machine's memory.
            BadCheckpoint: the files are damaged.
        """
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _build(self) -> Speech:
        assert self._config.speech is not None, "the model cannot speak"
        with torch.device("meta"):
            return Speech(self._config.speech)

    def _load(self) -> Speech:
        speech = self._build()
        checkpoint = open_checkpoint(self._folder)
        num_values = sum(parameter.numel() for parameter in speech.parameters())
        num_bytes, found = num_values * self._dtype.itemsize, free_bytes(self._device)
        if self._keep_packed:
            used = make_plan(speech, checkpoint, SPEECH_RULES).places
            num_bytes = sum(checkpoint.tensors[name].num_bytes for name in used)
        if num_bytes > found:
            raise Unavailable(
                f"speech needs {num_bytes / 1e9:.1f} GB for its weights but {found / 1e9:.1f} "
                "GB of memory are free; ask for text alone, or close other programs"
            )
        report = load_weights(
            speech,
            checkpoint,
            SPEECH_RULES,
            dtype=self._dtype,
            device=self._device,
            keep_packed=self._keep_packed,
        )
        speech.fuse()
        log.info("event=speech_loaded %s", report.summary())
        return speech.eval()


@dataclass(frozen=True, kw_only=True)
class Omni:
    """Hold all that hearing, seeing and speaking take.

    Attributes:
        config: of the whole model.
        thinker: has the encoders; its decoder is the engine's.
        rule: how pictures are cut.
        frame_px: the most pixels of a video's frame, where the model wants fewer than usual.
        speech: what speaks, if the model can.
        encoding: held while something is encoded, one thing at a time.
    """

    config: Config
    thinker: Thinker
    rule: PatchRule
    frame_px: int | None
    speech: LazySpeech | None
    encoding: threading.Lock = field(default_factory=threading.Lock)

    @property
    def voices(self) -> tuple[str, ...]:
        """Name the voices, the usual one first."""
        if self.config.speech is None:
            return ()
        names = self.config.speech.talker.speakers
        return tuple(sorted(names, key=lambda name: (name != USUAL_VOICE, name)))


def make_omni(
    folder: Path,
    config: Config,
    thinker: Thinker,
    tokenizer: Tokenizer,
    *,
    dtype: torch.dtype,
    device: torch.device,
    keep_packed: bool,
) -> Omni:
    """Read the small files, and check what is loaded later.

    Raises:
        BadCheckpoint: the parts contradict each other.
    """
    check_tokens(config, tokenizer.id_of)
    speech = (
        None
        if config.speech is None
        else LazySpeech(folder, config, dtype, device=device, keep_packed=keep_packed)
    )
    if speech is not None:
        speech.check()
    rule = read_patch_rule(folder / "preprocessor_config.json", config.thinker.vision)
    frame_px = read_frame_px(folder / "video_preprocessor_config.json")
    return Omni(config=config, thinker=thinker, rule=rule, frame_px=frame_px, speech=speech)


class _VideoPreprocessor(msgspec.Struct, frozen=True):
    """Name the key that is read; small models have a file for it."""

    max_pixels: Annotated[int, msgspec.Meta(ge=1024)] | None = None


def read_frame_px(path: Path) -> int | None:
    """Read how many pixels a frame of a video may have; None where nothing is said.

    Raises:
        BadCheckpoint: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=_VideoPreprocessor).max_pixels
    except msgspec.MsgspecError as error:
        raise BadCheckpoint(f"{path} cannot be used ({error}); download it again") from error


class _Preprocessor(msgspec.Struct, frozen=True):
    """Name the keys that are read; the file has many more."""

    patch_size: int
    merge_size: int
    temporal_patch_size: int
    min_pixels: int
    max_pixels: int
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]


def read_patch_rule(path: Path, vision: VisionConfig) -> PatchRule:
    """Read how pictures are cut.

    Raises:
        BadCheckpoint: the file is missing or damaged, or cuts otherwise than the encoder expects.
    """
    if not path.is_file():
        raise BadCheckpoint(f"{path} is missing; download the model again")
    try:
        read = msgspec.json.decode(path.read_bytes(), type=_Preprocessor)
    except msgspec.MsgspecError as error:
        raise BadCheckpoint(f"{path} cannot be used ({error}); download it again") from error
    found = (read.patch_size, read.merge_size, read.temporal_patch_size)
    expected = (vision.patch_px, vision.merge, vision.patch_frames)
    if found != expected:
        raise BadCheckpoint(
            f"{path} has patch, merge and temporal patch sizes {found}, but config.json has "
            f"{expected}; they belong to different models, download this one again"
        )
    return PatchRule(
        patch_px=read.patch_size,
        min_px=read.min_pixels,
        max_px=read.max_pixels,
        mean=read.image_mean,
        std=read.image_std,
        merge=read.merge_size,
        num_together=read.temporal_patch_size,
    )
