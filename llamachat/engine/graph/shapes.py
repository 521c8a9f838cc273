"""The checks that operations make of their operands, and how shapes of files are compared."""

from llamachat.engine.graph.node import Node, Number
from llamachat.errors import ShapeError


def same_width(found: int, expected: int, where: str) -> None:
    """Raises ShapeError unless both are equal."""
    if found != expected:
        raise ShapeError(f"width {found} where {expected} is needed", where=where)


def floats(where: str, *values: Node) -> None:
    """Raises ShapeError for values of integers."""
    if any(value.number is not Number.FLOAT for value in values):
        raise ShapeError("integers where float32 is needed", where=where)


def same_rows(a: Node, b: Node, where: str) -> None:
    """Raises ShapeError unless the rows of both stand for the same."""
    if a.rows != b.rows:
        raise ShapeError(f"rows of {a.rows.name} and of {b.rows.name} are no pairs", where=where)


def without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without dimensions of 1 before its rows: ggml counts four dimensions everywhere, the last ones first."""
    first = next((i for i, size in enumerate(shape) if size != 1), len(shape))
    return tuple(shape[first:])
