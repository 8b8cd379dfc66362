"""What no file of the project may contain, found in the syntax tree rather than by eye."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PYTHON_FOLDERS = ("src", "tests", "scripts", "benchmarks", "examples")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".cpp", ".h", ".json", ".html", ".js", ".css", ""}
SKIPPED_FOLDERS = {"build", "dist", "node_modules"}
# They run code that a file's author chose.
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal"}
UNSAFE_BUILTINS = {"eval", "exec", "__import__"}
UNSAFE_METHODS = {("torch", "load"), ("os", "system"), ("yaml", "load"), ("numpy", "load")}
# Written in pieces, since this file is searched as well.
REGISTRY_HOSTS = ("py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "debian" + ".org/")
MACHINE_PATHS = ("/wo" + "rk/", "/tmp/d" + "ev", "/ro" + "ot/", "/ho" + "me/")
BARE_EXEMPTION = re.compile(r"#\s*(type:\s*ignore(?!\[)|noqa(?!:))")


def python_files(root: Path) -> Iterator[Path]:
    """List every Python file of ours."""
    for folder in PYTHON_FOLDERS:
        yield from sorted((root / folder).rglob("*.py"))


def text_files(root: Path) -> Iterator[Path]:
    """List every text file of ours."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts)
        if hidden or SKIPPED_FOLDERS & set(parts) or path.suffix not in TEXT_SUFFIXES:
            continue
        if path.is_file():
            yield path


def unsafe_nodes(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Find imports and calls that could run someone else's code."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found = [name.name for name in names if name.name.split(".")[0] in UNSAFE_MODULES]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in UNSAFE_MODULES:
                found = [module]
            case ast.Call(func=ast.Name(id=name)) if name in UNSAFE_BUILTINS:
                found = [f"{name}()"]
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name)):
                found = [f"{owner}.{name}()"] if (owner, name) in UNSAFE_METHODS else []
            case _:
                continue
        for name in found:
            yield node.lineno, name


def is_swallowed(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler catches everything and does nothing about it."""
    broad = handler.type is None or (
        isinstance(handler.type, ast.Name) and handler.type.id in {"Exception", "BaseException"}
    )
    return broad and all(isinstance(step, ast.Pass) for step in handler.body)


def test_nothing_can_run_code_that_came_with_data(root: Path) -> None:
    found = [
        f"{path.relative_to(root)}:{line}: {name}"
        for path in python_files(root)
        for line, name in unsafe_nodes(ast.parse(path.read_text()))
    ]
    assert not found


def test_the_gate_finds_what_it_looks_for() -> None:
    """Every forbidden name is found in code that is put together here; harmless twins are not."""
    calls = {f"{owner}.{method}()" for owner, method in UNSAFE_METHODS}
    calls |= {f"{name}()" for name in UNSAFE_BUILTINS}
    imports = [f"import {name}\nfrom {name} import x" for name in sorted(UNSAFE_MODULES)]
    source = "\n".join([*imports, *sorted(calls), "model.eval()", "json.loads('1')"])
    found = [name for _, name in unsafe_nodes(ast.parse(source))]
    assert set(found) == UNSAFE_MODULES | calls
    assert len(found) == 2 * len(UNSAFE_MODULES) + len(calls)


def test_no_exception_is_swallowed(root: Path) -> None:
    found = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in python_files(root)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and is_swallowed(node)
    ]
    assert not found


def test_exemptions_name_the_rule_that_they_exempt_from(root: Path) -> None:
    found = [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for path in python_files(root)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if BARE_EXEMPTION.search(line)
    ]
    assert not found


def test_a_skip_gives_its_reason(root: Path) -> None:
    found = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in python_files(root / "tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"pytest.skip", "pytest.mark.skip", "pytest.mark.skipif"}
        and not (node.args if ast.unparse(node.func) == "pytest.skip" else node.keywords)
    ]
    assert not found


@pytest.mark.parametrize("needle", REGISTRY_HOSTS + MACHINE_PATHS)
def test_no_registry_and_no_machine_is_named(root: Path, needle: str) -> None:
    assert not [
        str(path.relative_to(root)) for path in text_files(root) if needle in path.read_text()
    ]


def test_only_the_settings_read_the_environment(root: Path) -> None:
    readers = {
        path.relative_to(root / "src/myna").as_posix()
        for path in python_files(root)
        if path.is_relative_to(root / "src")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}
    }
    assert readers <= {"core/settings.py"}
