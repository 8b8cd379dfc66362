"""Models by name: what is here, what may be fetched, what must be agreed to."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from myna.core.errors import InvalidRequest, NotFound
from myna.core.progress import silent
from myna.core.settings import Settings
from myna.hub.cache import Installed, Known
from myna.hub.catalogue import catalogue
from myna.hub.pull import Plan
from myna.server import library
from myna.server.library import HubLibrary, path_here


@pytest.fixture
def shelf(tmp_path: Path) -> HubLibrary:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return HubLibrary(Settings(home=tmp_path, is_offline=True))


def test_the_catalogue_comes_first_then_what_else_is_here(shelf: HubLibrary) -> None:
    titles = shelf.titles()
    assert [title.id for title in titles[: len(catalogue())]] == list(catalogue())
    assert titles[-1].id == "mine"
    assert titles[-1].path is not None


def test_the_model_in_the_box_tells_its_licence_and_needs(
    shelf: HubLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr("myna.embedded.folder", lambda: tmp_path)
    boxed = shelf.titles()[0]
    assert boxed.id == "nano"
    assert boxed.licence == "Apache-2.0"
    assert boxed.needs_bytes == boxed.num_bytes + library.PROGRAM_BYTES


def test_a_model_that_was_packed_as_it_came_needs_what_it_has_here(
    shelf: HubLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, num_bytes = catalogue()["qwen2.5-0.5b-instruct"], 470 * 10**6
    here = Installed(id=entry.id, path=tmp_path, num_bytes=num_bytes, source="hub")
    fetched = Known(entry=entry, here=here)
    monkeypatch.setattr(library, "known", lambda folder: (Known(entry=entry), fetched))
    before, after = (title.needs_bytes or 0 for title in shelf.titles())
    assert before - after == entry.bf16_bytes - num_bytes


def test_only_ids_of_what_is_here_have_a_path(shelf: HubLibrary, tmp_path: Path) -> None:
    assert path_here(shelf, "mine") == tmp_path / "models" / "mine"
    for name in (str(tmp_path / "models" / "mine"), "../mine", "nobody"):
        with pytest.raises(NotFound, match=r"is not on this machine; here are: "):
            path_here(shelf, name)


def test_a_model_is_deleted(shelf: HubLibrary, tmp_path: Path) -> None:
    shelf.remove("mine")
    assert not (tmp_path / "models" / "mine").exists()


def test_a_licence_that_asks_for_it_must_be_agreed_to(
    shelf: HubLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = next(iter(catalogue().values()))
    licence = msgspec.structs.replace(entry.licence, needs_consent=True, notice="Be kind")
    plan = Plan(
        entry=msgspec.structs.replace(entry, licence=licence),
        source="hub",
        folder=tmp_path,
        revision=None,
        files=(),
        num_bytes=1,
        free_bytes=1,
        num_unverified=0,
    )
    monkeypatch.setattr(library, "plan_pull", lambda name, settings: plan)
    with pytest.raises(InvalidRequest, match="must be agreed to first: Be kind"):
        shelf.plan(entry.id, has_consent=False)
    assert shelf.plan(entry.id, has_consent=True) is plan


def test_a_plan_is_carried_out_by_the_hub(
    shelf: HubLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried: list[object] = []
    monkeypatch.setattr(library, "pull", lambda plan, *_, progress: carried.append(plan))
    shelf.fetch("a plan", silent)  # type: ignore[arg-type]
    assert carried == ["a plan"]
