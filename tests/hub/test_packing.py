"""Models that are packed as they come: what is kept, what is asked for, and what it needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import save_file

from myna.core.errors import BadCheckpoint, InvalidRequest, Unavailable, Unsupported
from myna.core.progress import silent
from myna.core.settings import Settings
from myna.hub import catalogue as catalogue_module
from myna.hub import pull as pull_module
from myna.hub.cache import Record, find, installed
from myna.hub.catalogue import Entry, Licence, catalogue
from myna.hub.download import Connection
from myna.hub.packing import fetched_folder, packed_share, room_needed, work_folder
from myna.hub.pull import Plan, plan_pull, pull
from myna.models.tiny import write_tiny_checkpoint
from myna.models.tiny_image_edit import write_tiny_image_edit
from myna.weights.checkpoint import MetaCheckpoint
from myna.weights.quantize import shard as shard_module
from myna.weights.quantize.arriving import ArrivingModel
from myna.weights.quantize.folder import quantize_folder
from myna.weights.quantize.pipeline import quantize_pipeline
from myna.weights.quantize.scheme import Recipe
from myna.weights.quantize.shard import new_state

REVISION = "0123456789abcdef0123456789abcdef01234567"
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
)
LAYOUTS = Path(__file__).parent.parent / "models/layouts"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model in several shards."""
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), "qwen2", dtype="bfloat16")
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the catalogue hold one entry."""

    def hold(entry: Entry) -> None:
        monkeypatch.setattr(catalogue_module, "catalogue", lambda: {entry.id: entry})
        monkeypatch.setattr("myna.hub.cache.catalogue", lambda: {entry.id: entry})

    hold(ENTRY)
    return hold


def offer(hub: Any, source: Path) -> None:
    files = {
        str(path.relative_to(source)): path.read_bytes()
        for path in source.rglob("*")
        if path.is_file()
    }
    hub.add_repository("maker/Tiny", files, revision=REVISION)


def packer(settings: Settings, *, bits: Any = 4, look: Any = silent) -> ArrivingModel:
    folder = settings.models_dir / "tiny"
    return ArrivingModel(
        folder,
        fetched=fetched_folder(folder),
        work=work_folder(folder),
        recipe=Recipe(bits=bits),
        look=lambda path: look(str(path), 0, 0),
    )


def plan(settings: Settings, connection: Connection, **how: Any) -> Plan:
    return plan_pull("tiny", settings, connection=connection, packer=packer(settings, **how))


def get(settings: Settings, connection: Connection, **how: Any) -> Record:
    found = plan(settings, connection, **how)
    return pull(found, settings, progress=silent, connection=connection)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".myna.json"
    }


@pytest.mark.usefixtures("use")
def test_what_is_packed_as_it_comes_is_what_quantizing_the_whole_gives(
    hub: Any, settings: Settings, connection: Connection, source: Path, tmp_path: Path
) -> None:
    offer(hub, source)
    record = get(settings, connection)
    folder = find("tiny", settings.models_dir)
    quantize_folder(source, tmp_path / "expected", bits=4, progress=silent)
    assert contents(folder) == contents(tmp_path / "expected")
    assert record.bits == 4
    assert {file.path for file in record.files} == contents(folder).keys()
    assert all(file.sha256 and file.certainty == "derived" for file in record.files)
    hub.requests.clear()
    offline = msgspec.structs.replace(settings, is_offline=True)
    assert plan_pull("tiny", offline, packer=packer(settings)).is_complete
    assert plan_pull("tiny", offline).is_complete  # it is here, whichever way
    assert hub.requests == []


def test_networks_of_a_pipeline_are_packed_and_the_rest_is_kept(
    hub: Any, settings: Settings, connection: Connection, use: Any, tmp_path: Path
) -> None:
    source = write_tiny_image_edit(tmp_path / "edit")
    use(msgspec.structs.replace(ENTRY, kind="image_edit"))
    offer(hub, source)
    get(settings, connection)
    quantize_pipeline(source, tmp_path / "expected", bits=4, progress=silent)
    assert contents(find("tiny", settings.models_dir)) == contents(tmp_path / "expected")


# Runs the pull in a child that kills itself in front of the disk's nth change, goes on in another,
# and so forth until none is killed; prints for each n what the children asked the hub for.
SWEEP = """
import sys
from pathlib import Path
import msgspec
import torch
from killed_child import run_child
from myna.core.settings import Settings
from myna.hub import catalogue
from myna.hub.catalogue import Entry
from myna.hub.download import Connection
from myna.hub.packing import fetched_folder, work_folder
from myna.hub.pull import plan_pull, pull
from myna.weights.quantize import shard
from myna.weights.quantize.arriving import ArrivingModel
from myna.weights.quantize.scheme import Recipe

torch.set_num_threads(1)
shard.STEP_BYTES = 30_000
entry = msgspec.json.decode(sys.argv[1], type=Entry)
catalogue.catalogue = lambda: {entry.id: entry}
kill_at, step = 1, int(sys.argv[4])


def work():
    home = Path(sys.argv[3]) / str(kill_at)
    settings = Settings(home=home, hub_endpoint=sys.argv[2])
    connection = Connection(timeout_s=5.0, first_pause_s=0.001)
    folder = settings.models_dir / "tiny"
    packer = ArrivingModel(
        folder, fetched=fetched_folder(folder), work=work_folder(folder),
        recipe=Recipe(bits=4), look=lambda path: None,
    )
    plan = plan_pull("tiny", settings, connection=connection, packer=packer)
    pull(plan, settings, progress=lambda *_: None, connection=connection)


while True:
    was_killed = run_child(work, kill_at)
    if was_killed:
        assert not run_child(work, None)
    print(kill_at, flush=True)
    if not was_killed:
        break
    kill_at += step
"""


@pytest.mark.usefixtures("use")
def test_a_pull_that_is_killed_at_any_moment_is_gone_on_with(
    hub: Any, settings: Settings, source: Path, tmp_path: Path
) -> None:
    offer(hub, source)
    quantize_folder(source, tmp_path / "expected", bits=4, progress=silent)
    expected = contents(tmp_path / "expected")
    entry = msgspec.json.encode(ENTRY).decode()
    done = subprocess.run(
        [sys.executable, "-c", SWEEP, entry, hub.endpoint, str(tmp_path / "homes"), "9"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    runs = done.stdout.split()
    assert len(runs) > 8
    for run in runs:
        assert contents(tmp_path / "homes" / run / "models/tiny") == expected
    for shard in sorted(source.glob("*.safetensors")):
        asked = [path for path, _ in hub.requests if path.endswith(shard.name)]
        # Once in each run, and again only after a death between the answer and its first byte.
        assert len(runs) <= len(asked) <= len(runs) + 1


@pytest.mark.usefixtures("use")
def test_a_shard_is_given_up_while_it_is_packed(
    hub: Any,
    settings: Settings,
    connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    num_shards, shard_bytes = 4, 4 * 256 * 1024
    names = [f"model-0000{i + 1}-of-00004.safetensors" for i in range(num_shards)]
    (tmp_path / "large").mkdir()
    for name in names:
        tensors = {f"{name}.{i}.weight": torch.ones(256, 256) for i in range(4)}
        save_file(tensors, tmp_path / "large" / name)
    offer(hub, tmp_path / "large")
    monkeypatch.setattr(shard_module, "STEP_BYTES", 1)
    folder = settings.models_dir / "tiny"
    peak_bytes = 0

    def look(*_: object) -> None:
        nonlocal peak_bytes
        used = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
        peak_bytes = max(peak_bytes, used)

    pull(plan(settings, connection), settings, progress=look, connection=connection)
    packed_bytes = num_shards * shard_bytes * 18 // 128
    slack_bytes = 2**17  # files end within blocks of the disk, and have headers
    assert packed_bytes < peak_bytes < packed_bytes * 3 // 4 + shard_bytes + slack_bytes


@pytest.mark.usefixtures("use")
def test_what_came_before_the_wish_to_pack_is_not_fetched_again(
    hub: Any, settings: Settings, connection: Connection, source: Path
) -> None:
    offer(hub, source)
    shards = sorted(source.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    first, second = (shard.name for shard in shards)
    hub.cuts[f"/maker/Tiny/resolve/{REVISION}/{second}"] = [2000, 0, 0, 0, 0]
    with pytest.raises(Unavailable, match="pull again"):
        pull(
            plan_pull("tiny", settings, connection=connection),
            settings,
            progress=silent,
            connection=connection,
        )
    hub.requests.clear()
    get(settings, connection)
    assert hub.ranges_of(first) == []
    assert hub.ranges_of(second) == ["bytes=2000-"]


@pytest.mark.usefixtures("use")
def test_a_family_that_is_not_known_is_refused_before_its_weights_come(
    hub: Any, settings: Settings, connection: Connection, source: Path
) -> None:
    offer(hub, source)

    def refuse(*_: object) -> None:
        raise Unsupported("no such family")

    with pytest.raises(Unsupported, match="no such family"):
        get(settings, connection, look=refuse)
    assert not [path for path, _ in hub.requests if path.endswith(".safetensors")]


@pytest.mark.usefixtures("use")
def test_shards_that_are_not_what_they_should_be_are_refused(
    hub: Any, settings: Settings, connection: Connection, source: Path
) -> None:
    offer(hub, source)
    for path in hub.files:
        if path.endswith("00001-of-00002.safetensors"):
            hub.files[path] = hub.files[path][:-1] + b"\xff"
    with pytest.raises(BadCheckpoint, match="the SHA-256 of model-00001"):
        get(settings, connection)
    assert installed(settings.models_dir) == ()


@pytest.mark.usefixtures("use")
def test_what_is_here_in_other_bits_is_not_fetched_over(
    hub: Any, settings: Settings, connection: Connection, source: Path
) -> None:
    offer(hub, source)
    get(settings, connection, bits=8)
    with pytest.raises(InvalidRequest, match="tiny is already here, in 8 bits\nhint: myna quant"):
        plan(settings, connection)
    shutil.rmtree(settings.models_dir / "tiny")
    whole = plan_pull("tiny", settings, connection=connection)
    pull(whole, settings, progress=silent, connection=connection)
    with pytest.raises(InvalidRequest, match="tiny is already here, as it was released"):
        plan(settings, connection)


@pytest.mark.usefixtures("use")
def test_what_was_begun_packed_is_not_gone_on_with_whole(
    hub: Any, settings: Settings, connection: Connection, source: Path
) -> None:
    offer(hub, source)
    message = re.escape("begun to be packed as it came, and is not all here\nhint: go on with")

    def stop(step: str, done: int, total: int) -> None:
        if step.startswith("packing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(plan(settings, connection), settings, progress=stop, connection=connection)
    with pytest.raises(InvalidRequest, match=message):
        plan_pull("tiny", settings, connection=connection)
    get(settings, connection)
    next(find("tiny", settings.models_dir).glob("*.safetensors")).unlink()
    with pytest.raises(InvalidRequest, match=message):
        plan_pull("tiny", settings, connection=connection)
    get(settings, connection)


@pytest.mark.parametrize("kind", ["lora"])
def test_what_is_small_already_is_not_packed(
    settings: Settings, connection: Connection, use: Any, kind: Any
) -> None:
    use(msgspec.structs.replace(ENTRY, kind=kind))
    with pytest.raises(InvalidRequest, match="tiny is small as it comes, and is not quantized"):
        plan(settings, connection)


@pytest.mark.usefixtures("use")
def test_a_disk_that_is_too_small_is_told_before_anything_comes(
    hub: Any,
    settings: Settings,
    connection: Connection,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offer(hub, source)
    free = SimpleNamespace(free=256 * 2**20)
    monkeypatch.setattr(pull_module.shutil, "disk_usage", lambda _: free)
    with pytest.raises(Unavailable, match=r"tiny in 4 bits needs 0\.3 GB while it comes, but 0\.3"):
        plan(settings, connection)
    assert not [path for path, _ in hub.requests if path.endswith(".safetensors")]


def test_room_is_one_shard_and_what_was_made_of_those_before() -> None:
    assert room_needed([100, 50], share=0.3, step_bytes=7) == 107
    assert room_needed([100, 90], share=0.3, step_bytes=7) == 127
    assert room_needed([100, 90], share=0.3, step_bytes=7, here_bytes=40) == 87
    assert room_needed([], share=0.3, step_bytes=7) == 7


def sizes_of(layout: str, bits: Any) -> list[tuple[int, int]]:
    """Give the bytes of each shard as released, and packed."""
    checkpoint = MetaCheckpoint.from_file(LAYOUTS / f"{layout}.tensors.json.gz")
    limit = 4_000_000_000 if "thinking" in layout else 5_000_000_000
    recipe = Recipe(bits=bits)
    groups: list[dict[str, Any]] = [{}]
    filled = 0
    for name, info in checkpoint.tensors.items():
        if filled + info.num_bytes > limit:
            groups.append({})
            filled = 0
        groups[-1][name] = info
        filled += info.num_bytes
    found = []
    for group in groups:
        num_bytes = sum(info.num_bytes for info in group.values())
        state = new_state(SimpleNamespace(stamp="", tensors=group, num_bytes=num_bytes), recipe)
        found.append((state.bytes_before, state.bytes_after))
    return found


@pytest.mark.parametrize(
    ("name", "layout", "most_bytes"),
    [
        ("qwen3-omni", "qwen3-omni-30b-a3b-instruct", 25_000_000_000),
        ("qwen3-omni-thinking", "qwen3-omni-30b-a3b-thinking", 23_000_000_000),
        ("qwq-32b", "qwq-32b", 23_500_000_000),
    ],
)
def test_the_catalogue_knows_what_packing_leaves(name: str, layout: str, most_bytes: int) -> None:
    entry = catalogue()[name]
    shards = sorted(sizes_of(layout, 4), reverse=True)
    packed_bytes = sum(after for _, after in shards)
    assert entry.packed_bytes is not None
    assert entry.packed_bytes == pytest.approx(packed_bytes, rel=0.01)
    peak_bytes, done_bytes = 0, 0
    for before, after in shards:
        # While a shard is packed, what is given up is always more than what is written.
        peak_bytes = max(peak_bytes, done_bytes + before + shard_module.STEP_BYTES)
        done_bytes += after
    needed = room_needed(
        [before for before, _ in shards],
        share=packed_share(entry, 4),
        step_bytes=shard_module.STEP_BYTES,
    )
    assert peak_bytes <= needed <= most_bytes
    eight = sum(after for _, after in sizes_of(layout, 8))
    assert packed_share(entry, 8) * entry.bf16_bytes == pytest.approx(eight, rel=0.05)
