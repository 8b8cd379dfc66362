"""The files of Qwen-Image-Edit, and how they become the parameters of its networks.

Each network has a folder of its own. Blocks and layers can also be filled one by one, by the same
rules, from the tensors below their prefix.
"""

from __future__ import annotations

from torch import Tensor

from myna.kernels.packed import Weight
from myna.models.qwen_image_edit.config import TransformerConfig
from myna.models.qwen_image_edit.modulation import Modulator
from myna.models.qwen_image_edit.transformer import Transformer
from myna.weights.rules import Fold, Fuse, Ignore, Rename, Rule

QKV = ("q_proj", "k_proj", "v_proj")
GATE_UP = ("gate_proj", "up_proj")
JOINT_QKV = ("to_q", "to_k", "to_v")
ADDED_QKV = ("add_q_proj", "add_k_proj", "add_v_proj")
LAYER_PREFIXES = ("model.layers.{}.", "model.language_model.layers.{}.")
BLOCK_PREFIX = "transformer_blocks.{}."


def _layer(path: str) -> tuple[Rule, ...]:
    """Fuse what lies in a layer of the text encoder."""
    return (
        Fuse(f"{path}self_attn", QKV, into="qkv_proj"),
        Fuse(f"{path}mlp", GATE_UP, into="gate_up_proj"),
    )


LAYER_RULES: tuple[Rule, ...] = _layer("")
ENCODER_RULES: tuple[Rule, ...] = (
    Ignore("lm_head.*", "no word is ever chosen"),
    # transformers 4.52 and later write the networks' names in front.
    Rename("model.language_model.*", "model.*"),
    Rename("model.visual.*", "visual.*"),
    Rename("model.*", "*"),
    *_layer("layers.{i}."),
    Fuse("visual.blocks.{i}.mlp", GATE_UP, into="gate_up_proj"),
)
# The same, where layers are filled one by one.
ENCODER_END_RULES: tuple[Rule, ...] = (
    Ignore("model.layers.*", "loaded one after another"),
    Ignore("model.language_model.layers.*", "loaded one after another"),
    *ENCODER_RULES,
)


def _block(path: str) -> tuple[Rule, ...]:
    """Rename and fuse what lies in a block of the transformer."""
    return (
        Fuse(f"{path}attn", JOINT_QKV, into="to_qkv"),
        Fuse(f"{path}attn", ADDED_QKV, into="add_qkv_proj"),
        Rename(f"{path}attn.to_out.0.*", f"{path}attn.to_out.*"),
        Rename(f"{path}*_mlp.net.0.proj.*", f"{path}*_mlp.fc1.*"),
        Rename(f"{path}*_mlp.net.2.*", f"{path}*_mlp.fc2.*"),
    )


_NO_MODULATION = "computed beforehand for all time steps"
BLOCK_RULES: tuple[Rule, ...] = (Ignore("*_mod.1.*", _NO_MODULATION), *_block(""))
MODULATION_RULES: tuple[Rule, ...] = (
    Rename("*_mod.1.*", "*_mod.*"),
    Ignore("attn.*", "loaded as the block"),
    Ignore("*_mlp.*", "loaded as the block"),
)
_MODULATOR = (
    Rename("time_text_embed.timestep_embedder.*", "modulator.timestep_embedder.*"),
    Rename("norm_out.linear.*", "modulator.norm_out.*"),
    Rename("transformer_blocks.{i}.*_mod.1.*", "modulator.blocks.{i}.*_mod.*"),
)
TRANSFORMER_RULES: tuple[Rule, ...] = (
    *_MODULATOR,
    *_block("transformer_blocks.{i}."),
)
TRANSFORMER_END_RULES: tuple[Rule, ...] = (
    Ignore("transformer_blocks.*", "loaded one after another"),
    *TRANSFORMER_RULES,
)


class EditTransformer(Transformer):
    """Hold a transformer and what computes its modulation: all of one folder."""

    def __init__(self, config: TransformerConfig, *, has_blocks: bool = True) -> None:
        super().__init__(config, has_blocks=has_blocks)
        self.modulator = Modulator(config, has_blocks=has_blocks)


def last_frame(weight: Weight) -> Weight:
    """Keep the last tap in time of a convolution; flat ones, and biases, stay as they are."""
    assert isinstance(weight, Tensor), "convolutions are never packed"
    return weight[:, :, -1] if weight.dim() == 5 else weight


def flat(weight: Weight) -> Weight:
    """Drop the empty axes of a scale."""
    assert isinstance(weight, Tensor), "scales are never packed"
    return weight.flatten()


VAE_RULES: tuple[Rule, ...] = (
    Ignore("*.time_conv.*", "changes the number of frames, and a picture has one"),
    Fold("*.gamma", flat, "*.gamma"),
    Fold("*.weight", last_frame, "*.weight"),
)
