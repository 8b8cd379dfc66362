import io
import json
import tarfile

import pytest
from PIL import Image

from myna.train.pictures import icons
from myna.train.pictures.icons import ICON_PX, Style

SET = {
    "width": 20,
    "height": 20,
    "icons": {"cat": {"body": "<path fill='currentColor'/>"}, "wide": {"body": "", "width": 40}},
    "aliases": {"dog": {"parent": "cat"}},
}


def paint(svg, side_px):
    held = io.BytesIO()
    Image.new("RGBA", (side_px, side_px // 2), (9, 8, 7, 255)).save(held, "PNG")
    return held.getvalue()


def test_a_vector_has_the_size_of_its_set_and_no_open_colour():
    svg = icons.vector(SET, "cat")
    assert 'viewBox="0 0 20 20"' in svg
    assert "#000000" in svg
    assert "currentColor" not in svg


def test_an_icon_may_have_a_size_of_its_own():
    assert 'viewBox="0 0 40 20"' in icons.vector(SET, "wide")


def test_an_alias_is_drawn_as_its_parent_and_a_stranger_is_not():
    assert icons.vector(SET, "dog") == icons.vector(SET, "cat")
    assert icons.vector(SET, "zebra") is None


def test_a_file_of_another_form_is_refused():
    with pytest.raises(TypeError, match="not in the Iconify JSON format"):
        icons.vector({"icons": []}, "cat")


def test_saved_styles_are_read_together(tmp_path):
    assert icons.save("one", SET, paint, tmp_path) == 2
    assert icons.save("two", SET, paint, tmp_path) == 2
    found = icons.load(("one", "two"), tmp_path)
    assert found.pixels.shape == (4, ICON_PX, ICON_PX, 4)
    assert found.names == ("cat", "dog")
    assert found.looks["cat"] == (0, 2)


def test_a_style_that_was_not_rendered_names_the_stage(tmp_path):
    with pytest.raises(FileNotFoundError, match="run the stage 'icons' first"):
        icons.load(("one",), tmp_path)


def archive(folder, member):
    path = folder / "iconify-json-set-1.0.tgz"
    with tarfile.open(path, "w:gz") as file:
        data = json.dumps(SET).encode()
        info = tarfile.TarInfo(member)
        info.size = len(data)
        file.addfile(info, io.BytesIO(data))


def test_a_package_that_is_there_is_not_fetched_again(tmp_path):
    archive(tmp_path, "package/icons.json")
    assert icons.fetch(Style("@iconify-json/set@1.0", "MIT"), tmp_path) == SET


def test_the_set_of_a_package_must_be_a_file(tmp_path):
    with tarfile.open(tmp_path / "iconify-json-set-1.0.tgz", "w:gz") as file:
        info = tarfile.TarInfo("package/icons.json")
        info.type = tarfile.DIRTYPE
        file.addfile(info)
    with pytest.raises(FileNotFoundError, match=r"holds no package/icons\.json; delete it"):
        icons.fetch(Style("@iconify-json/set@1.0", "MIT"), tmp_path)
