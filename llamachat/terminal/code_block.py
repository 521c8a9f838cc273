"""A block of code on a terminal: a line with its language above it, a line below, and nothing beside what is copied."""

from llamachat.terminal.blocks import language_of
from llamachat.terminal.columns import padded, shortened
from llamachat.terminal.highlight import Highlighter
from llamachat.terminal.theme import painted

WIDE = 40
"""Columns of the lines around it."""

LONGEST = 20
"""Columns of a language's name."""


def code_head(language: str, columns: int) -> str:
    """The line above code."""
    name = f"── {shortened(language, min(LONGEST, max(1, columns - 4)))} " if language else ""
    return painted(padded(name, min(columns, WIDE), fill="─"), "quiet")


def code_foot(columns: int) -> str:
    """The line below code."""
    return painted("─" * min(columns, WIDE), "quiet")


def code_lines(code: str, info: str, columns: int) -> list[str]:
    """A whole block. info: what stands behind the fence."""
    language = language_of(info)
    colours = Highlighter(language)
    lines = [colours.line(line) for line in code.split("\n")]
    return [code_head(language, columns), *lines, code_foot(columns)]
