import random

import pytest

from myna.evals.heldout import fonts as heldout
from myna.train.pictures import fonts


def test_only_installed_fonts_are_drawn_from(tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "Some-Bold.ttf").touch()
    (tmp_path / "one" / "Some-Thin.ttf").touch()
    found = fonts.installed({"some": ("one/*-Bold.ttf",), "other": ("two/*.otf",)}, tmp_path)
    assert found.families == ((tmp_path / "one" / "Some-Bold.ttf",),)
    monkeypatch.setattr(fonts, "open_font", lambda path, size_px: (path.name, size_px))
    assert found.draw(random.Random(0), 24) == ("Some-Bold.ttf", 24)


def test_without_any_font_the_packages_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="apt-get install fonts-one fonts-two"):
        fonts.installed({"fonts-one": ("*.ttf",), "fonts-two": ("*.otf",)}, tmp_path)


def test_no_font_is_both_taught_and_held_out():
    assert not set(fonts.PACKAGES) & set(heldout.PACKAGES)
    taught = {glob for globs in fonts.PACKAGES.values() for glob in globs}
    assert not taught & {glob for globs in heldout.PACKAGES.values() for glob in globs}


def test_a_font_without_files_cannot_be_opened(tmp_path):
    with pytest.raises(OSError, match="cannot open resource"):
        fonts.open_font(tmp_path / "none.ttf", 20)
