"""The public door."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import myna
from myna.core.errors import NotFound


def test_every_public_name_is_where_it_is_said_to_be() -> None:
    assert myna.Message.__module__ == "myna.core.messages"
    assert myna.Request.__module__ == "myna.core.requests"
    assert myna.SamplingParams.__module__ == "myna.core.requests"
    assert myna.errors.NotFound is NotFound
    assert myna.events.Finished.__module__ == "myna.core.events"


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'myna' has no attribute 'scheduler'"):
        _ = myna.scheduler


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys, myna\n"
        "found = [name for name in sys.modules if name.startswith('myna.')]\n"
        "assert not found and 'msgspec' not in sys.modules, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_loading_finds_the_model_and_hands_the_options_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        "myna.pipeline.service.load_local_service", lambda *args: seen.append(args) or "service"
    )
    (tmp_path / "Small.gguf").write_bytes(b"GGUF")
    path = tmp_path / "Small.gguf"
    assert myna.load(str(path), dtype="float32", max_context=100) == "service"
    ((found, options, _),) = seen
    assert found == path
    assert (options.model_id, options.dtype, options.max_context) == ("Small", "float32", 100)


def test_loading_what_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound, match="there is no file or folder"):
        myna.load("/nowhere/model.gguf")
