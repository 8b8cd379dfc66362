"""What is on the machine, and which path a name stands for."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from myna.core.errors import BadCheckpoint, InvalidRequest, NotFound
from myna.hub.cache import RECORD_NAME, Record, find, installed, read_record, remove
from myna.hub.catalogue import CatalogueFile


def install(models_dir: Path, model_id: str, *paths: str) -> Path:
    folder = models_dir / model_id
    folder.mkdir(parents=True)
    for path in paths:
        (folder / path).write_bytes(b"12345")
    record = Record(
        id=model_id,
        source="hub",
        revision=None,
        pulled_s=0.0,
        files=tuple(CatalogueFile(path=path, num_bytes=5) for path in paths),
    )
    (folder / RECORD_NAME).write_bytes(msgspec.json.encode(record))
    return folder


def test_a_machine_without_models_lists_none(tmp_path: Path) -> None:
    assert installed(tmp_path / "nowhere") == ()


def test_an_installed_folder_is_found_by_id_and_repository(tmp_path: Path) -> None:
    folder = install(tmp_path, "qwq-32b", "config.json", "model.safetensors")
    assert find("qwq-32b", tmp_path) == folder
    assert find("Qwen/QwQ-32B", tmp_path) == folder
    (model,) = installed(tmp_path)
    assert (model.id, model.source) == ("qwq-32b", "hub")
    assert model.num_bytes > 10


def test_an_installed_gguf_is_found_as_its_file(tmp_path: Path) -> None:
    folder = install(tmp_path, "smollm2-135m", "small.gguf")
    assert find("smollm2-135m", tmp_path) == folder / "small.gguf"


def test_what_the_user_put_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    (tmp_path / "theirs.gguf").write_bytes(b"GGUF")
    assert [model.id for model in installed(tmp_path)] == ["mine", "theirs"]
    assert find("mine", tmp_path) == tmp_path / "mine"
    assert find("theirs", tmp_path) == tmp_path / "theirs.gguf"
    assert remove("theirs", tmp_path).num_bytes == 4
    assert not (tmp_path / "theirs.gguf").exists()


def test_an_interrupted_download_is_no_model(tmp_path: Path) -> None:
    folder = tmp_path / "qwq-32b"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors.part").write_bytes(b"12")
    assert installed(tmp_path) == ()
    with pytest.raises(NotFound, match=r"only a part of it is.\nhint: myna pull qwq-32b"):
        find("qwq-32b", tmp_path)


def test_a_folder_that_holds_no_model_is_none(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.txt").write_text("hello")
    assert installed(tmp_path) == ()


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"")
    assert find(str(tmp_path), tmp_path / "models") == tmp_path
    assert find(str(tmp_path / "x.gguf"), tmp_path / "models") == tmp_path / "x.gguf"


def test_a_folder_beside_is_found_without_a_slash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoint").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find("checkpoint", tmp_path / "models") == Path("checkpoint")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/nowhere/at/all", "there is no file or folder '/nowhere/at/all'"),
        ("missing.gguf", "there is no file or folder 'missing.gguf'"),
        ("qwq-32b", "'qwq-32b' is not on this machine\nhint: myna pull qwq-32b"),
        ("Qwen/QwQ-32B", "'qwq-32b' is not on this machine\nhint: myna pull qwq-32b"),
        ("Qwen/Nothing", "there is no file or folder 'Qwen/Nothing'"),
        ("qwq-23b", "is no model of the catalogue"),
        ("nothing", "is no model of the catalogue"),
        ("x/" * 5000, "there is no file or folder"),
        ("nul\0/x", "there is no file or folder"),
        ("~nobody-here/x", "there is no file or folder"),
    ],
)
def test_what_is_not_there_is_not_found(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(NotFound, match=message):
        find(name, tmp_path / "models")


def test_an_empty_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="the model's name is empty"):
        find("", tmp_path)


def test_a_damaged_record_says_what_to_do(tmp_path: Path) -> None:
    folder = install(tmp_path, "qwq-32b", "config.json")
    (folder / RECORD_NAME).write_text("{")
    with pytest.raises(BadCheckpoint, match=r"cannot be read .*\nhint: myna rm qwq-32b"):
        read_record(folder)


def test_removing_deletes_the_folder_and_tells_its_size(tmp_path: Path) -> None:
    folder = install(tmp_path, "qwq-32b", "config.json")
    assert remove("qwq-32b", tmp_path).num_bytes > 5
    assert not folder.exists()


def test_removing_takes_an_interrupted_or_damaged_model(tmp_path: Path) -> None:
    (tmp_path / "qwq-32b").mkdir()
    (tmp_path / "qwq-32b" / RECORD_NAME).write_text("{")
    remove("qwq-32b", tmp_path)
    assert not (tmp_path / "qwq-32b").exists()


@pytest.mark.parametrize("name", ["qwq-32b", "..", ".", "../other", "", "link"])
def test_removing_never_leaves_the_models_folder(tmp_path: Path, name: str) -> None:
    models_dir, other = tmp_path / "models", tmp_path / "other"
    models_dir.mkdir()
    other.mkdir()
    (models_dir / "link").symlink_to(other)
    with pytest.raises(NotFound, match="is not on this machine"):
        remove(name, models_dir)
    assert other.exists()
    assert models_dir.exists()
