"""The model in the box is found by its name, listed first, and cannot be deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna import embedded
from myna.core.errors import InvalidRequest, NotFound
from myna.hub.cache import find, installed, look_up, remove


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "box" / "nano"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    monkeypatch.setattr(embedded, "folder", lambda: folder)
    return folder


def test_it_is_found_and_listed(box: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    assert find("nano", models) == box
    assert [model.id for model in installed(models)] == ["nano"]
    with pytest.raises(InvalidRequest, match="'nano' is a part of the package"):
        remove("nano", models)


def test_without_it_the_name_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "folder", lambda: None)
    assert look_up("nano", tmp_path) is None
    with pytest.raises(NotFound, match="'nano' is no model of the catalogue"):
        find("nano", tmp_path)
