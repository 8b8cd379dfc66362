"""What all text families' configurations share: every field checked, from both kinds of files."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from torch import Tensor

from myna.core.errors import BadCheckpoint, InvalidRequest, Unsupported
from myna.models.config import TextConfig, check_full_attention, read_gguf, read_hf
from myna.models.fields import Fields

HF: Mapping[str, object] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e6,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "bos_token_id": 1,
    "eos_token_id": [2, 3],
    "pad_token_id": None,
    "rope_scaling": None,
    "rope_parameters": None,
}
GGUF: Mapping[str, object] = {
    "llama.block_count": 3,
    "llama.context_length": 256,
    "llama.embedding_length": 32,
    "llama.feed_forward_length": 48,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.attention.key_length": 8,
    "llama.attention.value_length": 8,
    "llama.rope.freq_base": 1e6,
    "llama.rope.dimension_count": 8,
    "llama.vocab_size": 96,
    "llama.rope.scaling.type": "none",
}
WRONG = ["x", [1, "2"], {"a": 1}, 1.5, -7, True, 2**70]
RIGHT = {  # among the wrong
    ("rope_theta", "1.5"),
    ("tie_word_embeddings", "True"),
    ("rope_scaling", "{'a': 1}"),
    ("rope_parameters", "{'a': 1}"),
}


class Stored:
    """Hold the one tensor whose shape is asked for."""

    def __init__(self, shape: tuple[int, ...] | None = (96, 32)) -> None:
        self.tensors = {} if shape is None else {"token_embd.weight": SimpleNamespace(shape=shape)}

    def read(self, name: str) -> Tensor:
        raise AssertionError(name)


def from_hf(**changes: object) -> TextConfig:
    fields = Fields({**HF, **changes}, source="config.json")
    return TextConfig(**read_hf(fields, max_position_embeddings=2048))


def from_gguf(stored: Stored | None = None, **changes: object) -> TextConfig:
    dotted = {f"llama.{key.replace('__', '.')}": value for key, value in changes.items()}
    fields = Fields({**GGUF, **dotted}, source="the GGUF header", prefix="llama.")
    return TextConfig(**read_gguf(fields, stored or Stored()))


def test_both_kinds_of_files_give_the_same_configuration() -> None:
    config = from_hf(tie_word_embeddings=None, torch_dtype=None)
    assert config == from_gguf()
    assert (config.width, config.hidden_width, config.num_layers) == (32, 48, 3)
    assert (config.num_heads, config.num_kv_heads, config.head_width) == (4, 2, 8)
    assert (config.vocab_size, config.context_length, config.norm_eps) == (96, 256, 1e-5)


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key in HF for value in WRONG if (key, repr(value)) not in RIGHT],
)
def test_a_wrong_type_in_any_field_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(BadCheckpoint, match=f"`{key}` is .* expected; correct the file"):
        from_hf(**{key: value})


@pytest.mark.parametrize("key", GGUF)
@pytest.mark.parametrize("value", ["x", [1, 2], -7, True], ids=repr)
def test_a_wrong_type_in_any_gguf_key_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(BadCheckpoint, match=f"the GGUF header says `{key}` is"):
        from_gguf(**{key.removeprefix("llama.").replace(".", "__"): value})


@pytest.mark.parametrize(
    "key",
    ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"],
)
def test_a_missing_field_is_named(key: str) -> None:
    with pytest.raises(BadCheckpoint, match=rf"config\.json lacks `{key}`"):
        from_hf(**{key: None})


@pytest.mark.parametrize("key", [key for key in GGUF if key.count(".") == 1 and "vocab" not in key])
def test_a_missing_gguf_key_is_named(key: str) -> None:
    with pytest.raises(BadCheckpoint, match=f"the GGUF header lacks `{key}`"):
        from_gguf(**{key.removeprefix("llama."): None})


def test_a_count_that_would_build_forever_is_refused() -> None:
    with pytest.raises(BadCheckpoint, match="`num_hidden_layers` is 1000000, but"):
        from_hf(num_hidden_layers=1_000_000)


def test_kv_heads_must_divide_heads() -> None:
    with pytest.raises(BadCheckpoint, match="a divisor of the 4 attention heads"):
        from_hf(num_key_value_heads=3)
    with pytest.raises(BadCheckpoint, match="a divisor of the 4 attention heads"):
        from_gguf(attention__head_count_kv=3)


def test_kv_heads_default_to_heads() -> None:
    assert from_hf(num_key_value_heads=None).num_kv_heads == 4


def test_head_width_follows_from_width_and_heads() -> None:
    assert from_hf(head_dim=None, hidden_size=64).head_width == 16
    assert from_gguf(attention__key_length=None, attention__value_length=None).head_width == 8


def test_a_stated_head_width_wins() -> None:
    assert from_hf(head_dim=24).head_width == 24


def test_heads_that_do_not_divide_the_width_need_a_stated_one() -> None:
    with pytest.raises(BadCheckpoint, match=r"lacks `head_dim` \(one integer, since 4 heads"):
        from_hf(head_dim=None, hidden_size=30)


def test_an_odd_head_width_cannot_be_turned_in_pairs() -> None:
    with pytest.raises(BadCheckpoint, match="heads of width 7, but an even width is expected"):
        from_hf(head_dim=7)


def test_values_wider_than_keys_are_refused() -> None:
    with pytest.raises(BadCheckpoint, match=r"value_length` is 16, but the key length, 8"):
        from_gguf(attention__value_length=16)


def test_heads_that_are_turned_in_part_are_refused() -> None:
    with pytest.raises(BadCheckpoint, match=r"dimension_count` is 4, but the key length, 8"):
        from_gguf(rope__dimension_count=4)


def test_the_embedding_must_have_a_row_for_every_token() -> None:
    with pytest.raises(BadCheckpoint, match="is 97, but the number of embedding rows, 96"):
        from_gguf(vocab_size=97)
    with pytest.raises(BadCheckpoint, match=r"has no matrix `token_embd\.weight`"):
        from_gguf(Stored(None))
    with pytest.raises(BadCheckpoint, match=r"has no matrix `token_embd\.weight`"):
        from_gguf(Stored((96,)))


def test_the_rows_tell_the_vocabulary_where_no_key_does() -> None:
    assert from_gguf(Stored((50, 32)), vocab_size=None).vocab_size == 50


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_both_names_of_the_dtype_are_read(key: str) -> None:
    assert from_hf(**{"torch_dtype": None, key: "float16"}).dtype == "float16"


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(BadCheckpoint, match="`torch_dtype` is 'int4', but 'float32' or"):
        from_hf(torch_dtype="int4")


def test_another_activation_is_refused() -> None:
    with pytest.raises(BadCheckpoint, match="`hidden_act` is 'gelu', but 'silu' is expected"):
        from_hf(hidden_act="gelu")


def test_weights_in_another_tools_format_are_refused() -> None:
    with pytest.raises(Unsupported, match=r"quantized by 'awq'.*load the original or a GGUF file"):
        from_hf(quantization_config={"quant_method": "awq", "bits": 4})


class TestYarn:
    """Stretching the context for one load."""

    def test_it_multiplies_the_context(self) -> None:
        config = from_hf().with_yarn(factor=4.0)
        assert config.context_length == 1024
        assert config.rope.attention_factor == pytest.approx(1.138629, rel=1e-6)

    def test_the_files_original_context_is_kept(self) -> None:
        scaling = {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 128}
        config = from_hf(rope_scaling=scaling).with_yarn(factor=4.0)
        assert config.context_length == 512

    def test_the_original_context_can_be_given(self) -> None:
        config = from_hf(max_position_embeddings=40960).with_yarn(factor=4.0, original=32768)
        assert config.context_length == 131072

    @pytest.mark.parametrize("factor", [1.0, 0.5, -1.0, 65.0, float("nan")])
    def test_a_factor_out_of_range_is_refused(self, factor: float) -> None:
        with pytest.raises(InvalidRequest, match="give one above 1, up to 64"):
            from_hf().with_yarn(factor=factor)


class TestHead:
    """Whose matrix scores the vocabulary."""

    @pytest.mark.parametrize("stated", [True, False, None])
    def test_a_stored_head_is_used_whatever_the_file_says(self, stated: object) -> None:
        assert from_hf(tie_word_embeddings=stated).with_head(stored=True).tied is False

    @pytest.mark.parametrize("stated", [True, None])
    def test_without_one_the_embedding_scores(self, stated: object) -> None:
        assert from_hf(tie_word_embeddings=stated).with_head(stored=False).tied is True

    def test_an_untied_model_without_a_head_is_left_for_the_loader_to_refuse(self) -> None:
        assert from_hf(tie_word_embeddings=False).with_head(stored=False).tied is False


class TestFullAttention:
    """Sliding windows are refused where they would be used, and only there."""

    def check(self, **values: object) -> None:
        check_full_attention(Fields(values, source="config.json"), num_layers=4)

    def test_a_window_that_is_switched_off_is_no_matter(self) -> None:
        self.check(sliding_window=32768, use_sliding_window=False, max_window_layers=2)

    def test_a_window_beyond_the_last_layer_is_no_matter(self) -> None:
        self.check(sliding_window=32768, use_sliding_window=True, max_window_layers=4)

    def test_a_window_that_would_be_used_is_refused(self) -> None:
        with pytest.raises(Unsupported, match="a sliding window of 4096 positions from layer 2"):
            self.check(sliding_window=4096, use_sliding_window=True, max_window_layers=2)

    def test_listed_layers_decide(self) -> None:
        self.check(layer_types=["full_attention"] * 4)
        with pytest.raises(Unsupported, match="layers of type 'sliding_attention'"):
            self.check(layer_types=["full_attention"] * 3 + ["sliding_attention"])

    @pytest.mark.parametrize("value", ["full_attention", ["full_attention"], {}, 4])
    def test_a_list_of_another_length_is_refused(self, value: object) -> None:
        with pytest.raises(BadCheckpoint, match="a list of 4 strings is expected"):
            self.check(layer_types=value)
