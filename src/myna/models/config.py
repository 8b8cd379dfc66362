"""What every text decoder's configuration holds, read from config.json or from GGUF metadata.

Not here: fields that only one family has (each family's config.py), token ids and templates (text).
Source of the GGUF keys: llama.cpp `gguf-py/gguf/constants.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from myna.core.errors import BadCheckpoint, InvalidRequest, Unsupported
from myna.layers import rope
from myna.models.fields import Fields
from myna.models.rope_fields import MAX_CONTEXT, Tensors, rope_from_gguf, rope_from_hf

MAX_LAYERS = 1024  # far above any released model; a hostile count must not build forever
MAX_WIDTH = 2**20
MAX_VOCABULARY = 2**22
MAX_YARN_FACTOR = 64


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Hold what all text decoders have in common.

    Attributes:
        yarn_original: the context that the family's makers start YaRN from, where it is not the
            configured one.
        width: D, of the residual stream.
        hidden_width: F, of the feed-forward network.
        context_length: positions the model was made for.
        tied: whether the embedding also scores the vocabulary; None leaves it to what the
            checkpoint holds.
        dtype: what the released weights are stored in, if the file says so.
        ignored: keys of the file that have no meaning here.
    """

    yarn_original: ClassVar[int | None] = None

    vocab_size: int
    width: int
    hidden_width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_width: int
    norm_eps: float
    rope: rope.RopeConfig
    context_length: int
    tied: bool | None = None
    dtype: str | None = None
    ignored: tuple[str, ...] = ()

    def with_yarn(self, *, factor: float, original: int | None = None) -> Self:
        """Return this configuration stretched to `factor` times the original context.

        Every prompt is affected, short ones too, and cached keys cannot be shared with another
        factor: choose once a load.

        Args:
            factor: above 1.
            original: positions before the stretching; what the file or the makers say if not given.
        """
        if not 1.0 < factor <= MAX_YARN_FACTOR:
            raise InvalidRequest(
                f"a YaRN factor of {factor:g} was asked for; give one above 1, up to "
                f"{MAX_YARN_FACTOR}."
            )
        if original is None:
            original = self._original_context()
        scaling = rope.Yarn(factor=factor, original_context=original)
        context = min(int(original * factor), MAX_CONTEXT)
        return replace(self, rope=replace(self.rope, scaling=scaling), context_length=context)

    def _original_context(self) -> int:
        if isinstance(self.rope.scaling, rope.Yarn):
            return self.rope.scaling.original_context
        return min(self.yarn_original or self.context_length, self.context_length)

    def with_head(self, *, stored: bool) -> Self:
        """Settle `tied` by whether the checkpoint stores a head: a stored one is used even by a
        tied model.

        A model that is said to be untied keeps its head, so that its absence is reported by the
        loader.
        """
        return replace(self, tied=not stored and self.tied is not False)


def read_hf(fields: Fields, **defaults: Any) -> dict[str, Any]:
    """Read the common fields of a Hugging Face config.json, checked for type, range and
    consistency.

    Args:
        fields: the file's keys.
        defaults: the family's own, under the file's key names, for keys that old files leave out.

    Returns:
        Arguments for `TextConfig`, but for `ignored`.
    """
    fields.choice("hidden_act", ("silu",), default="silu")
    if quantized := fields.section("quantization_config"):
        raise Unsupported(
            f"{fields.source} says that the weights are quantized by "
            f"{quantized.text('quant_method', default='an unnamed tool')!r:.80}, which cannot be "
            "read; load the original or a GGUF file of it."
        )
    width = fields.integer("hidden_size", high=MAX_WIDTH)
    num_heads = fields.integer("num_attention_heads", high=MAX_WIDTH)
    num_kv_heads = fields.integer("num_key_value_heads", high=MAX_WIDTH, default=num_heads)
    context = fields.integer(
        "max_position_embeddings", high=MAX_CONTEXT, default=defaults["max_position_embeddings"]
    )
    common = {
        "vocab_size": fields.integer("vocab_size", high=MAX_VOCABULARY),
        "width": width,
        "hidden_width": fields.integer("intermediate_size", high=MAX_WIDTH),
        "num_layers": fields.integer("num_hidden_layers", high=MAX_LAYERS),
        "num_heads": num_heads,
        "num_kv_heads": num_kv_heads,
        "head_width": _head_width(fields, "head_dim", width, num_heads, defaults.get("head_dim")),
        "norm_eps": fields.number("rms_norm_eps", low=0, high=1, default=1e-6),
        "rope": rope_from_hf(fields, context),
        "context_length": context,
        "tied": fields.optional_boolean("tie_word_embeddings"),
        "dtype": _dtype(fields),
    }
    _check_heads(fields, "num_key_value_heads", num_heads, num_kv_heads)
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        fields.integers(key, high=MAX_VOCABULARY)
    return common


def read_gguf(fields: Fields, checkpoint: Tensors) -> dict[str, Any]:
    """Read the common fields of a GGUF file, checked for type, range and consistency.

    Args:
        fields: the metadata, prefixed with the architecture's name.
        checkpoint: tells the vocabulary (the embedding's rows) and the stored rope divisors.

    Returns:
        Arguments for `TextConfig`, but for `ignored`.
    """
    width = fields.integer("embedding_length", high=MAX_WIDTH)
    num_heads = fields.integer("attention.head_count", high=MAX_WIDTH)
    num_kv_heads = fields.integer("attention.head_count_kv", high=MAX_WIDTH, default=num_heads)
    _check_heads(fields, "attention.head_count_kv", num_heads, num_kv_heads)
    head_width = _head_width(
        fields,
        "attention.key_length",
        width,
        num_heads,
        fields.optional_integer("rope.dimension_count"),
    )
    for key in ("attention.value_length", "rope.dimension_count"):
        if fields.integer(key, default=head_width) != head_width:
            raise fields.refuse(key, f"the key length, {head_width},")
    context = fields.integer("context_length", high=MAX_CONTEXT)
    return {
        "vocab_size": _gguf_vocabulary(fields, checkpoint),
        "width": width,
        "hidden_width": fields.integer("feed_forward_length", high=MAX_WIDTH),
        "num_layers": fields.integer("block_count", high=MAX_LAYERS),
        "num_heads": num_heads,
        "num_kv_heads": num_kv_heads,
        "head_width": head_width,
        "norm_eps": fields.number("attention.layer_norm_rms_epsilon", low=0, high=1),
        "rope": rope_from_gguf(fields, checkpoint, context, head_width),
        "context_length": context,
    }


def check_full_attention(fields: Fields, *, num_layers: int) -> None:
    """Refuse a configuration whose layers attend through a sliding window."""
    first = fields.integer("max_window_layers", low=0, default=num_layers)
    window = fields.optional_integer("sliding_window", low=1)
    kinds = fields.get("layer_types")
    windowed = fields.boolean("use_sliding_window", default=False) and window and first < num_layers
    if kinds is None:
        if windowed:
            raise Unsupported(
                f"{fields.source} asks for a sliding window of {window} positions from layer "
                f"{first} on; only full attention is supported."
            )
        return
    if not isinstance(kinds, list) or len(kinds) != num_layers:
        raise fields.refuse("layer_types", f"a list of {num_layers} strings")
    for kind in kinds:
        if kind != "full_attention":
            raise Unsupported(
                f"{fields.source} asks for layers of type {kind!r:.80}; only 'full_attention' is "
                "supported."
            )


def _check_heads(fields: Fields, key: str, num_heads: int, num_kv_heads: int) -> None:
    if num_heads % num_kv_heads:
        raise fields.refuse(key, f"a divisor of the {num_heads} attention heads")


def _head_width(fields: Fields, key: str, width: int, num_heads: int, default: int | None) -> int:
    if fields.get(key) is None and default is None and width % num_heads:
        raise fields.refuse(key, f"one integer, since {num_heads} heads do not divide {width},")
    head_width = fields.integer(key, high=MAX_WIDTH, default=default or width // num_heads)
    if head_width % 2:
        raise BadCheckpoint(
            f"{fields.source} gives heads of width {head_width}, but an even width is expected, "
            "since rotary positions turn pairs; correct the file or download the model again."
        )
    return head_width


def _dtype(fields: Fields) -> str | None:
    key = "dtype" if fields.get("dtype") is not None else "torch_dtype"  # renamed by transformers 5
    fields.get("torch_dtype")
    if fields.get(key) is None:
        return None
    return fields.choice(key, ("float32", "bfloat16", "float16"), default="")


def _gguf_vocabulary(fields: Fields, checkpoint: Tensors) -> int:
    info = checkpoint.tensors.get("token_embd.weight")
    if info is None or len(info.shape) != 2:
        raise BadCheckpoint(
            f"{fields.source} has no matrix `token_embd.weight`; download the model again."
        )
    rows = int(info.shape[0])
    if fields.integer("vocab_size", high=MAX_VOCABULARY, default=rows) != rows:
        raise fields.refuse("vocab_size", f"the number of embedding rows, {rows},")
    return rows
