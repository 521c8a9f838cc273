"""Code metrics: sizes of files and functions, and what exceeds the budgets. Exceeding one is no error.

python tools/code_metrics.py [FOLDER ...]: one row for each folder, by default llamachat, tools and tests.
"""

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

FILE, FUNCTION, EMITTER, PARAMETERS, LINE = 400, 60, 90, 6, 120


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, from def to its end."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many parameters a caller sees."""
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def breaches(path: Path, lines: list[str], tree: ast.Module) -> Iterator[str]:
    """What in a file exceeds the budgets, with its place."""
    if len(lines) > FILE:
        yield f"{path}: {len(lines)} lines (at most {FILE})"
    yield from (f"{path}:{n}: {len(line)} columns" for n, line in enumerate(lines, 1) if len(line) > LINE)
    for function in functions(tree):
        limit = EMITTER if "# emitter" in lines[function.lineno - 1] else FUNCTION
        if length(function) > limit:
            yield f"{path}:{function.lineno}: {function.name} has {length(function)} lines (at most {limit})"
        if parameters(function) > PARAMETERS and path.parts[0] != "tests":
            yield f"{path}:{function.lineno}: {function.name} has {parameters(function)} parameters"


def p90(values: list[int]) -> int:
    """The value that nine of ten do not exceed."""
    return sorted(values)[-(-9 * len(values) // 10) - 1] if values else 0


def main() -> None:
    """Prints the table and the breaches."""
    found: list[str] = []
    print(f"{'':10} {'files':>6} {'lines':>6} {'median':>6} {'p90':>5} | {'functions':>9} {'median':>6} {'p90':>5}")
    for folder in sys.argv[1:] or ["llamachat", "tools", "tests"]:
        sizes: list[int] = []
        spans: list[int] = []
        for path in sorted(Path(folder).rglob("*.py")):
            lines = path.read_text("utf-8").splitlines()
            tree = ast.parse("\n".join(lines))
            sizes.append(len(lines))
            spans += map(length, functions(tree))
            found += breaches(path, lines, tree)
        middle = [round(statistics.median(values)) if values else 0 for values in (sizes, spans)]
        print(f"{folder:10} {len(sizes):6} {sum(sizes):6} {middle[0]:6} {p90(sizes):5} | ", end="")
        print(f"{len(spans):9} {middle[1]:6} {p90(spans):5}")
    print(*found, sep="\n")


if __name__ == "__main__":
    main()
