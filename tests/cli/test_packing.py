"""`myna pull --quantize`: what is shown, what is refused before the weights come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from myna.cli import fetching
from myna.cli.packing import make_packer
from myna.core.errors import BadCheckpoint, NotFound, Unsupported
from myna.core.settings import read_settings
from myna.hub import pull as pull_module
from myna.hub.packing import fetched_folder
from myna.models.tiny import write_tiny_checkpoint


def test_what_is_fetched_and_what_is_kept_is_shown(
    myna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled: list[int] = []
    monkeypatch.setattr(pull_module, "list_hub", lambda *_, **__: ("0" * 40, ()))
    monkeypatch.setattr(fetching, "pull", lambda plan, *_, **__: pulled.append(plan.packer.bits))
    monkeypatch.setattr(fetching, "find", lambda *_: Path("/there"))
    for bits, kept in (("4", "18.2 GB"), ("8", "35.4 GB")):
        code, _, err = myna("pull", "qwq-32b", "--quantize", bits)
        assert code == 0
        assert f"to keep, in {bits} bits: about {kept}" in err
    assert pulled == [4, 8]


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["qwq-32b", "--quantize", "5"], 2, "'5' is not one of '4', '6', '8'"),
        (["smollm2-135m", "--quantize", "4"], 2, "smollm2-135m is small as it comes"),
        (["nothing", "--quantize", "4"], 3, "'nothing' is no model of the catalogue"),
    ],
)
def test_what_cannot_be_packed_is_refused(
    myna: Any, argv: list[str], code: int, message: str
) -> None:
    found, _, err = myna("pull", *argv)
    assert found == code
    assert message in err


def test_the_family_is_settled_before_the_weights_come(home: Path) -> None:
    settings = read_settings()
    packer = make_packer("qwq-32b", settings, 4)
    folder = fetched_folder(settings.models_dir / "qwq-32b")
    with pytest.raises(BadCheckpoint, match=r"config\.json is missing"):
        packer.begin()
    write_tiny_checkpoint(folder, "qwen2")
    packer.begin()
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "mamba"}))
    with pytest.raises(Unsupported, match="'mamba', which is not supported"):
        packer.begin()
    make_packer("qwen-image-edit-2509", settings, 4).begin()
    with pytest.raises(NotFound, match="no model of the catalogue"):
        make_packer("nothing", settings, 4)
