"""The check that operations make of their operands."""

from llamachat.errors import ShapeError


def same_width(found: int, expected: int, where: str) -> None:
    """Raises ShapeError unless both are equal."""
    if found != expected:
        raise ShapeError(f"width {found} where {expected} is needed", where=where)
