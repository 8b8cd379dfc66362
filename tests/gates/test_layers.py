"""The walls between rooms, beyond what import-linter sees by itself."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TORCH_FREE_ROOMS = ("core", "text", "hub", "server", "store", "media")
LOADED_MODULES = """
import pkgutil, sys
from importlib import import_module
room = import_module(sys.argv[1])
for module in pkgutil.walk_packages(room.__path__, sys.argv[1] + "."):
    import_module(module.name)
print("torch" in sys.modules)
"""


def test_every_room_without_torch_stands_in_the_contract(root: Path) -> None:
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    (sources,) = [
        contract["source_modules"]
        for contract in contracts["contracts"]
        if contract.get("forbidden_modules") == ["torch"]
    ]
    existing = {f"myna.{room}" for room in TORCH_FREE_ROOMS if (root / "src/myna" / room).is_dir()}
    assert set(sources) == existing


@pytest.mark.parametrize("room", TORCH_FREE_ROOMS)
def test_importing_a_whole_room_loads_no_torch(root: Path, room: str) -> None:
    if not (root / "src/myna" / room).is_dir():
        return
    answer = subprocess.run(
        [sys.executable, "-c", LOADED_MODULES, f"myna.{room}"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert answer.stdout.split()[-1] == "False"
