"""Configuration of the three networks of Qwen-Image-Edit: text encoder, transformer, autoencoder.

Not here: the schedule of noise (diffusion), which is no part of a network.
Source: transformers 5.23 `Qwen2_5_VLConfig`; diffusers 0.42.1 `QwenImageTransformer2DModel`,
`AutoencoderKLQwenImage`.
Differs: what later releases of the family switch on is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from myna.core.errors import BadCheckpoint
from myna.models.config import MAX_LAYERS, MAX_VOCABULARY, MAX_WIDTH, read_hf
from myna.models.fields import Fields
from myna.models.qwen2.config import Config as DecoderConfig

NUM_AXES = 3  # time, height, width
MAX_SIDE_PX = 4096
MAX_LEVELS = 8


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """Describe the encoder of pictures.

    Attributes:
        patch_px: side of the square of pixels that becomes one row.
        patch_frames: frames that one row spans.
        merge: side of the square of rows that becomes one token.
        window_tokens: side of the square of tokens that attend to one another.
        full_layers: blocks that attend to the whole picture instead.
        out_width: the decoder's D.
    """

    num_layers: int
    width: int
    hidden_width: int
    num_heads: int
    num_channels: int
    patch_px: int
    patch_frames: int
    merge: int
    window_tokens: int
    full_layers: frozenset[int]
    out_width: int

    @classmethod
    def read(cls, fields: Fields) -> VisionConfig:
        """Read a `vision_config` section."""
        fields.choice("hidden_act", ("silu",), default="silu")
        width = fields.integer("hidden_size", high=MAX_WIDTH)
        num_heads = fields.integer("num_heads", high=width)
        if width % (4 * num_heads):
            raise fields.refuse("num_heads", f"a divisor of a quarter of {width}")
        num_layers = fields.integer("depth", high=MAX_LAYERS)
        patch_px = fields.integer("patch_size", high=MAX_SIDE_PX)
        merge = fields.integer("spatial_merge_size", high=64)
        window_px = fields.integer("window_size", low=patch_px * merge, high=MAX_SIDE_PX)
        return cls(
            num_layers=num_layers,
            width=width,
            hidden_width=fields.integer("intermediate_size", high=MAX_WIDTH),
            num_heads=num_heads,
            num_channels=fields.integer("in_channels", default=3, high=64),
            patch_px=patch_px,
            patch_frames=fields.integer("temporal_patch_size", high=64),
            merge=merge,
            window_tokens=window_px // (merge * patch_px),
            full_layers=frozenset(fields.integers("fullatt_block_indexes", high=num_layers - 1)),
            out_width=fields.integer("out_hidden_size", high=MAX_WIDTH),
        )


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """Describe the text encoder.

    Attributes:
        decoder: its layers, of which no word is ever sampled.
        section: how many frequencies of a head turn with time, height and width.
        vision: its eyes.
        image_id: the token that stands for a piece of a picture.
    """

    decoder: DecoderConfig
    section: tuple[int, int, int]
    vision: VisionConfig
    image_id: int

    @classmethod
    def from_hf(cls, values: Mapping[str, object]) -> TextEncoderConfig:
        """Read a config.json, in which the decoder has a section of its own or none."""
        whole = Fields(values, source="text_encoder/config.json")
        text = whole.section("text_config") or whole
        vision = whole.section("vision_config")
        if vision is None:
            raise whole.refuse("vision_config", "an object")
        decoder = DecoderConfig(
            **read_hf(text, max_position_embeddings=128_000), ignored=text.unread()
        )
        config = cls(
            decoder=decoder,
            section=_section(text, decoder.head_width),
            vision=VisionConfig.read(vision),
            image_id=whole.integer("image_token_id", low=0, high=MAX_VOCABULARY),
        )
        if config.vision.out_width != decoder.width:
            raise vision.refuse("out_hidden_size", f"the decoder's {decoder.width}")
        return config


def _section(text: Fields, head_width: int) -> tuple[int, int, int]:
    """Read which share of a head's frequencies turns with each axis."""
    rope = text.section("rope_parameters") or text.section("rope_scaling")
    if rope is None:
        raise text.refuse("rope_parameters", "an object with `mrope_section`")
    section = rope.integers("mrope_section", high=head_width)
    if len(section) != NUM_AXES or sum(section) != head_width // 2:
        raise rope.refuse("mrope_section", f"three numbers that add up to {head_width // 2}")
    return section[0], section[1], section[2]


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Describe the diffusion transformer.

    Attributes:
        patch: side of the square of latents that becomes one token.
        latent_channels: C of the latents.
        axis_widths: numbers of a head that turn with frame, row and column.
        text_width: D of the text encoder.
    """

    num_layers: int
    num_heads: int
    head_width: int
    patch: int
    latent_channels: int
    axis_widths: tuple[int, int, int]
    text_width: int

    @classmethod
    def from_hf(cls, values: Mapping[str, object]) -> TransformerConfig:
        """Read a config.json."""
        fields = Fields(values, source="transformer/config.json")
        for key in ("guidance_embeds", "zero_cond_t", "use_additional_t_cond", "use_layer3d_rope"):
            if fields.boolean(key, default=False):
                raise fields.refuse(key, "false (other members of the family switch it on)")
        patch = fields.integer("patch_size", default=2, high=16)
        out_channels = fields.integer("out_channels", default=16, high=MAX_WIDTH)
        if fields.integer("in_channels", default=64, high=MAX_WIDTH) != out_channels * patch**2:
            raise fields.refuse("in_channels", f"{out_channels * patch**2}")
        head_width = fields.integer("attention_head_dim", default=128, high=MAX_WIDTH)
        axes = fields.integers("axes_dims_rope", low=2, high=head_width) or (16, 56, 56)
        if len(axes) != NUM_AXES or sum(axes) != head_width or any(axis % 2 for axis in axes):
            raise fields.refuse("axes_dims_rope", f"three even numbers that add up to {head_width}")
        return cls(
            num_layers=fields.integer("num_layers", default=60, high=MAX_LAYERS),
            num_heads=fields.integer("num_attention_heads", default=24, high=MAX_WIDTH),
            head_width=head_width,
            patch=patch,
            latent_channels=out_channels,
            axis_widths=(axes[0], axes[1], axes[2]),
            text_width=fields.integer("joint_attention_dim", default=3584, high=MAX_WIDTH),
        )

    @property
    def width(self) -> int:
        """Give D."""
        return self.num_heads * self.head_width

    @property
    def token_channels(self) -> int:
        """Count the numbers of a token of latents."""
        return self.latent_channels * self.patch**2


@dataclass(frozen=True, kw_only=True)
class VaeConfig:
    """Describe the autoencoder.

    Attributes:
        width: channels of the finest level.
        multipliers: of the width, for each level, from fine to coarse.
        num_res_blocks: residual blocks of a level.
        latent_channels: C of the latents.
        mean: of each channel of the latents.
        std: of each channel of the latents.
    """

    width: int
    multipliers: tuple[int, ...]
    num_res_blocks: int
    latent_channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def from_hf(cls, values: Mapping[str, object]) -> VaeConfig:
        """Read a config.json."""
        fields = Fields(values, source="vae/config.json")
        if fields.integers("attn_scales"):
            raise fields.refuse("attn_scales", "an empty list")
        fields.integer("input_channels", default=3, low=3, high=3)
        fields.number("dropout", low=0, high=1, default=0)
        multipliers = fields.integers("dim_mult", low=1, high=64)
        if not 1 <= len(multipliers) <= MAX_LEVELS:
            raise fields.refuse("dim_mult", f"a list of 1 to {MAX_LEVELS} numbers")
        channels = fields.integer("z_dim", high=MAX_WIDTH)
        fields.get("temperal_downsample")  # about time, which a picture does not have
        return cls(
            width=fields.integer("base_dim", low=2, high=MAX_WIDTH),
            multipliers=multipliers,
            num_res_blocks=fields.integer("num_res_blocks", high=64),
            latent_channels=channels,
            mean=_numbers(fields, "latents_mean", channels, low=-math.inf),
            std=_numbers(fields, "latents_std", channels, low=0.0),
        )

    @property
    def scale(self) -> int:
        """Give the side of the square of pixels that one latent stands for."""
        return 2 ** (len(self.multipliers) - 1)


def _numbers(fields: Fields, key: str, count: int, *, low: float) -> tuple[float, ...]:
    """Read a list of finite numbers above a bound."""
    value = fields.get(key)
    if not isinstance(value, list) or len(value) != count:
        raise fields.refuse(key, f"a list of {count} numbers")
    for item in value:
        is_number = isinstance(item, int | float) and not isinstance(item, bool)
        if not is_number or not math.isfinite(item) or item <= low:
            raise fields.refuse(key, f"{count} finite numbers above {low:g}")
    return tuple(float(item) for item in value)


@dataclass(frozen=True, kw_only=True)
class EditConfig:
    """Describe the three networks, which must fit one another."""

    text_encoder: TextEncoderConfig
    transformer: TransformerConfig
    vae: VaeConfig

    def __post_init__(self) -> None:
        text, transformer, vae = self.text_encoder, self.transformer, self.vae
        for what, left, right in (
            ("the text encoder's width", text.decoder.width, transformer.text_width),
            ("the latents' channels", vae.latent_channels, transformer.latent_channels),
        ):
            if left != right:
                raise BadCheckpoint(
                    f"{what} is {left}, but the transformer wants {right}; the folders come from "
                    "different models: download all of it again"
                )

    @property
    def grid_px(self) -> int:
        """Give the side of the square of pixels that one token of the transformer stands for."""
        return self.vae.scale * self.transformer.patch
