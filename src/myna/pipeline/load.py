"""From a folder or a GGUF file to a model that is ready to run, and from there to a service.

Not here: what a family's network is (models), how values are read (weights), the running (engine).
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import torch
from torch import nn

from myna.core.errors import BadCheckpoint, Unavailable, Unsupported
from myna.core.progress import Progress
from myna.core.service import ModelCard
from myna.engine.config import EngineConfig
from myna.engine.protocols import Decoder
from myna.kernels.allocator import keep_freed_memory
from myna.kernels.cached import BLOCK_VALUES, PACKED, can_pack, stored_width
from myna.kernels.fused import is_rounded
from myna.kernels.native import native
from myna.kernels.tiles import TILED_KINDS
from myna.layers.decoder import TextDecoder
from myna.models.family import Blueprint
from myna.models.qwen3_omni.family import OmniConfig, thinker
from myna.models.registry import blueprint_for_folder, blueprint_for_gguf
from myna.pipeline.defaults import SamplingDefaults, defaults_from_folder, defaults_from_gguf
from myna.pipeline.machine import DeviceName, fast_dtype, find_device, free_bytes
from myna.pipeline.omni import Omni, make_omni
from myna.text import template_files, tokenizer_files, tokenizer_gguf
from myna.text.chat_template import ChatTemplate
from myna.text.template_files import FoundTemplate
from myna.text.tokenizer import Tokenizer
from myna.weights.checkpoint import Checkpoint
from myna.weights.gguf import GgufSource
from myna.weights.grouped import SECTION, GroupedCheckpoint
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint
from myna.weights.report import LoadReport
from myna.weights.tiling import has_tiles

log = logging.getLogger("myna.load")

HALF = 0.5
UNPACK_SHARE = 0.4  # of the memory at hand: what blocks written out as floats may take
TILE_SHARE = 0.8  # of it: what blocks copied into tiles may take, which the system cannot drop
KV_SHARE = 0.25  # of the memory left after the weights
KV_CONTEXTS = 8  # no more cache than this many full contexts
MIN_CONTEXT = 512


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Say how a model is to be loaded.

    Attributes:
        model_id: the name clients use.
        device: where the weights are, and what computes; on `cuda` quantized weights are unpacked.
        dtype: of activations and unpacked weights; `auto` takes what the processor is fast at.
        keep_packed: leave quantized blocks packed in memory; `None` does so where they are
            multiplied as integers, which is fast, and unpacks others where memory allows. Blocks
            that have tiles are copied into them where memory allows.
        max_context: the most tokens of a prompt and its answer; `None` is the model's own limit.
        kv_memory_bytes: what keys and values may take; `None` is a share of what is free.
        kv_int8: keep keys and values in 8 bits, so that twice as many fit.
        yarn_factor: stretch the context by this; every prompt is affected.
        lora: a file of changes, for models that edit pictures.
        weight_memory_bytes: what weights may take, for the same; what is above it is read from disk
            again and again. `None` is a share of what is free.
    """

    model_id: str
    device: DeviceName = "cpu"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    keep_packed: bool | None = None
    max_context: int | None = None
    kv_memory_bytes: int | None = None
    kv_int8: bool = False
    yarn_factor: float | None = None
    lora: str | None = None
    weight_memory_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """Hold all that answering takes; `omni` is what goes beyond text."""

    decoder: Decoder
    tokenizer: Tokenizer
    template: ChatTemplate | None
    defaults: SamplingDefaults
    stop_ids: frozenset[int]
    engine_config: EngineConfig
    card: ModelCard
    report: LoadReport
    omni: Omni | None = None


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Hold an open checkpoint and what lies beside its weights."""

    checkpoint: Checkpoint
    blueprint: Blueprint
    tokenizer: Tokenizer
    template: ChatTemplate | None
    defaults: SamplingDefaults
    stop_ids: frozenset[int]


def load_model(path: Path, options: LoadOptions, progress: Progress) -> LoadedModel:
    """Load a model, checking everything small before anything large.

    Args:
        path: a folder in Hugging Face's form, or a GGUF file.
        options: see there.
        progress: told the bytes of weights read.

    Raises:
        NotFound: nothing is there.
        BadCheckpoint: it is damaged, incomplete, or its parts contradict each other.
        Unsupported: it is of a kind that is not known here.
        Unavailable: it does not fit this machine's memory.
    """
    keep_freed_memory()
    device = find_device(options.device)
    source = _open(path, name=options.model_id)
    for warning in source.tokenizer.warnings:
        log.warning("event=tokenizer %s", warning)
    blueprint = source.blueprint
    if options.yarn_factor is not None:
        blueprint = blueprint.with_yarn(factor=options.yarn_factor)
    _check_vocabulary(source, blueprint.config.vocab_size, path)
    dtype = fast_dtype() if options.dtype == "auto" else getattr(torch, options.dtype)
    keep_packed = keeps_packed(source.checkpoint, blueprint, options, dtype)
    weight_bytes = weight_bytes_of(source.checkpoint, blueprint, dtype, keep_packed=keep_packed)
    _check_memory(weight_bytes, path, device)
    # Integers are multiplied faster in tiles; in float32 blocks are multiplied as they are.
    tiles = keep_packed and dtype is torch.bfloat16 and native() is not None
    tiles = tiles and has_room_for_tiles(source.checkpoint, weight_bytes, free_bytes(device))
    module, decoder, omni = _build(
        path, source, blueprint, dtype, device=device, keep_packed=keep_packed
    )
    report = load_weights(
        module,
        source.checkpoint,
        blueprint.rules,
        dtype=dtype,
        device=device,
        keep_packed=keep_packed,
        tiles=tiles,
        progress=lambda done, total: progress("loading weights", done, total),
    )
    log.info("event=loaded model=%s %s", options.model_id, report.summary())
    module.eval()
    if isinstance(decoder, TextDecoder):
        decoder.fuse()
    mapped_bytes = packed_bytes(source.checkpoint, tiles=tiles) if keep_packed else 0
    engine_config = _engine_config(
        blueprint, source.tokenizer, options, dtype, left_bytes=free_bytes(device) - mapped_bytes
    )
    return LoadedModel(
        decoder=decoder,
        tokenizer=source.tokenizer,
        template=source.template,
        defaults=source.defaults,
        stop_ids=source.stop_ids,
        engine_config=engine_config,
        card=_card(source, blueprint, options, report, omni, context=engine_config.max_context),
        report=report,
        omni=omni,
    )


def _build(
    path: Path,
    source: _Source,
    blueprint: Blueprint,
    dtype: torch.dtype,
    *,
    device: torch.device,
    keep_packed: bool,
) -> tuple[nn.Module, Decoder, Omni | None]:
    """Make what the weights are loaded into, the decoder within, and what goes beyond text."""
    config = blueprint.config
    if not isinstance(config, OmniConfig):
        decoder = blueprint.build()
        return decoder, decoder, None
    whole = thinker(config)
    omni = make_omni(
        path,
        config.whole,
        whole,
        source.tokenizer,
        dtype=dtype,
        device=device,
        keep_packed=keep_packed,
    )
    return whole, whole.decoder, omni


def blueprint_of(path: Path, checkpoint: Checkpoint) -> Blueprint:
    """Settle what network an open checkpoint is for.

    Raises:
        BadCheckpoint: its configuration is damaged.
        Unsupported: its family is not known here.
    """
    if isinstance(checkpoint, GgufSource):
        return blueprint_for_gguf(checkpoint.metadata, checkpoint)
    config = read_json_object(path / "config.json")
    if isinstance(checkpoint, GroupedCheckpoint):
        del config[SECTION]  # it is read as if it had been released as floats
    return blueprint_for_folder(config, checkpoint.tensors.keys())


def _open(path: Path, *, name: str) -> _Source:
    checkpoint = open_checkpoint(path)
    blueprint = blueprint_of(path, checkpoint)
    if isinstance(checkpoint, GgufSource):
        return _open_gguf(checkpoint, blueprint, name=name)
    return _open_folder(path, checkpoint, blueprint, name=name)


def _open_gguf(checkpoint: GgufSource, blueprint: Blueprint, *, name: str) -> _Source:
    metadata = checkpoint.metadata
    tokenizer = tokenizer_gguf.from_gguf_metadata(metadata)
    advised_name = f"{name} {metadata.get('general.name', '')}"
    return _Source(
        checkpoint=checkpoint,
        blueprint=blueprint,
        tokenizer=tokenizer,
        template=_template(template_files.find_in_gguf(metadata), tokenizer),
        defaults=defaults_from_gguf(metadata, name=advised_name),
        stop_ids=frozenset(tokenizer.eos_ids),
    )


def _open_folder(
    folder: Path, checkpoint: Checkpoint, blueprint: Blueprint, *, name: str
) -> _Source:
    tokenizer = tokenizer_files.from_folder(folder)
    return _Source(
        checkpoint=checkpoint,
        blueprint=blueprint,
        tokenizer=tokenizer,
        template=_template(template_files.find_in_folder(folder), tokenizer),
        defaults=defaults_from_folder(folder, name=name),
        stop_ids=frozenset(tokenizer.eos_ids) | _stop_ids(folder),
    )


def _template(found: FoundTemplate | None, tokenizer: Tokenizer) -> ChatTemplate | None:
    if found is None:
        return None
    for warning in found.warnings:
        log.warning("event=template %s", warning)
    bos, eos = tokenizer.bos_id, next(iter(tokenizer.eos_ids), None)
    return ChatTemplate(
        found.source,
        bos_token=None if bos is None else tokenizer.token_of(bos),
        eos_token=None if eos is None else tokenizer.token_of(eos),
    )


def read_json_object(path: Path) -> dict[str, object]:
    """Read a JSON file that must hold an object.

    Raises:
        BadCheckpoint: it is missing, no JSON, or holds something else.
    """
    if not path.is_file():
        raise BadCheckpoint(f"{path} is missing; download the model again")
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadCheckpoint(f"{path} is not valid JSON ({error}); download it again") from error
    if not isinstance(value, dict):
        raise BadCheckpoint(
            f"{path} should hold a JSON object but holds a {type(value).__name__}; "
            "download it again"
        )
    return value


def _stop_ids(folder: Path) -> frozenset[int]:
    """Collect the end tokens that `generation_config.json` and `config.json` name."""
    found: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        if not (folder / name).is_file():
            continue
        value = read_json_object(folder / name).get("eos_token_id")
        ids = value if isinstance(value, list) else [value]
        for token_id in ids:
            if token_id is None:
                continue
            if not isinstance(token_id, int) or isinstance(token_id, bool) or token_id < 0:
                raise BadCheckpoint(
                    f"{folder / name} says `eos_token_id` is {value!r:.80}, but a token id or a "
                    "list of them is expected"
                )
            found.add(token_id)
    return frozenset(found)


def _check_vocabulary(source: _Source, num_rows: int, path: Path) -> None:
    tokenizer = source.tokenizer
    if tokenizer.vocab_size > num_rows:
        raise BadCheckpoint(
            f"{path}: the tokenizer has ids up to {tokenizer.vocab_size - 1} but the model's "
            f"embedding has {num_rows} rows; tokenizer and weights are not of the same model"
        )
    biased = max((max(ids) for ids, _ in source.defaults.sequence_bias), default=0)
    if biased >= (num_usable := _num_usable(tokenizer)):
        raise BadCheckpoint(
            f"{path}: the `sequence_bias` of generation_config.json holds token id {biased} but "
            f"the tokenizer's go up to {num_usable - 1}; the two are not of the same model"
        )


def keeps_packed(
    checkpoint: Checkpoint, blueprint: Blueprint, options: LoadOptions, dtype: torch.dtype
) -> bool:
    """Settle whether quantized blocks stay packed in memory."""
    if options.device != "cpu":
        if options.keep_packed:
            raise Unsupported(
                f"`--keep-packed` and `--device {options.device}` were asked for, but packed "
                "weights are multiplied by processors only; leave one of the two out"
            )
        return False
    if options.keep_packed is not None:
        return options.keep_packed
    packed = [info for info in checkpoint.tensors.values() if info.is_packed]
    if not packed:
        return False
    rounded = [info for info in packed if is_rounded(info.dtype, dtype)]
    if native() is not None and sum(i.num_bytes for i in rounded) > HALF * sum(
        i.num_bytes for i in packed
    ):
        return True  # integers are multiplied faster than floats are read
    return _dense_bytes(blueprint, dtype) > UNPACK_SHARE * free_bytes(torch.device(options.device))


def _dense_bytes(blueprint: Blueprint, dtype: torch.dtype) -> int:
    return blueprint.costs().parameters * dtype.itemsize


def weight_bytes_of(
    checkpoint: Checkpoint, blueprint: Blueprint, dtype: torch.dtype, *, keep_packed: bool
) -> int:
    """Count the bytes that all weights take in memory, those of what speaks included."""
    if not keep_packed:
        return _dense_bytes(blueprint, dtype)
    return sum(
        info.num_bytes if info.is_packed else info.num_values * dtype.itemsize
        for info in checkpoint.tensors.values()
    )


def _check_memory(weight_bytes: int, path: Path, device: torch.device) -> None:
    found = free_bytes(device)
    if weight_bytes > found:
        raise Unavailable(
            f"{path} needs {weight_bytes / 1e9:.1f} GB for its weights but {found / 1e9:.1f} "
            "GB of memory are free; close other programs or choose a smaller or quantized model"
        )


def has_room_for_tiles(checkpoint: Checkpoint, weight_bytes: int, found: int) -> bool:
    """Tell whether weights may be copied out of their file; what that costs is logged."""
    if weight_bytes <= TILE_SHARE * found:
        return True
    kinds = {info.dtype for info in checkpoint.tensors.values() if info.is_packed}
    if any(kind in TILED_KINDS for kind in kinds):
        log.warning(
            "event=no_room_for_tiles needed_gb=%.1f free_gb=%.1f hint: weights stay in the order "
            "of their file, which takes up to half as long again for each token; close other "
            "programs, or let `myna quantize` write a folder in the faster order",
            weight_bytes / TILE_SHARE / 1e9,
            found / 1e9,
        )
    return False


def packed_bytes(checkpoint: Checkpoint, *, tiles: bool = False) -> int:
    """Count the bytes of quantized blocks that stay in the mapped file."""
    return sum(
        info.num_bytes
        for info in checkpoint.tensors.values()
        if info.is_packed and not (tiles and has_tiles(info.dtype))
    )


def _engine_config(
    blueprint: Blueprint,
    tokenizer: Tokenizer,
    options: LoadOptions,
    dtype: torch.dtype,
    *,
    left_bytes: int,
) -> EngineConfig:
    """Bound context and cache by the model, the wish and the memory that is left.

    Pages of mapped files count as available to the system, which may drop them; but all of the
    model's, what speaks included, are to stay in memory.
    """
    context = options.max_context or blueprint.config.context_length
    bytes_per_token = blueprint.costs().kv_bytes(_bytes_of_number(blueprint, options, dtype))
    kv_bytes = options.kv_memory_bytes or int(KV_SHARE * max(left_bytes, 0))
    num_kv_tokens = min(int(kv_bytes / bytes_per_token), KV_CONTEXTS * context)
    if num_kv_tokens < min(context, MIN_CONTEXT):
        raise Unavailable(
            f"keys and values take {bytes_per_token / 1e3:.0f} kB a token; the "
            f"{kv_bytes / 1e6:.0f} MB at hand hold {num_kv_tokens} tokens, too few to be of use; "
            "raise `--kv-memory`, halve them by `--kv-int8`, or choose a smaller model"
        )
    return EngineConfig(
        max_context=min(context, num_kv_tokens),
        num_kv_tokens=num_kv_tokens,
        num_valid_tokens=_num_usable(tokenizer),
        model_label=options.model_id,
        kv_int8=options.kv_int8,
    )


def _bytes_of_number(blueprint: Blueprint, options: LoadOptions, dtype: torch.dtype) -> float:
    """Give the bytes that a number of the keys and values takes."""
    if not options.kv_int8:
        return dtype.itemsize
    width = blueprint.config.head_width
    if not can_pack(width):
        raise Unsupported(
            f"`--kv-int8` packs keys and values in blocks of {BLOCK_VALUES} numbers, but a head of "
            f"{options.model_id!r} has {width}; leave the option out"
        )
    return stored_width(width, PACKED) / width


def _num_usable(tokenizer: Tokenizer) -> int:
    """Leave out the fillers at a vocabulary's end: rows without a token must never be chosen."""
    count = tokenizer.vocab_size
    while count > 1 and count - 1 in tokenizer.unused_ids:
        count -= 1
    return count


def _card(
    source: _Source,
    blueprint: Blueprint,
    options: LoadOptions,
    report: LoadReport,
    omni: Omni | None,
    *,
    context: int,
) -> ModelCard:
    packed = [name for name in report.dtypes if name.startswith("Q")]
    written = source.template.source if source.template else ""
    known = (("tools", "tools"), ("reasoning", "<think>"))
    capabilities = tuple(name for name, sign in known if sign in written)
    return ModelCard(
        id=options.model_id,
        family=blueprint.family.name,
        context_length=context,
        created_s=int(time.time()),
        capabilities=capabilities,
        quantization=max(packed, key=lambda name: report.dtypes[name]) if packed else None,
        size_bytes=report.num_bytes,
        has_chat_template=source.template is not None,
        inputs=("text",) if omni is None else ("text", "image", "audio", "video"),
        outputs=("text", "audio") if omni is not None and omni.voices else ("text",),
        voices=() if omni is None else omni.voices,
    )
