"""Configuration of the two decoders that have experts and positions on three axes.

Not here: which decoder is which (config, speech_config).
Source: transformers 5.23 `Qwen3OmniMoeTextConfig`, `Qwen3OmniMoeTalkerTextConfig`.
Differs: values for which those classes' defaults are not the released ones are required.
"""

from __future__ import annotations

from dataclasses import dataclass

from myna.core.errors import Unsupported
from myna.models.config import MAX_WIDTH, TextConfig, check_full_attention, read_hf
from myna.models.fields import Fields

MAX_EXPERTS = 4096


@dataclass(frozen=True, kw_only=True)
class MoeConfig:
    """Describe the experts that every layer has.

    Attributes:
        num_chosen: experts that read each token.
        hidden_width: F, of each expert.
        renormalise: whether the chosen experts' probabilities are scaled to sum to one.
        shared_width: F of the expert that reads every token, or None where there is none.
    """

    num_experts: int
    num_chosen: int
    hidden_width: int
    renormalise: bool
    shared_width: int | None = None


@dataclass(frozen=True, kw_only=True)
class DecoderConfig(TextConfig):
    """Describe the thinker's or the talker's decoder.

    Attributes:
        moe: the experts of every layer.
        mrope_section: how many of a head's K/2 frequencies turn with time, height and width.
        attention_bias: whether q, k, v and o have biases, all four together.
    """

    moe: MoeConfig
    mrope_section: tuple[int, int, int]
    attention_bias: bool = False

    @classmethod
    def read(cls, fields: Fields, *, has_shared_expert: bool) -> DecoderConfig:
        """Read a `text_config` section."""
        check_theta(fields)
        common = read_hf(fields, max_position_embeddings=None)
        check_full_attention(fields, num_layers=common["num_layers"])
        return cls(
            **common,
            attention_bias=fields.boolean("attention_bias", default=False),
            moe=_moe(fields, has_shared_expert=has_shared_expert),
            mrope_section=_mrope_section(fields, common["head_width"]),
        )


def check_theta(fields: Fields) -> None:
    """Require `rope_theta`, in either of its two places: the families' defaults differ."""
    section = fields.section("rope_parameters")
    if section is None or section.get("rope_theta") is None:
        fields.number("rope_theta", low=1.001, high=1e12)


def _moe(fields: Fields, *, has_shared_expert: bool) -> MoeConfig:
    if fields.integer("decoder_sparse_step", default=1) != 1 or fields.integers("mlp_only_layers"):
        raise Unsupported(
            f"{fields.source} asks for layers without experts; no released model has them, and "
            "they are not supported."
        )
    # transformers 5 writes `num_local_experts` under its attribute map.
    key = "num_experts" if fields.get("num_experts") is not None else "num_local_experts"
    num_experts = fields.integer(key, high=MAX_EXPERTS)
    if fields.get("norm_topk_prob") is None:
        raise fields.refuse("norm_topk_prob", "true or false")
    shared: int | None = None
    if has_shared_expert:
        shared = fields.integer("shared_expert_intermediate_size", high=MAX_WIDTH)
    return MoeConfig(
        num_experts=num_experts,
        num_chosen=fields.integer("num_experts_per_tok", high=num_experts),
        hidden_width=fields.integer("moe_intermediate_size", high=MAX_WIDTH),
        renormalise=fields.boolean("norm_topk_prob", default=True),
        shared_width=shared,
    )


def _mrope_section(fields: Fields, head_width: int) -> tuple[int, int, int]:
    rope = fields.section("rope_parameters") or fields.section("rope_scaling")
    if rope is None:
        raise fields.refuse("rope_scaling", "an object with `mrope_section`")
    for key in ("interleaved", "mrope_interleaved"):
        if not rope.boolean(key, default=True):
            raise Unsupported(
                f"{rope.source} asks for frequencies in blocks of one axis each; only interleaved "
                "axes are supported."
            )
    section = rope.integers("mrope_section", high=MAX_WIDTH)
    if len(section) != 3 or sum(section) != head_width // 2 or max(section) != section[0]:
        raise rope.refuse(
            "mrope_section",
            f"three counts with the sum {head_width // 2}, of which the first is the largest,",
        )
    return section[0], section[1], section[2]
