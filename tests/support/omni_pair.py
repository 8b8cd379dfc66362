"""Tiny Qwen3-Omni twice, in the reference's network and in ours, for parity and speech tests.

The reference's weights are redrawn until nothing is neutral, saved as it would save a release, and
come to ours through the real loader.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import Qwen3OmniMoeConfig, Qwen3OmniMoeForConditionalGeneration
from transformers.models.qwen3_omni_moe import modeling_qwen3_omni_moe as reference_code
from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import (
    Qwen3OmniMoeCode2WavConfig,
    Qwen3OmniMoeTalkerCodePredictorConfig,
    Qwen3OmniMoeTalkerTextConfig,
    Qwen3OmniMoeTextConfig,
)
from transformers.utils import logging as reference_logging

from closeness import watch
from myna.models.fields import Fields
from myna.models.qwen3_omni.code2wav import Code2Wav
from myna.models.qwen3_omni.code_predictor import CodePredictor
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.decoder import OmniDecoder
from myna.models.qwen3_omni.decoder_config import DecoderConfig
from myna.models.qwen3_omni.speech_config import Code2WavConfig, CodePredictorConfig
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import SPEECH_RULES, THINKER_RULES, Speech
from myna.models.tiny_omni import tiny_omni_config
from myna.weights.checkpoint import MemoryCheckpoint
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint

LAYOUTS = Path(__file__).parents[1] / "models/layouts"
RELEASED = LAYOUTS / "qwen3-omni-30b-a3b-instruct.config.json"
TRANSPOSED = re.compile(r".*(upsample\.\d+\.0|block\.1)\.conv\.weight")
# What a residual unit of code2wav adds is kept small, or the network is chaotic: the rounding of
# float32 would grow a hundred thousandfold from its first unit to its last.
UNIT_GAIN = 0.1


@dataclass(frozen=True)
class OmniPair:
    """Hold the same weights twice."""

    reference: Qwen3OmniMoeForConditionalGeneration
    config: Config
    thinker: Thinker
    speech: Speech
    folder: Path


def redraw(network: nn.Module, seed: int) -> None:
    """Draw all weights anew: matrices keep their input's size, all else is felt."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        values = parameter.data
        if name.endswith("bias"):
            values.normal_(0, 0.3, generator=generator)
        elif name.endswith((".alpha", ".beta")):
            values.normal_(0, 0.5, generator=generator)
        elif name.endswith((".gamma", "layer_scale.scale")):
            values.uniform_(0.2, 1, generator=generator)
        elif values.ndim == 1:
            values.uniform_(0.5, 1.5, generator=generator)
        else:
            values.normal_(0, fan_in(name, values) ** -0.5, generator=generator)
            if name.endswith("conv2.conv.weight"):
                values.mul_(UNIT_GAIN)


def fan_in(name: str, values: Tensor) -> int:
    """Count the numbers that are summed into one."""
    if TRANSPOSED.fullmatch(name):
        return 2 * values.shape[0]
    is_convolution = values.ndim > 2 and "experts" not in name
    return values[0].numel() if is_convolution else values.shape[-1]


def make_pair(folder: Path, *, seed: int = 0, **changes: Mapping[str, object]) -> OmniPair:
    """Build the reference, save it, and load that.

    Args:
        folder: where it is saved.
        seed: of the weights.
        **changes: keys to be set differently, by their section's path, `__` for its dots.
    """
    values = tiny_omni_config()
    for path, keys in changes.items():
        section = values
        for name in path.split("__"):
            section[name] = dict(section[name])
            section = section[name]
        section.update(keys)
    reference_logging.disable_progress_bar()
    reference_logging.set_verbosity_error()
    config = Qwen3OmniMoeConfig(**values, attn_implementation="eager")
    reference = Qwen3OmniMoeForConditionalGeneration(config).eval().requires_grad_(False)
    redraw(reference, seed)
    reference.save_pretrained(folder, max_shard_size="400KB")
    # transformers 5.23 looks this up when a talker hears sound beside pictures, and fails.
    reference.config.talker_config.audio_config = reference.config.thinker_config.audio_config
    return OmniPair(reference, *load(folder), folder)


def load(folder: Path) -> tuple[Config, Thinker, Speech]:
    """Load a folder through the real loader."""
    config = Config.from_hf(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    assert config.speech is not None
    with torch.device("meta"):
        thinker, speech = Thinker(config.thinker), Speech(config.speech)
    checkpoint = open_checkpoint(folder)
    load_weights(thinker, checkpoint, THINKER_RULES, dtype=torch.float32)
    load_weights(speech, checkpoint, SPEECH_RULES, dtype=torch.float32)
    return config, thinker, speech


def outputs(network: nn.Module, names: Iterable[str], run: Callable[[], None]) -> dict[str, Tensor]:
    """Run a network and keep what the named modules put out."""
    with watch(network, names) as kept:
        run()
    return kept


def released_config() -> dict[str, dict[str, object]]:
    """Read the config.json of the released Instruct checkpoint."""
    return json.loads(RELEASED.read_text(encoding="utf-8"))


def code2wav_pair(values: Mapping[str, object]) -> tuple[nn.Module, Code2Wav]:
    """Make the reference's code2wav of a configuration, and ours with its weights."""
    reference = reference_code.Qwen3OmniMoeCode2Wav(Qwen3OmniMoeCode2WavConfig(**values)).eval()
    redraw(reference, 0)
    with torch.device("meta"):
        ours = nn.ModuleDict(
            {"code2wav": Code2Wav(Code2WavConfig.read(Fields(values, source="x")))}
        )
    weights = {f"code2wav.{name}": value for name, value in reference.state_dict().items()}
    load_weights(ours, MemoryCheckpoint(weights), SPEECH_RULES, dtype=torch.float32)
    return reference, ours["code2wav"]


def predictor_pair(*, num_layers: int) -> tuple[nn.Module, CodePredictor]:
    """Make the reference's code predictor at the released widths, and ours with its weights."""
    values = dict(released_config()["talker_config"]["code_predictor_config"])
    values |= {"num_hidden_layers": num_layers, "layer_types": ["full_attention"] * num_layers}
    config = Qwen3OmniMoeTalkerCodePredictorConfig(**values)
    reference = reference_code.Qwen3OmniMoeTalkerCodePredictorModelForConditionalGeneration(config)
    redraw(reference.eval(), 0)
    with torch.device("meta"):
        read = CodePredictorConfig.read(Fields(values, source="config.json"))
        ours = nn.ModuleDict({"talker": nn.ModuleDict({"code_predictor": CodePredictor(read)})})
    weights = {
        f"talker.code_predictor.{name}": value for name, value in reference.state_dict().items()
    }
    load_weights(ours, MemoryCheckpoint(weights), SPEECH_RULES, dtype=torch.float32)
    return reference, ours["talker"]["code_predictor"]


def decoder_pair(part: str, **changes: object) -> tuple[nn.Module, nn.Module, OmniDecoder]:
    """Make the reference's decoder at the released widths, its head, and ours with its weights.

    Args:
        part: "thinker" or "talker".
        **changes: keys of its `text_config` to be set differently.
    """
    values = released_config()[f"{part}_config"]["text_config"] | changes
    if part == "thinker":
        config = Qwen3OmniMoeTextConfig(**values, attn_implementation="eager")
        reference = reference_code.Qwen3OmniMoeThinkerTextModel(config)
        head_name, rules = "thinker.lm_head.weight", THINKER_RULES
    else:
        config = Qwen3OmniMoeTalkerTextConfig(**values, attn_implementation="eager")
        reference = reference_code.Qwen3OmniMoeTalkerModel(config)
        head_name, rules = "talker.codec_head.weight", SPEECH_RULES
    reference.eval().requires_grad_(False)
    head = nn.Linear(config.hidden_size, config.vocab_size, bias=False).requires_grad_(False)
    redraw(reference, 0)
    redraw(head, 1)
    weights = {head_name: head.weight}
    for name, value in reference.state_dict().items():
        weights |= released_experts(f"{part}.model.{name}", value)
    fields = Fields(values, source="config.json")
    with torch.device("meta"):
        decoder = OmniDecoder(DecoderConfig.read(fields, has_shared_expert=part == "talker"))
    ours = nn.ModuleDict({"decoder": decoder})
    if part == "talker":
        ours = nn.ModuleDict({"talker": ours})
    load_weights(ours, MemoryCheckpoint(weights), rules, dtype=torch.float32)
    return reference, head, decoder


def released_experts(name: str, value: Tensor) -> dict[str, Tensor]:
    """Give experts that the reference stacks their released names."""
    path, _, leaf = name.rpartition(".")
    if not path.endswith(".experts"):
        return {name: value}
    out: dict[str, Tensor] = {}
    for expert, matrix in enumerate(value):
        parts = ("gate_proj", "up_proj") if leaf == "gate_up_proj" else (leaf,)
        for part, rows in zip(parts, matrix.chunk(len(parts)), strict=True):
            out[f"{path}.{expert}.{part}.weight"] = rows.contiguous()
    return out
