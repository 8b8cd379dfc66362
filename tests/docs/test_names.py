"""Every path and every dotted name in backticks exists.

Not checked: what has spaces (commands), placeholders, addresses, paths from a server's root or from
outside the repository.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
BACKTICKED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w.][\w.-]*(/[\w.-]+)+/?")
DOTTED = re.compile(r"[a-z_]\w*(\.[A-Za-z_]\w*)+(\(\))?")
# Built or fetched on the reader's machine, not part of the repository.
MADE = (".venv/", "build/", "dist/")


def words(text: str) -> list[str]:
    """List what stands in backticks outside of blocks of code."""
    return BACKTICKED.findall(FENCED.sub("", text))


def is_there(root: Path, page: Path, path: str) -> bool:
    """Tell whether a path exists, seen from the repository, the package, or the page itself."""
    return any((start / path).exists() for start in (root, root / "src/myna", page.parent))


def resolves(name: str) -> bool:
    """Tell whether a dotted name of ours can be imported, or reached from what can be."""
    parts = name.removesuffix("()").removeprefix("myna.").split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(("myna", *parts[:count])))
        except ModuleNotFoundError:
            continue
        return all((found := getattr(found, part, None)) is not None for part in parts[count:])
    return False


def is_ours(root: Path, name: str) -> bool:
    """Tell whether a dotted name begins with the package or one of its rooms."""
    first = name.split(".")[0]
    return first == "myna" or (root / "src/myna" / first).is_dir()


def test_the_paths_on_a_page_exist(root: Path, page: Path) -> None:
    paths = [
        word
        for word in words(page.read_text())
        if PATH.fullmatch(word) and not word.startswith(MADE)
    ]
    known = {child.name for top in (root, root / "src/myna") for child in top.iterdir()}
    inside = [path for path in paths if path.split("/")[0] in known]
    assert not [path for path in inside if not is_there(root, page, path)]


def test_the_dotted_names_on_a_page_exist(root: Path, page: Path) -> None:
    names = [word for word in words(page.read_text()) if DOTTED.fullmatch(word)]
    ours = [name for name in names if is_ours(root, name)]
    assert not [name for name in ours if not resolves(name)]


def test_the_files_on_a_page_exist(root: Path, page: Path) -> None:
    scripts = re.findall(
        r"\b((?:scripts|benchmarks|examples|tests)/[\w/.-]+\.py)", page.read_text()
    )
    assert not [path for path in scripts if not (root / path).exists()]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("core.errors.MynaError", True),
        ("myna.core.errors", True),
        ("core.errors.MynaError.info()", True),
        ("core.errors.Nothing", False),
        ("core.nothing", False),
    ],
)
def test_the_gate_tells_names_apart(name: str, expected: bool) -> None:
    assert resolves(name) is expected
