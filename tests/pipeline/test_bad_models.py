"""Damaged models: one clear error that names the file, before anything is served."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from myna.core.errors import MynaError
from myna.core.progress import silent
from myna.pipeline.load import LoadOptions, load_model

Damage = Callable[[Path], None]
MEANINGFUL: tuple[tuple[str, object], ...] = (
    ("bos_token_id", None),
    ("bos_token_id", []),
    ("eos_token_id", None),
    ("eos_token_id", []),
    ("hidden_act", None),
    ("max_position_embeddings", None),
    ("rms_norm_eps", None),
    ("rope_theta", None),
    ("rope_theta", 1.5),
    ("tie_word_embeddings", None),
    ("tie_word_embeddings", True),
    ("sliding_window", None),
    ("use_sliding_window", None),
    ("use_sliding_window", True),
)
WRONG_VALUES = (None, "x", -1, 1.5, [], {}, True, 10**30)
IGNORED = {
    # Keys that say nothing about the network, or are read from elsewhere.
    "architectures",
    "initializer_range",
    "use_cache",
    "torch_dtype",
    "dtype",
    "transformers_version",
}


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def cut(folder: Path) -> None:
    shards(folder)[0].write_bytes(shards(folder)[0].read_bytes()[:-100])


def cut_in_header(folder: Path) -> None:
    shards(folder)[0].write_bytes(shards(folder)[0].read_bytes()[:20])


def corrupt_header(folder: Path) -> None:
    data = bytearray(shards(folder)[0].read_bytes())
    data[8:12] = b"\xff\xff\xff\xff"
    shards(folder)[0].write_bytes(bytes(data))


def huge_header(folder: Path) -> None:
    data = bytearray(shards(folder)[0].read_bytes())
    data[:8] = (2**63 - 1).to_bytes(8, "little")
    shards(folder)[0].write_bytes(bytes(data))


def empty_shard(folder: Path) -> None:
    shards(folder)[0].write_bytes(b"")


def missing_shard(folder: Path) -> None:
    shards(folder)[0].unlink()


def extra_shard(folder: Path) -> None:
    shutil.copy(shards(folder)[0], folder / "extra.safetensors")


def index_names_another_file(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    fields = json.loads(index.read_text())
    name = next(iter(fields["weight_map"]))
    fields["weight_map"][name] = "../../etc/passwd"
    index.write_text(json.dumps(fields))


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*.json"):
        path.unlink()


def other_tokenizer(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["vocab_size"] = 16
    (folder / "config.json").write_text(json.dumps(config))


def unknown_family(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "gpt9"
    (folder / "config.json").write_text(json.dumps(config))


def bad_stop_id(folder: Path) -> None:
    (folder / "generation_config.json").write_text('{"eos_token_id": "two"}')


def biased_beyond_the_vocabulary(folder: Path) -> None:
    told = {"do_sample": False, "sequence_bias": [[[0, 10**6], 1.0]]}
    (folder / "generation_config.json").write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "cut short|bytes"),
        (cut_in_header, "cut short|header"),
        (corrupt_header, "header"),
        (huge_header, "header"),
        (empty_shard, "header|empty|bytes"),
        (missing_shard, "missing"),
        (extra_shard, r"extra\.safetensors"),
        (index_names_another_file, "passwd"),
        (no_config, r"config\.json is missing"),
        (no_tokenizer, r"tokenizer\.json"),
        (other_tokenizer, "rows|shape"),
        (unknown_family, "gpt9"),
        (bad_stop_id, "eos_token_id"),
        (biased_beyond_the_vocabulary, "sequence_bias.* holds token id 1000000"),
    ],
)
def test_damage_is_named(folder: Path, options: LoadOptions, damage: Damage, message: str):
    damage(folder)
    with pytest.raises(MynaError, match=message) as caught:
        load_model(folder, options, silent)
    assert len(caught.value.message) < 1500


def refusal_of(folder: Path, options: LoadOptions) -> str | None:
    try:
        load_model(folder, options, silent)
    except MynaError as error:
        return error.message
    return None


def test_every_field_of_the_config_may_be_wrong(folder: Path, options: LoadOptions):
    """Any value of any key is accepted, where it has a meaning, or refused by the key's name."""
    path = folder / "config.json"
    whole = json.loads(path.read_text())
    accepted, unnamed = [], []
    for key in whole:
        for value in WRONG_VALUES:
            path.write_text(json.dumps({**whole, key: value}))
            message = refusal_of(folder, options)
            if message is None:
                accepted.append((key, value))
            elif key not in message and "shape" not in message:
                unnamed.append((key, value, message))
    assert unnamed == []
    assert [pair for pair in accepted if pair not in MEANINGFUL and pair[0] not in IGNORED] == []


def test_a_model_too_large_for_memory_is_refused_with_both_figures(
    folder: Path, options: LoadOptions, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("myna.pipeline.machine.available_memory_bytes", lambda: 1000)
    with pytest.raises(MynaError, match=r"needs .* GB for its weights but 0\.0 GB"):
        load_model(folder, options, silent)


def test_too_little_memory_for_the_cache_is_refused(folder: Path, options: LoadOptions):
    short = LoadOptions(model_id="x", dtype="float32", kv_memory_bytes=1000)
    with pytest.raises(MynaError, match="too few to be of use"):
        load_model(folder, short, silent)


def test_heads_that_are_no_whole_blocks_are_not_kept_in_eight_bits(folder: Path):
    packed = LoadOptions(model_id="x", dtype="float32", kv_memory_bytes=2**20, kv_int8=True)
    with pytest.raises(MynaError, match=r"`--kv-int8` .* has \d+; leave the option out"):
        load_model(folder, packed, silent)


def test_fillers_at_the_end_of_a_vocabulary_are_never_chosen(folder: Path, options: LoadOptions):
    whole = load_model(folder, options, silent)
    path = folder / "tokenizer.json"
    fields = json.loads(path.read_text())
    last = whole.tokenizer.vocab_size - 1
    fields["added_tokens"] = [token for token in fields["added_tokens"] if token["id"] != last]
    path.write_text(json.dumps(fields))
    cut = load_model(folder, options, silent)
    assert whole.engine_config.num_valid_tokens == last + 1
    assert cut.engine_config.num_valid_tokens == last
