"""Every dependency is declared, pinned and argued for."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

# Packages whose import name is not their own.
IMPORT_NAMES = {
    "faster_whisper": "faster-whisper",
    "huggingface_hub": "huggingface-hub",
    "PIL": "pillow",
    "python_multipart": "python-multipart",
    "hibari": "hibari-tts",
    "resvg_py": "resvg-py",
}


@pytest.fixture(scope="session")
def project(root: Path) -> dict[str, object]:
    """Read the project's table of pyproject.toml."""
    table: dict[str, object] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return table


def names(requirements: list[str]) -> set[str]:
    """Take the packages' names out of requirements."""
    return {
        re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower().replace("_", "-")
        for line in requirements
        if line and not line.startswith("#")
    }


def test_every_dependency_is_pinned_and_argued_for(root: Path, project: dict[str, object]) -> None:
    extras = project["optional-dependencies"]
    wanted = names(
        [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    )
    pinned = names((root / "constraints.txt").read_text().splitlines())
    reasons = (root / "docs/dependencies.md").read_text().replace("_", "-")
    assert wanted <= pinned
    assert not [name for name in sorted(wanted) if not re.search(rf"\b{name}\b", reasons)]


def test_what_the_package_imports_is_declared(root: Path, project: dict[str, object]) -> None:
    imported = set()
    for path in (root / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    third_party = imported - set(sys.stdlib_module_names) - {"myna"}
    # What only one command needs is imported where it is used.
    extras = dict(project["optional-dependencies"])
    del extras["test"]
    declared = names(
        [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    )
    assert {IMPORT_NAMES.get(name, name) for name in third_party} <= declared


def test_the_pins_are_exact(root: Path) -> None:
    lines = (root / "constraints.txt").read_text().splitlines()
    assert all(line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
