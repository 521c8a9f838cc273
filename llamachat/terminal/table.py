"""Rows of text that stay readable: columns where they fit, a short paragraph per row where the terminal is narrow.

In a pipe a row is one line of columns, whatever its length, without colour: for grep and awk.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llamachat.terminal.columns import columns_of, filled, padded, terminal_size
from llamachat.terminal.output import wants_colour, write
from llamachat.terminal.sanitize import clean_line

_GAP = "  "
_MIN_WIDTH = 20
_MAX_WIDTH = 120  # longer lines of running text are hard to read


@dataclass(frozen=True)
class Column:
    """A column's title, and whether its cells stand at the right (numbers)."""

    title: str
    right: bool = False


def output_width() -> int | None:
    """Columns of the terminal that standard output is; None if it is none."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return max(_MIN_WIDTH, terminal_size()[0])


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Writes the rows to standard output; every cell is cleaned of control bytes first. An empty column is left out."""
    cells = [[clean_line(cell) for cell in row] for row in rows]
    kept = [index for index in range(len(columns)) if index == 0 or any(row[index] for row in cells)]
    columns = [columns[index] for index in kept]
    cells = [[row[index] for index in kept] for row in cells]
    width = output_width()
    aligned = list(aligned_lines([column.title for column in columns], cells, [column.right for column in columns]))
    if width is not None and any(columns_of(line) > width for line in aligned):
        print_text("\n".join(line for row in cells for line in stacked_lines(columns, row, width)))
        return
    if wants_colour(width is not None):
        aligned[0] = f"\x1b[2m{aligned[0]}\x1b[0m"
    print_text("\n".join(aligned))


def aligned_lines(
    titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]
) -> Iterator[str]:  # fmt: skip
    """A line of titles in capitals and a line per row, cells padded to the widest of their column."""
    lines = [[title.upper() for title in titles], *rows]
    widths = [max(columns_of(line[index]) for line in lines) for index in range(len(titles))]
    for line in lines:
        yield _GAP.join(map(padded, line, widths, right)).rstrip()


def stacked_lines(columns: Sequence[Column], row: Sequence[str], width: int) -> Iterator[str]:
    """The first cell on its own line, the others below it with their titles, wrapped to the width."""
    yield from paragraph(row[0], width, "")
    named = [f"{column.title} {cell}" for column, cell in list(zip(columns, row, strict=True))[1:] if cell]
    if named:
        yield from paragraph(", ".join(named), width, _GAP)


def paragraph(text: str, width: int | None, indent: str, hanging: str | None = None) -> list[str]:
    """The text in lines of at most `width` (and never over 120) columns; one line if the width is None."""
    if width is None:
        return [indent + text]
    return filled(text, min(width, _MAX_WIDTH), indent, hanging) or [indent.rstrip()]


def print_text(text: str) -> None:
    """Writes text and a line break to standard output."""
    write(f"{text}\n")
