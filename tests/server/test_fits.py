"""Measuring models in a process of its own, once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx
import pytest

from myna.core.errors import Unavailable
from myna.core.fleet import Fleet
from myna.core.memory import machine_memory_bytes
from myna.server import fits as fits_module
from myna.server.app import create_app
from myna.server.fits import NAME, Fit, Fits
from shelf import NUM_BYTES, EchoProcess, Shelf

FOUND = '{"peak_bytes": 5000, "context": 8192, "tokens_per_s": 12.5, "weight_bytes": 1}'
FIT = Fit(peak_bytes=5000, context=8192, tokens_per_s=12.5)


def says(folder: Path, text: str, *, code: int = 0) -> list[str]:
    """Write a program in the place of `myna fit`, which notes how often it was called."""
    program = folder / "fit.py"
    program.write_text(
        "import os, sys\n"
        f"open({str(folder / 'calls')!r}, 'a').write(f'{{sys.argv[1:]}} {{os.nice(0)}}\\n')\n"
        f"(sys.stderr if {code} > 1 else sys.stdout).write({text!r})\n"
        f"sys.exit({code})\n"
    )
    return [sys.executable, str(program)]


@pytest.mark.parametrize("code", [0, 1])
async def test_a_model_is_measured_once_for_each_of_its_sizes(tmp_path: Path, code: int) -> None:
    fits = Fits(tmp_path / "home", command=says(tmp_path, FOUND, code=code))
    assert await fits.measure("one", num_bytes=7) == FIT
    assert await Fits(tmp_path / "home", command=["never"]).measure("one", num_bytes=7) == FIT
    await fits.measure("one", num_bytes=8)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.partition("]")[0] for call in calls] == [
        "['one', '--json', '--context', '8192'"
    ] * 2
    assert fits.known({"one": 8}) == {"one": FIT}
    assert fits.known({"one": 7, "two": 8}) == {}


async def test_measuring_yields_to_all_others(tmp_path: Path) -> None:
    await Fits(tmp_path, command=says(tmp_path, FOUND)).measure("one", num_bytes=7)
    assert int((tmp_path / "calls").read_text().split()[-1]) >= min(os.nice(0), 10)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("error: the hub cannot be reached\nhint: x", 3, "measured: the hub cannot be reached$"),
        ("", 4, "it said nothing"),
        ("no JSON", 0, "it said nothing"),
    ],
)
async def test_what_cannot_be_measured_says_why(
    tmp_path: Path, text: str, code: int, message: str
) -> None:
    with pytest.raises(Unavailable, match=message):
        await Fits(tmp_path, command=says(tmp_path, text, code=code)).measure("x", num_bytes=1)


async def test_what_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fits_module, "TIMEOUT_S", 0.2)
    slow = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(Unavailable, match=r"took longer than 0\.2 s"):
        await Fits(tmp_path, command=slow).measure("one", num_bytes=1)


def test_a_damaged_record_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("{")
    assert Fits(tmp_path).known({"one": 7}) == {}


async def test_the_models_tell_what_was_measured(tmp_path: Path) -> None:
    app = create_app(Fleet(EchoProcess), library=Shelf(tmp_path), home=tmp_path)
    fits = app.context.control().fits
    assert fits is not None
    fits._command = says(tmp_path, FOUND)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        before = (await client.get("/api/v1/models")).json()
        answer = await client.post("/api/v1/models/fit", json={"model": "one"})
        after = (await client.get("/api/v1/models")).json()
        missing = await client.post("/api/v1/models/fit", json={"model": "three"})
    assert [title["fit"] for title in before["models"]] == [None, None]
    assert before["memory_bytes"] == machine_memory_bytes()
    assert [title["fits"] for title in before["models"]] == [None, None]
    assert after["models"][0]["fits"] is True
    found = {"peak_bytes": 5000, "fits": True, "context": 8192, "tokens_per_s": 12.5}
    assert answer.json() == after["models"][0]["fit"] == found
    assert fits.known({"one": NUM_BYTES}).keys() == {"one"}
    assert missing.status_code == 404
    assert "no model 'three'" in missing.json()["error"]["message"]


async def test_without_a_data_folder_nothing_is_measured(tmp_path: Path) -> None:
    app = create_app(Fleet(EchoProcess), library=Shelf(tmp_path))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        answer = await client.post("/api/v1/models/fit", json={"model": "one"})
    assert answer.status_code == 400
    assert "no data folder" in answer.json()["error"]["message"]
