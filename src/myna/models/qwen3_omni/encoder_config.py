"""Configuration of the audio encoder and the vision encoder.

Source: transformers 5.23 `Qwen3OmniMoeAudioEncoderConfig`, `Qwen3OmniMoeVisionEncoderConfig`.
Differs: values for which those classes' defaults are not the released ones are required.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from myna.models.config import MAX_LAYERS, MAX_WIDTH
from myna.models.fields import Fields

MAX_CHUNK_FRAMES = 2**16
MAX_SIDE = 4096


@dataclass(frozen=True, kw_only=True)
class AudioConfig:
    """Describe the audio encoder.

    Attributes:
        num_mels: M, of the mel frames that it hears.
        conv_channels: C, of the three convolutions that shorten the sound.
        chunk_frames: mel frames that are convolved, and numbered, on their own.
        window_chunks: chunks whose tokens attend to one another.
        out_width: the thinker's D.
    """

    num_mels: int
    width: int
    hidden_width: int
    num_layers: int
    num_heads: int
    conv_channels: int
    chunk_frames: int
    window_chunks: int
    out_width: int

    @classmethod
    def read(cls, fields: Fields) -> AudioConfig:
        """Read an `audio_config` section."""
        fields.choice("activation_function", ("gelu",), default="gelu")
        if fields.boolean("scale_embedding", default=False):
            raise fields.refuse("scale_embedding", "false")
        width = fields.integer("d_model", high=MAX_WIDTH)
        num_heads = fields.integer("encoder_attention_heads", high=width)
        if width % (2 * num_heads):
            raise fields.refuse("encoder_attention_heads", f"a divisor of half of {width}")
        chunk_frames = 2 * fields.integer("n_window", high=MAX_CHUNK_FRAMES)
        heard = fields.integer("n_window_infer", low=chunk_frames, high=MAX_CHUNK_FRAMES)
        num_layers = fields.integer("encoder_layers", high=MAX_LAYERS)
        if fields.integer("num_hidden_layers", default=num_layers) != num_layers:
            raise fields.refuse("num_hidden_layers", f"the same as `encoder_layers`, {num_layers},")
        config = cls(
            num_mels=fields.integer("num_mel_bins", high=MAX_WIDTH),
            width=width,
            hidden_width=fields.integer("encoder_ffn_dim", high=MAX_WIDTH),
            num_layers=num_layers,
            num_heads=num_heads,
            conv_channels=fields.integer("downsample_hidden_size", high=MAX_WIDTH),
            chunk_frames=chunk_frames,
            window_chunks=heard // chunk_frames,
            out_width=fields.integer("output_dim", high=MAX_WIDTH),
        )
        fields.integer("max_source_positions", low=config.chunk_tokens, default=1500)
        return config

    @property
    def chunk_tokens(self) -> int:
        """Count the tokens of a whole chunk."""
        return shortened(self.chunk_frames)

    def num_tokens(self, num_frames: int) -> int:
        """Count the tokens of a clip of mel frames."""
        chunks, rest = divmod(num_frames, self.chunk_frames)
        return chunks * self.chunk_tokens + shortened(rest)


def shortened(length: int) -> int:
    """Count what three convolutions of stride 2 leave of an axis."""
    return math.ceil(length / 8)


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """Describe the vision encoder.

    Attributes:
        patch_px: side of the square of pixels that becomes one row.
        patch_frames: frames that one row spans.
        merge: side of the square of rows that becomes one token.
        table_side: side of the learned square of positions.
        deepstack_layers: blocks after which features are taken for the thinker's first layers.
        out_width: the thinker's D.
    """

    num_layers: int
    width: int
    hidden_width: int
    num_heads: int
    num_channels: int
    patch_px: int
    patch_frames: int
    merge: int
    table_side: int
    deepstack_layers: tuple[int, ...]
    out_width: int

    @classmethod
    def read(cls, fields: Fields) -> VisionConfig:
        """Read a `vision_config` section."""
        fields.choice("hidden_act", ("gelu_pytorch_tanh",), default="gelu_pytorch_tanh")
        if not fields.boolean("apply_vit_abs_pos_embed", default=True):
            raise fields.refuse("apply_vit_abs_pos_embed", "true")
        if (rope := fields.section("rope_parameters")) is not None:
            rope.number("rope_theta", low=10_000, high=10_000, default=10_000)
        width = fields.integer("hidden_size", high=MAX_WIDTH)
        num_heads = fields.integer("num_heads", high=width)
        if width % (4 * num_heads):
            raise fields.refuse("num_heads", f"a divisor of a quarter of {width}")
        positions = fields.integer("num_position_embeddings", high=MAX_SIDE**2)
        if math.isqrt(positions) ** 2 != positions:
            raise fields.refuse("num_position_embeddings", "a square number")
        num_layers = fields.integer("depth", high=MAX_LAYERS)
        deepstack = fields.integers("deepstack_visual_indexes", high=num_layers - 1)
        if list(deepstack) != sorted(set(deepstack)):
            raise fields.refuse("deepstack_visual_indexes", "an ascending list")
        channels = fields.integer("in_channels", default=3, high=64)
        if fields.integer("in_chans", default=channels) != channels:
            raise fields.refuse("in_chans", f"the same as `in_channels`, {channels},")
        return cls(
            num_layers=num_layers,
            width=width,
            hidden_width=fields.integer("intermediate_size", high=MAX_WIDTH),
            num_heads=num_heads,
            num_channels=channels,
            patch_px=fields.integer("patch_size", high=MAX_SIDE),
            patch_frames=fields.integer("temporal_patch_size", high=64),
            merge=fields.integer("spatial_merge_size", high=64),
            table_side=math.isqrt(positions),
            deepstack_layers=deepstack,
            out_width=fields.integer("out_hidden_size", high=MAX_WIDTH),
        )

    @property
    def patch_width(self) -> int:
        """Count the numbers of one row of patches."""
        return self.num_channels * self.patch_frames * self.patch_px**2

    def num_tokens(self, grid: tuple[int, int, int]) -> int:
        """Count the tokens of a picture or video of (time, height, width) patches."""
        time, height, width = grid
        return time * (height // self.merge) * (width // self.merge)
