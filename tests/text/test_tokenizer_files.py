"""Tokenizers of checkpoint folders."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from myna.core.errors import BadCheckpoint, NotFound, Unsupported
from myna.text.tokenizer import Tokenizer
from myna.text.tokenizer_files import from_folder

# The JSON forms are changed by hand below, at places of every type.
Json = dict[str, Any]


@pytest.fixture
def folder(json_folder: Path, tmp_path: Path) -> Path:
    """Copy the folder with tokenizer.json, for a test to spoil."""
    return Path(shutil.copytree(json_folder, tmp_path / "model"))


def rewrite(path: Path, change: Callable[[Json], object]) -> None:
    """Change a JSON file."""
    form = json.loads(path.read_text())
    change(form)
    path.write_text(json.dumps(form))


def test_both_forms_give_equal_ids(
    tokenizer: Tokenizer, vocab_folder: Path, corpus: tuple[str, ...]
) -> None:
    other = from_folder(vocab_folder)
    for text in (*corpus, "<|im_start|>a <tool_call> b<think><|im_end|>"):
        assert other.encode(text) == tokenizer.encode(text)
        assert other.encode(text, special=False) == tokenizer.encode(text, special=False)
    assert other.eos_ids == tokenizer.eos_ids
    assert other.special_ids == tokenizer.special_ids
    assert (other.bos_id, other.adds_bos) == (None, False)


def test_added_tokens_without_flags_are_control_tokens_by_role_or_shape(
    tokenizer: Tokenizer, vocab_folder: Path
) -> None:
    path = vocab_folder / "tokenizer_config.json"
    added = json.loads(path.read_text())["added_tokens_decoder"]
    ids = {token["content"]: int(token_id) for token_id, token in added.items()}
    (vocab_folder / "added_tokens.json").write_text(json.dumps(ids))
    rewrite(path, lambda form: form.pop("added_tokens_decoder"))
    rewrite(path, lambda form: form.update(additional_special_tokens=["<think>"]))
    other = from_folder(vocab_folder)
    assert other.encode("<think>a<|im_end|>") == tokenizer.encode("<think>a<|im_end|>")
    assert other.special_ids - tokenizer.special_ids == {ids["<think>"]}


def test_without_files_of_added_tokens_there_are_none(vocab_folder: Path) -> None:
    rewrite(vocab_folder / "tokenizer_config.json", lambda form: form.clear())
    rewrite(
        vocab_folder / "tokenizer_config.json",
        lambda form: form.update(tokenizer_class="GPT2TokenizerFast"),
    )
    assert from_folder(vocab_folder).special_ids == frozenset()


def test_gpt2_folders_split_as_gpt2(vocab_folder: Path) -> None:
    rewrite(
        vocab_folder / "tokenizer_config.json",
        lambda form: form.update(tokenizer_class="GPT2Tokenizer"),
    )
    tokenizer = from_folder(vocab_folder)
    assert tokenizer.encode("e\u0301") != from_folder(vocab_folder).encode("é")


def test_an_added_token_keeps_its_id_over_a_gap(folder: Path, tokenizer: Tokenizer) -> None:
    rewrite(
        folder / "tokenizer.json",
        lambda form: form["added_tokens"][-1].update(id=tokenizer.vocab_size + 5),
    )
    gappy = from_folder(folder)
    assert gappy.encode("a</think>")[-1] == tokenizer.vocab_size + 5
    assert gappy.unused_ids == set(range(tokenizer.vocab_size - 1, tokenizer.vocab_size + 5))


def test_end_tokens_of_all_files_count(folder: Path, tokenizer: Tokenizer) -> None:
    (folder / "generation_config.json").write_text('{"eos_token_id": [1, 2]}')
    (folder / "config.json").write_text('{"eos_token_id": 2, "model_type": "qwen2"}')
    assert from_folder(folder).eos_ids == (tokenizer.id_of("<|im_end|>"), 1, 2)


def test_the_post_processor_tells_whether_bos_comes_first(folder: Path) -> None:
    step = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [],
        "special_tokens": {
            "<|im_start|>": {"id": "<|im_start|>", "ids": [601], "tokens": ["<|im_start|>"]}
        },
    }
    sequence = {"type": "Sequence", "processors": [{**BYTE_LEVEL}, step]}
    rewrite(folder / "tokenizer.json", lambda form: form.update(post_processor=sequence))
    tokenizer = from_folder(folder)
    assert tokenizer.adds_bos
    assert tokenizer.bos_id == tokenizer.id_of("<|im_start|>")
    assert tokenizer.encode("a") == [tokenizer.id_of("a")]
    rewrite(folder / "tokenizer_config.json", lambda form: form.update(add_bos_token=False))
    assert not from_folder(folder).adds_bos


BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": False,
    "use_regex": False,
}


def test_a_post_processor_without_a_template_adds_nothing(folder: Path) -> None:
    rewrite(folder / "tokenizer.json", lambda form: form.update(post_processor=BYTE_LEVEL))
    assert not from_folder(folder).adds_bos


def test_roles_may_be_written_as_objects(folder: Path) -> None:
    token = {"__type": "AddedToken", "content": "<|endoftext|>", "special": True}
    rewrite(
        folder / "tokenizer_config.json",
        lambda form: form.update(bos_token=token, add_bos_token=True),
    )
    tokenizer = from_folder(folder)
    assert tokenizer.bos_id == tokenizer.id_of("<|endoftext|>")
    assert tokenizer.adds_bos


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"neither `tokenizer.json` nor `vocab.json`"):
        from_folder(tmp_path)


def test_a_missing_merges_file_is_named(vocab_folder: Path) -> None:
    (vocab_folder / "merges.txt").unlink()
    with pytest.raises(NotFound, match=r"vocab.json is there and merges.txt is not"):
        from_folder(vocab_folder)


def test_an_unknown_class_without_tokenizer_json_is_refused(vocab_folder: Path) -> None:
    rewrite(vocab_folder / "tokenizer_config.json", lambda form: form.update(tokenizer_class="Odd"))
    with pytest.raises(Unsupported, match="`tokenizer_class` is 'Odd'"):
        from_folder(vocab_folder)


def test_a_token_twice_in_the_json_text_is_refused(vocab_folder: Path) -> None:
    path = vocab_folder / "vocab.json"
    path.write_text(path.read_text().replace("{", '{"a": 7000, ', 1))
    with pytest.raises(BadCheckpoint, match=r"vocab.json: token 'a' is there twice"):
        from_folder(vocab_folder)


def test_a_role_of_no_token_is_refused(folder: Path) -> None:
    rewrite(folder / "tokenizer_config.json", lambda form: form.update(eos_token="<|odd|>"))
    with pytest.raises(BadCheckpoint, match=r"names the token '<\|odd\|>', which the vocabulary"):
        from_folder(folder)


@pytest.mark.parametrize("end", [99_999, -1, 2**40])
def test_an_end_id_of_no_token_is_refused(folder: Path, end: int) -> None:
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": end}))
    with pytest.raises(BadCheckpoint, match=r"generation_config.json"):
        from_folder(folder)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b"null", b'"a"', b"[" * 100_000])
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json"])
def test_what_is_no_json_object_is_refused(folder: Path, name: str, raw: bytes) -> None:
    (folder / name).write_bytes(raw)
    with pytest.raises(BadCheckpoint, match=f"{name} is not as it should be"):
        from_folder(folder)


WRONG: tuple[object, ...] = (None, 7, True, "x", [], {"a": "b"}, [[1]])


def fields(form: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """List the paths of all members, the vocabulary's and the merges' first two only."""
    if isinstance(form, dict):
        members: list[tuple[str | int, object]] = list(form.items())
    elif isinstance(form, list):
        members = list(enumerate(form))
    else:
        return []
    if len(members) > 20:
        members = members[:2]
    return [p for key, member in members for p in [(*path, key), *fields(member, (*path, key))]]


def test_wrong_types_in_every_field_give_one_clear_error_or_none(tmp_path: Path) -> None:
    """Refused by name, or of no consequence: never another exception."""
    small = tokenizers.Tokenizer(models.BPE(vocab={"a": 0, "b": 1, "ab": 2}, merges=[("a", "b")]))
    small.normalizer = normalizers.NFC()
    small.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(tokenizers.Regex("a+"), "isolated"), pre_tokenizers.ByteLevel()]
    )
    small.decoder = decoders.ByteLevel()
    small.add_special_tokens(["<|im_end|>"])
    original = small.to_str()
    num_refused = 0
    for path in fields(json.loads(original)):
        for wrong in WRONG:
            form = json.loads(original)
            place = form
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = wrong
            (tmp_path / "tokenizer.json").write_text(json.dumps(form))
            try:
                from_folder(tmp_path).encode("ab <|im_end|> 12")
            except (BadCheckpoint, Unsupported) as error:
                assert "tokenizer.json" in error.message  # noqa: PT017 - not all are refused
                num_refused += 1
    assert num_refused > 150
