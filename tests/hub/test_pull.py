"""Whole models from a hub and a mirror of the test's own."""

from __future__ import annotations

import fcntl
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from myna.core.errors import BadCheckpoint, InvalidRequest, NotFound, Unavailable
from myna.core.ledger import departures
from myna.core.progress import silent
from myna.core.settings import Settings
from myna.hub import catalogue as catalogue_module
from myna.hub import pull as pull_module
from myna.hub.cache import Record, find, installed
from myna.hub.catalogue import CatalogueFile, Entry, Licence
from myna.hub.download import Connection
from myna.hub.pull import Plan, plan_pull, pull

REVISION = "0123456789abcdef0123456789abcdef01234567"
FIRST, SECOND = (f"model-0000{i}-of-00002.safetensors" for i in (1, 2))
SHARDS = {FIRST: b"1" * 50_000, SECOND: b"2" * 50_000}
INDEX = json.dumps({"metadata": {}, "weight_map": {"a": FIRST, "b": SECOND}}).encode()
FILES = {
    "config.json": b"{}",
    "model.safetensors.index.json": INDEX,
    "tokenizer.json": b'{"version": 1}',
    "README.md": b"hello",
    ".gitattributes": b"",
    "original/consolidated.safetensors": b"another copy",
    "pytorch_model.bin": b"a pickle",
    **SHARDS,
}
ENTRY = Entry(
    id="tiny",
    summary="a tiny model",
    kind="text",
    repository="maker/Tiny",
    revision=REVISION,
    revision_certainty="confirmed",
    licence=Licence(name="Apache-2.0", certainty="confirmed"),
    bf16_bytes=100_000,
    size_certainty="confirmed",
    files=(
        CatalogueFile(path="config.json"),
        CatalogueFile(path="vocab.json"),
        CatalogueFile(path="model.safetensors.index.json"),
        *(CatalogueFile(path=path, num_bytes=50_000, certainty="confirmed") for path in SHARDS),
    ),
)
EXPECTED = {"config.json", "model.safetensors.index.json", "tokenizer.json", *SHARDS}


@pytest.fixture(autouse=True)
def _tiny_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ENTRY)


def use(monkeypatch: pytest.MonkeyPatch, entry: Entry) -> None:
    """Make the catalogue hold one entry."""
    monkeypatch.setattr(catalogue_module, "catalogue", lambda: {entry.id: entry})
    monkeypatch.setattr("myna.hub.cache.catalogue", lambda: {entry.id: entry})


def get(settings: Settings, connection: Connection, source: Any = "hub") -> Record:
    plan = plan_pull("tiny", settings, source=source, connection=connection)
    return pull(plan, settings, progress=silent, connection=connection)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_model_comes_from_the_hub_and_is_found(
    hub: Any, settings: Settings, connection: Connection
) -> None:
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    plan = plan_pull("maker/tiny", settings, connection=connection)
    assert plan.num_bytes == sum(len(FILES[path]) for path in EXPECTED)
    assert plan.num_unverified == 0
    record = pull(plan, settings, progress=silent, connection=connection)
    assert {file.path for file in record.files} == EXPECTED
    assert all(file.certainty == "confirmed" for file in record.files)
    assert record.revision == REVISION
    folder = settings.models_dir / "tiny"
    assert find("tiny", settings.models_dir) == folder
    assert files_in(folder) == EXPECTED | {".myna.json"}
    for path in EXPECTED:
        assert (folder / path).read_bytes() == FILES[path]


def test_pulling_again_opens_no_connection(
    hub: Any, settings: Settings, connection: Connection
) -> None:
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    record = get(settings, connection)
    hub.requests.clear()
    offline = msgspec.structs.replace(settings, is_offline=True)
    plan = plan_pull("tiny", offline)
    assert plan.is_complete
    assert pull(plan, offline, progress=silent) == record
    assert hub.requests == []


def test_an_interrupted_pull_goes_on_and_fetches_nothing_twice(
    hub: Any, settings: Settings, connection: Connection
) -> None:
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    last = f"/maker/Tiny/resolve/{REVISION}/{SECOND}"
    hub.cuts[last] = [20_000, *[0] * 4]
    with pytest.raises(Unavailable, match="20000 bytes are kept\nhint: pull again"):
        get(settings, connection)
    assert installed(settings.models_dir) == ()
    plan = plan_pull("tiny", settings, connection=connection)
    assert plan.num_bytes == 30_000
    hub.requests.clear()
    pull(plan, settings, progress=silent, connection=connection)
    assert [path for path, _ in hub.requests] == [last]
    assert hub.ranges_of(last) == ["bytes=20000-"]


def test_a_file_that_was_changed_meanwhile_is_fetched_again(
    hub: Any, settings: Settings, connection: Connection
) -> None:
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    get(settings, connection)
    folder = settings.models_dir / "tiny"
    (folder / ".myna.json").unlink()
    (folder / FIRST).write_bytes(b"x" * 50_000)
    with pytest.raises(BadCheckpoint, match="the SHA-256 of model-00001"):
        get(settings, connection)
    get(settings, connection)
    assert (folder / FIRST).read_bytes() == SHARDS[FIRST]


def test_a_missing_file_of_an_installed_model_is_fetched_again(
    hub: Any, settings: Settings, connection: Connection
) -> None:
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    get(settings, connection)
    (settings.models_dir / "tiny" / FIRST).unlink()
    hub.requests.clear()
    get(settings, connection)
    assert len(hub.ranges_of(FIRST)) == 1
    assert len(hub.ranges_of(SECOND)) == 0


def test_a_mirror_serves_what_the_catalogue_and_the_index_name(
    hub: Any, settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = msgspec.structs.replace(ENTRY, files=ENTRY.files[:3])
    use(monkeypatch, entry)
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    record = get(settings, connection, source="mirror")
    assert {file.path for file in record.files} == EXPECTED - {"tokenizer.json"}
    assert all(file.certainty == "unknown" for file in record.files)


@pytest.mark.parametrize(("source", "key"), [("hub", "Bearer secret"), ("mirror", None)])
def test_the_key_of_the_hub_is_shown_to_the_hub_alone(
    hub: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch, source: Any, key: str | None
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "secret")
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    plan = plan_pull("tiny", settings, source=source)
    pull(plan, settings, progress=silent)
    assert {headers.get("Authorization") for _, headers in hub.requests} == {key}
    assert {departure.has_key for departure in departures(settings.home, limit=99)} == {
        key is not None
    }


def test_a_checksum_seen_once_is_compared_the_next_time(
    hub: Any, settings: Settings, connection: Connection
) -> None:
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    get(settings, connection, source="mirror")
    shutil.rmtree(settings.models_dir / "tiny")
    hub.add_repository("maker/Tiny", {**FILES, FIRST: b"y" * 50_000}, revision=REVISION)
    with pytest.raises(BadCheckpoint, match="the SHA-256 of model-00001"):
        get(settings, connection, source="mirror")


def test_an_unpinned_model_takes_the_newest_revision_and_records_it(
    hub: Any, settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(
        monkeypatch,
        msgspec.structs.replace(ENTRY, revision=None, revision_certainty="unknown", files=()),
    )
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    assert get(settings, connection).revision == REVISION


def test_files_of_other_kinds_are_chosen_as_their_kind_asks(
    hub: Any, settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    use(monkeypatch, msgspec.structs.replace(ENTRY, kind="image_edit"))
    plan = plan_pull("tiny", settings, connection=connection)
    assert {file.path for file in plan.files} == EXPECTED | {"original/consolidated.safetensors"}
    use(monkeypatch, msgspec.structs.replace(ENTRY, kind="lora"))
    plan = plan_pull("tiny", settings, connection=connection)
    assert {file.path for file in plan.files} == EXPECTED - {"tokenizer.json"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({**FILES, FIRST: b"x"}, "gives model-00001.* the size 1, but 50000 is known for"),
        (
            {path: data for path, data in FILES.items() if path != SECOND},
            "maker/Tiny lacks model-00002-of-00002.safetensors .1 of 5 files",
        ),
        ({**FILES, "x%2fy.json": b"{}"}, "names 'x%2fy.json', which is no plain path"),
        (
            {**FILES, "model.safetensors.index.json": b'{"weight_map": {"a": "../../x"}}'},
            "names '../../x', which is no plain path",
        ),
        (
            {**FILES, "model.safetensors.index.json": b"[]"},
            "model.safetensors.index.json is no index of shards",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(
    hub: Any, settings: Settings, connection: Connection, files: dict[str, bytes], message: str
) -> None:
    hub.add_repository("maker/Tiny", files, revision=REVISION)
    with pytest.raises(BadCheckpoint, match=message):
        get(settings, connection)
    assert installed(settings.models_dir) == ()


def test_a_shard_that_the_index_names_and_nobody_has_is_missing(
    hub: Any, settings: Settings, connection: Connection
) -> None:
    index = b'{"weight_map": {"a": "model-00003-of-00003.safetensors"}}'
    files = {**FILES, "model.safetensors.index.json": index}
    hub.add_repository("maker/Tiny", files, revision=REVISION)
    with pytest.raises(NotFound, match=r"model-00003-of-00003.safetensors does not exist"):
        get(settings, connection)
    assert installed(settings.models_dir) == ()


def test_a_model_without_weights_is_refused(
    hub: Any, settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, msgspec.structs.replace(ENTRY, files=()))
    hub.add_repository("maker/Tiny", {"config.json": b"{}"}, revision=REVISION)
    with pytest.raises(BadCheckpoint, match="tiny came without any weights"):
        get(settings, connection)


@pytest.mark.parametrize(
    ("listing", "kind", "message"),
    [
        (b"<html>", Unavailable, "something else than a listing"),
        (b'{"sha": "abc"}', BadCheckpoint, "asked for, and abc came; it is refused"),
        (b"{}", Unavailable, "something else than a listing"),
    ],
)
def test_a_listing_that_is_none_is_refused(
    hub: Any,
    settings: Settings,
    connection: Connection,
    listing: bytes,
    kind: type[Exception],
    message: str,
) -> None:
    hub.files[f"/api/models/maker/Tiny/revision/{REVISION}?blobs=true"] = listing
    with pytest.raises(kind, match=message):
        plan_pull("tiny", settings, connection=connection)


def test_a_revision_that_is_no_commit_is_refused(
    hub: Any, settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, msgspec.structs.replace(ENTRY, revision=None, files=()))
    hub.files["/api/models/maker/Tiny/revision/main?blobs=true"] = b'{"sha": "../../x"}'
    with pytest.raises(BadCheckpoint, match=r"names the revision '../../x', which is no commit"):
        plan_pull("tiny", settings, connection=connection)


def test_a_model_is_not_pulled_from_two_sources(
    hub: Any, settings: Settings, connection: Connection
) -> None:
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    get(settings, connection)
    with pytest.raises(InvalidRequest, match="already here, from the hub\nhint: myna rm tiny"):
        plan_pull("tiny", settings, source="mirror")


@pytest.mark.parametrize(
    ("source", "changes", "message"),
    [
        ("wheel", {}, "tiny is not in a wheel; it comes from the hub or a mirror"),
        ("mirror", {"mirror_endpoint": None}, "set MYNA_MIRROR_ENDPOINT to its address"),
        ("cloud", {}, "source 'cloud' is not known; choose wheel, hub or mirror"),
    ],
)
def test_a_source_that_cannot_be_is_refused(
    settings: Settings, source: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        plan_pull("tiny", msgspec.structs.replace(settings, **changes), source=source)


def test_offline_a_model_that_is_not_here_is_unavailable(settings: Settings) -> None:
    offline = msgspec.structs.replace(settings, is_offline=True)
    with pytest.raises(Unavailable, match="tiny is not here, and fetching is switched off"):
        plan_pull("tiny", offline)


def test_a_disk_too_small_is_told_before_anything_is_fetched(
    hub: Any, settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    monkeypatch.setattr(pull_module, "SPARE_BYTES", 2**60)
    with pytest.raises(Unavailable, match=r"needs .* bytes, but .* are free .*\nhint: make room"):
        plan_pull("tiny", settings, connection=connection)
    assert not settings.models_dir.exists()


def test_two_pulls_of_one_model_do_not_meet(
    hub: Any, settings: Settings, connection: Connection
) -> None:
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    plan = plan_pull("tiny", settings, connection=connection)
    settings.models_dir.mkdir(parents=True)
    with (settings.models_dir / ".tiny.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="tiny is being pulled by another process"):
            pull(plan, settings, progress=silent, connection=connection)
    pull(plan, settings, progress=silent, connection=connection)


def test_a_damaged_list_of_seen_checksums_is_an_error(
    hub: Any, settings: Settings, connection: Connection
) -> None:
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    settings.home.mkdir()
    (settings.home / "seen.json").write_text("{")
    with pytest.raises(BadCheckpoint, match=r"seen.json is damaged .* delete it"):
        get(settings, connection)


def test_progress_counts_every_file_to_its_end(
    hub: Any, settings: Settings, connection: Connection
) -> None:
    hub.add_repository("maker/Tiny", FILES, revision=REVISION)
    seen: dict[str, tuple[int, int]] = {}
    plan: Plan = plan_pull("tiny", settings, connection=connection)

    def note(step: str, done: int, total: int) -> None:
        seen[step] = (done, total)

    pull(plan, settings, progress=note, connection=connection)
    assert seen == {f"downloading {path}": (len(FILES[path]),) * 2 for path in EXPECTED}
