"""The networks of an editing model, each in memory only as far as there is room for it.

What does not fit is read from disk, module by module, each time it is needed: the next one while
the last one computes.
Not here: what is done with them (edit_run).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from myna.core.errors import BadCheckpoint
from myna.core.progress import Progress
from myna.diffusion.schedule import Schedule
from myna.kernels.packed import Packed
from myna.media.patches import PatchRule
from myna.models.fields import Fields
from myna.models.qwen_image_edit.config import (
    EditConfig,
    TextEncoderConfig,
    TransformerConfig,
    VaeConfig,
    VisionConfig,
)
from myna.models.qwen_image_edit.lora import change
from myna.models.qwen_image_edit.modulation import BlockModulation, Step
from myna.models.qwen_image_edit.text_encoder import TextEncoder, make_layer
from myna.models.qwen_image_edit.transformer import Block
from myna.models.qwen_image_edit.vae import Vae
from myna.models.qwen_image_edit.weights import (
    BLOCK_PREFIX,
    BLOCK_RULES,
    ENCODER_END_RULES,
    ENCODER_RULES,
    LAYER_PREFIXES,
    LAYER_RULES,
    MODULATION_RULES,
    TRANSFORMER_END_RULES,
    TRANSFORMER_RULES,
    VAE_RULES,
    EditTransformer,
)
from myna.pipeline.load import read_json_object
from myna.weights.checkpoint import Checkpoint
from myna.weights.load import check_layout, load_weights
from myna.weights.lora import LowRank, read_lora
from myna.weights.open import open_checkpoint
from myna.weights.rules import Rule
from myna.weights.subset import Subset

log = logging.getLogger("myna.edit")

PARTS = ("text_encoder", "transformer", "vae")
MIN_PX, MAX_PX = 3136, 12_845_056  # of transformers' `Qwen2VLImageProcessor`


class Streamed:
    """Give modules one after another, as often as wanted; as many as have room stay in memory.

    Args:
        count: how many there are.
        load: makes one.
        num_kept: how many stay, from the first on.
    """

    def __init__(self, count: int, load: Callable[[int], nn.Module], *, num_kept: int) -> None:
        self._count = count
        self._load = load
        self._num_kept = min(count, num_kept)
        self._kept: list[nn.Module] = []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[nn.Module]:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="myna-stream") as reader:
            upcoming = reader.submit(self._get, 0)
            for idx in range(self._count):
                module = upcoming.result()
                if idx + 1 < self._count:
                    upcoming = reader.submit(self._get, idx + 1)
                yield module

    def _get(self, idx: int) -> nn.Module:
        if idx < len(self._kept):
            return self._kept[idx]
        module = self._load(idx)
        if idx == len(self._kept) < self._num_kept:
            self._kept.append(module)
        return module


@dataclass(frozen=True, kw_only=True)
class EditFiles:
    """Hold an open folder: what it says of the networks, and where their weights are.

    Attributes:
        config: of the networks.
        schedule: how noise decreases.
        rule: how pictures are cut for the text encoder.
        weights: of each network, by the name of its folder.
    """

    config: EditConfig
    schedule: Schedule
    rule: PatchRule
    weights: Mapping[str, Checkpoint]

    def check(self) -> None:
        """Prove that all files fit, before anything large is read.

        Raises:
            BadCheckpoint: they do not.
        """
        with torch.device("meta"):
            networks = {
                "text_encoder": (TextEncoder(self.config.text_encoder), ENCODER_RULES),
                "transformer": (EditTransformer(self.config.transformer), TRANSFORMER_RULES),
                "vae": (Vae(self.config.vae), VAE_RULES),
            }
        for part, (network, rules) in networks.items():
            check_layout(network, self.weights[part], rules)

    @property
    def num_bytes(self) -> int:
        """Count the bytes of all weights."""
        return sum(
            info.num_bytes for files in self.weights.values() for info in files.tensors.values()
        )

    @property
    def kinds(self) -> set[str]:
        """Name the formats in which the transformer's weights are stored."""
        return {info.dtype for info in self.weights["transformer"].tensors.values()}


def open_edit_files(folder: Path) -> EditFiles:
    """Open a folder in the form of a diffusers pipeline; no weights are read.

    Raises:
        BadCheckpoint: it is damaged, incomplete, or its parts contradict each other.
    """
    values = {part: read_json_object(folder / part / "config.json") for part in PARTS}
    config = EditConfig(
        text_encoder=TextEncoderConfig.from_hf(values["text_encoder"]),
        transformer=TransformerConfig.from_hf(values["transformer"]),
        vae=VaeConfig.from_hf(values["vae"]),
    )
    files = EditFiles(
        config=config,
        rule=read_rule(folder / "processor/preprocessor_config.json", config.text_encoder.vision),
        schedule=read_schedule(folder / "scheduler/scheduler_config.json"),
        weights={part: open_checkpoint(folder / part) for part in PARTS},
    )
    files.check()
    return files


class EditParts:
    """Give the networks of an open folder.

    Args:
        files: the folder.
        dtype: of activations, and of weights that are not kept packed.
        memory_bytes: what weights may take; more is read from disk again and again.
        progress: told of loading.
        lora: a file of changes to the transformer.

    Raises:
        BadCheckpoint: a weight, or the file of changes, is damaged.
    """

    def __init__(
        self,
        files: EditFiles,
        *,
        dtype: torch.dtype,
        memory_bytes: int,
        progress: Progress,
        lora: Path | None = None,
    ) -> None:
        self.config = files.config
        self._files = files.weights
        self._dtype = dtype
        self._changes = {} if lora is None else self._read_changes(lora)
        self._modulated: tuple[tuple[float, ...], tuple[Step, ...]] | None = None
        with torch.device("meta"):
            self.text_encoder = TextEncoder(self.config.text_encoder, has_layers=False)
            self.transformer = EditTransformer(self.config.transformer, has_blocks=False)
            self.vae = Vae(self.config.vae)
        ends: tuple[tuple[str, nn.Module, Sequence[Rule]], ...] = (
            ("vae", self.vae, VAE_RULES),
            ("transformer", self.transformer, TRANSFORMER_END_RULES),
            ("text_encoder", self.text_encoder, ENCODER_END_RULES),
        )
        for done, (part, network, rules) in enumerate(ends):
            progress("loading", done, len(ends))
            self._fill(network, self._files[part], rules)
            memory_bytes -= _num_bytes(network)
        progress("loading", len(ends), len(ends))
        change(self.transformer, self._changes, TRANSFORMER_END_RULES)
        memory_bytes -= sum(
            low_rank.down.nbytes + low_rank.up.nbytes for low_rank in self._changes.values()
        )
        self.blocks, memory_bytes = self._stream(
            self.config.transformer.num_layers, self._load_block, memory_bytes
        )
        self.layers, _ = self._stream(
            self.config.text_encoder.decoder.num_layers, self._load_layer, memory_bytes
        )

    def modulation(self, noise: Sequence[float]) -> tuple[Step, ...]:
        """Compute the modulation of a schedule, or give that of the last time."""
        wanted = tuple(noise)
        if self._modulated is None or self._modulated[0] != wanted:
            count = self.config.transformer.num_layers
            blocks = Streamed(count, self._load_modulation, num_kept=0)
            with torch.inference_mode():
                self._modulated = wanted, self.transformer.modulator(wanted, blocks)
        return self._modulated[1]

    def close(self) -> None:
        """Let go of the files."""
        for checkpoint in self._files.values():
            checkpoint.close()

    def _read_changes(self, lora: Path) -> dict[str, LowRank]:
        suffix = ".weight"
        modules = {
            name.removesuffix(suffix)
            for name, info in self._files["transformer"].tensors.items()
            if name.endswith(suffix) and len(info.shape) == 2
        }
        return read_lora(lora, modules, dtype=self._dtype)

    def _stream(
        self, count: int, load: Callable[[int], nn.Module], memory_bytes: int
    ) -> tuple[Streamed, int]:
        """Keep as many modules as fit; returns the memory left."""
        first = load(0)
        each = _num_bytes(first)
        num_kept = max(0, min(count, memory_bytes // each))
        log.info("event=stream modules=%d kept=%d bytes_each=%d", count, num_kept, each)
        return Streamed(count, load, num_kept=num_kept), memory_bytes - num_kept * each

    def _load_block(self, idx: int) -> nn.Module:
        with torch.device("meta"):
            block = Block(self.config.transformer)
        return self._fill_block(block, idx, BLOCK_RULES)

    def _load_modulation(self, idx: int) -> nn.Module:
        with torch.device("meta"):
            block = BlockModulation(self.config.transformer.width)
        return self._fill_block(block, idx, MODULATION_RULES)

    def _fill_block(self, block: nn.Module, idx: int, rules: Sequence[Rule]) -> nn.Module:
        prefix = BLOCK_PREFIX.format(idx)
        self._fill(block, Subset(self._files["transformer"], prefix), rules)
        change(block, self._changes, rules, prefix=prefix)
        return block

    def _load_layer(self, idx: int) -> nn.Module:
        with torch.device("meta"):
            layer = make_layer(self.config.text_encoder.decoder)
        files = self._files["text_encoder"]
        prefix = next(
            form.format(idx)
            for form in LAYER_PREFIXES
            if any(name.startswith(form.format(idx)) for name in files.tensors)
        )
        return self._fill(layer, Subset(files, prefix), LAYER_RULES)

    def _fill(self, network: nn.Module, files: Checkpoint, rules: Sequence[Rule]) -> nn.Module:
        load_weights(network, files, rules, dtype=self._dtype, keep_packed=True)
        return network.eval()


def _num_bytes(network: nn.Module) -> int:
    """Count the bytes that a network keeps, packed or not."""
    plain = sum(value.numel() * value.itemsize for value in network.parameters())
    return plain + sum(
        value.num_bytes
        for module in network.modules()
        for value in vars(module).values()
        if isinstance(value, Packed)
    )


def read_rule(path: Path, vision: VisionConfig) -> PatchRule:
    """Read how pictures are cut for the text encoder.

    Raises:
        BadCheckpoint: the file is missing or damaged, or cuts otherwise than the encoder expects.
    """
    fields = Fields(read_json_object(path), source=str(path))
    for key, expected in (
        ("patch_size", vision.patch_px),
        ("merge_size", vision.merge),
        ("temporal_patch_size", vision.patch_frames),
    ):
        if fields.integer(key, default=expected) != expected:
            raise fields.refuse(key, f"the text encoder's {expected}")
    return PatchRule(
        patch_px=vision.patch_px,
        # Files of some versions leave the bounds out; no picture that is looked at comes near them.
        min_px=fields.integer("min_pixels", default=MIN_PX),
        max_px=fields.integer("max_pixels", default=MAX_PX),
        mean=_colours(fields, "image_mean"),
        std=_colours(fields, "image_std"),
        merge=vision.merge,
        num_together=vision.patch_frames,
    )


def _colours(fields: Fields, key: str) -> tuple[float, float, float]:
    """Read a number for each of red, green and blue."""
    value = fields.get(key)
    if not isinstance(value, list) or len(value) != len("RGB"):
        raise fields.refuse(key, "a list of three numbers")
    for item in value:
        if isinstance(item, bool) or not isinstance(item, int | float) or not 0 < item <= 1:
            raise fields.refuse(key, "three numbers above 0, up to 1")
    red, green, blue = map(float, value)
    return red, green, blue


def read_schedule(path: Path) -> Schedule:
    """Read how noise decreases.

    Raises:
        BadCheckpoint: the file is missing or damaged, or asks for another kind of schedule.
    """
    fields = Fields(read_json_object(path), source=str(path))
    kind = fields.text("_class_name", default="")
    if kind != "FlowMatchEulerDiscreteScheduler":
        raise BadCheckpoint(
            f"{path} asks for {kind!r:.80}, but FlowMatchEulerDiscreteScheduler is the one that "
            "is known; download the model again"
        )
    for key in (
        *("invert_sigmas", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"),
        "stochastic_sampling",
    ):
        if fields.boolean(key, default=False):
            raise fields.refuse(key, "false")
    if not fields.boolean("use_dynamic_shifting", default=False):
        raise fields.refuse("use_dynamic_shifting", "true")
    fields.choice("time_shift_type", ("exponential",), default="exponential")
    has_terminal = fields.get("shift_terminal") is not None
    return Schedule(
        base_tokens=fields.integer("base_image_seq_len", default=256),
        max_tokens=fields.integer("max_image_seq_len", default=4096, low=2),
        base_shift=fields.number("base_shift", low=-10, high=10, default=0.5),
        max_shift=fields.number("max_shift", low=-10, high=10, default=1.15),
        terminal=fields.number("shift_terminal", low=0, high=0.99) if has_terminal else None,
    )
