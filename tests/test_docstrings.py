"""Public docstrings: errors that a function raises itself, and the shapes of arrays in its signature."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "llamachat"
FILES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "tools").glob("*.py")])
ARRAYS = re.compile(r"ndarray|NDArray|\bFloats\b|\bBytes\b")
WIDE = ("Exception", "LlamaChatError")
SHAPE = re.compile(r"\[|any shape")


def public(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Functions, and methods of public classes, whose names have no underscore before them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            if isinstance(node, ast.ClassDef):
                yield from public(node)
            else:
                yield node


def raised(function: ast.FunctionDef) -> set[str]:
    """Classes of the errors in its own raise statements that leave it; a mistake of the program itself is none."""
    caught = {
        node
        for attempt in ast.walk(function)
        if isinstance(attempt, ast.Try)
        for statement in attempt.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Raise)
        and {_name(node), *WIDE} & {ast.unparse(h.type) for h in attempt.handlers if h.type}
    }
    found = {node for node in ast.walk(function) if isinstance(node, ast.Raise) and node.exc is not None} - caught
    return {name for node in found if (name := _name(node))[0].isupper()} - {"AssertionError"}


def _name(node: ast.Raise) -> str:
    error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return ast.unparse(error) if error is not None else ""


def missing(function: ast.FunctionDef) -> Iterator[str]:
    """What its docstring lacks."""
    text = ast.get_docstring(function) or ""
    errors = raised(function)
    if errors and not re.search(r"\b[Rr]aises?\b", text) and not any(name in text for name in errors):
        yield f"raises {', '.join(sorted(errors))}"
    signature = ast.unparse(function.args) + (ast.unparse(function.returns) if function.returns else "")
    if ARRAYS.search(signature) and not SHAPE.search(text):
        yield "the shape of an array"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_public_docstring_says_what_is_raised_and_the_shapes_of_arrays(path):
    is_command = path.parent == PACKAGE / "cli"  # a command's docstring is its help
    found = [
        f"{function.name} (line {function.lineno}): {what}"
        for function in public(ast.parse(path.read_text("utf-8")))
        for what in missing(function)
        if not (is_command and function.name == path.stem)
    ]
    assert found == []


def test_what_is_missing_is_found():
    code = 'def f(x: np.ndarray) -> None:\n    """Does it."""\n    raise UsageError("no")\n'
    (function,) = public(ast.parse(code))
    assert list(missing(function)) == ["raises UsageError", "the shape of an array"]
