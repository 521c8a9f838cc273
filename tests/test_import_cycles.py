"""No module imports itself by way of others: over all imports, those within functions and for types included."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import llamachat

PACKAGE = Path(llamachat.__file__).parent


def module_names(package: Path) -> dict[str, Path]:
    """Every module of a package by its dotted name."""
    found = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, names: Mapping[str, Path]) -> Iterator[str]:
    """The package's modules that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module in names:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in names else node.module for name in full)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (one.value for one in node.args if isinstance(one, ast.Constant) and one.value in names)


def cycle(package: Path) -> list[str]:
    """One cycle of imports, each module behind the one that imports it; empty where there is none."""
    names = module_names(package)
    graph = {name: {*imports(path, names)} - {name} for name, path in names.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return []


def test_no_import_leads_back_to_its_module():
    assert " -> ".join(cycle(PACKAGE)) == ""


def test_every_module_of_the_package_is_looked_at():
    names = module_names(PACKAGE)
    assert "llamachat.engine.model" in {*imports(PACKAGE / "library.py", names)}
    assert {"llamachat", "llamachat.cli", "llamachat.cli.app", "llamachat.__main__"} <= names.keys()


@pytest.mark.parametrize(
    "back",
    [
        "from pack.a import x",
        "import pack.a",
        "def f():\n    from pack import a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack.a import x",
        "import importlib\nimportlib.import_module('pack.a')",
    ],
)
def test_a_cycle_is_found_and_named_wherever_its_import_stands(tmp_path, back):
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from pack.b import y\nx = 1\n")
    (package / "b.py").write_text(f"{back}\ny = 1\n")
    assert cycle(package) in (["pack.a", "pack.b", "pack.a"], ["pack.b", "pack.a", "pack.b"])
