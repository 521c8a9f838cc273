"""What stands around the input line."""

from prompt_toolkit.data_structures import Size

PROMPT = "> "
"""Before what the person types."""

NARROWEST, LOWEST = 40, 10
"""On smaller terminals there is no status line."""


def has_room(size: Size) -> bool:
    """Whether a terminal is large enough for a status line."""
    return size.columns >= NARROWEST and size.rows >= LOWEST
