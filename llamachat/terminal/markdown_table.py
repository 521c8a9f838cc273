"""A table of Markdown: columns where its words fit, else a line per cell. No character of it is ever left out."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llamachat.terminal.columns import columns_of
from llamachat.terminal.formulas import kept_in_row
from llamachat.terminal.spans import Row, Span, longest_unit, painted_row, plain, rows_of
from llamachat.terminal.theme import painted

GAP = "  "
"""Between two columns."""

LONG_WORD = 24
"""Longer words may be broken, addresses not."""

_PREFIX = re.compile(r"[\s>]*(?:(?:[-*+]|\d{1,9}[.)])\s+)*[\s>]*")
"""What quotes and lists put before a row."""

DELIMITERS = re.compile(r"[\s>|:-]*-[\s|:-]*$")
BORDER = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Table:
    """Cells as spans. sides: "left", "right", "center" or "" for each column."""

    titles: list[Row]
    rows: list[list[Row]]
    sides: list[str]


def table_lines(table: Table, width: int) -> list[str]:
    """The lines of a table, `width` columns wide."""
    columns = list(zip(table.titles, *table.rows, strict=True))
    natural = [max(max((columns_of(line) for line in plain(cell).split("\n")), default=0) for cell in one)
               for one in columns]  # fmt: skip
    least = [max(longest_unit(cell, LONG_WORD) for cell in one) for one in columns]
    titled = [max(few, min(columns_of(plain(one[0])), LONG_WORD)) for one, few in zip(columns, least, strict=True)]
    room = width - len(GAP) * (len(columns) - 1)
    widths = _widths(natural, titled, room) or _widths(natural, least, room)  # titles stay in one row if they can
    if widths is None:
        return list(_stacked(table, width))
    return list(_aligned(table, widths))


def with_all_cells(text: str) -> str:
    r"""The text, where the heads of tables have as many cells as their longest row: others would be left out.

    Formulas in rows keep their backslashes.
    """
    if "|" not in text:
        return text
    lines = text.split("\n")
    for index in range(1, len(lines)):
        n_cells = _n_cells(lines[index])
        if not DELIMITERS.match(_row(lines[index])) or "|" not in lines[index - 1]:
            continue
        if n_cells != _n_cells(lines[index - 1]):
            continue
        end = next((n for n in range(index, len(lines)) if not _row(lines[n]).strip()), len(lines))
        for row in (index - 1, *range(index + 1, end)):
            lines[row] = kept_in_row(lines[row])
        missing = max(_n_cells(line) for line in lines[index:end]) - n_cells
        for row, cell in ((index - 1, "|  "), (index, "|--")):
            lines[row] = lines[row].rstrip().removesuffix("|") + cell * missing + "|"
    return "\n".join(lines)


def _row(line: str) -> str:
    """A row without what quotes and lists put before it."""
    found = _PREFIX.match(line)
    return line[found.end() :] if found else line


def _n_cells(line: str) -> int:
    row = _row(line).strip()
    return len(BORDER.findall(row.removeprefix("|").removesuffix("|"))) + 1


def _widths(natural: Sequence[int], least: Sequence[int], room: int) -> list[int] | None:
    """Columns of each column; None where not even the words find room."""
    if sum(natural) <= room:
        return list(natural)
    if sum(least) > room:
        return None
    wanted = [more - few for more, few in zip(natural, least, strict=True)]
    left = room - sum(least)
    widths = [few + left * more // sum(wanted) for few, more in zip(least, wanted, strict=True)]
    for index in sorted(range(len(widths)), key=lambda one: widths[one] - natural[one])[: room - sum(widths)]:
        widths[index] += 1
    return widths


def _aligned(table: Table, widths: Sequence[int]) -> Iterator[str]:
    rows = [
        [rows_of(cell, width) for cell, width in zip(row, widths, strict=True)] for row in (table.titles, *table.rows)
    ]
    tall = any(len(cell) > 1 for row in rows[1:] for cell in row)
    for index, row in enumerate(rows):
        if index > 1 and tall:
            yield ""
        for n in range(max(map(len, row))):
            cells = (cell[n] if n < len(cell) else () for cell in row)
            line: list[Span] = []
            for cell, width, side in zip(cells, widths, table.sides, strict=True):
                line += [*([Span(GAP)] if line else []), *_padded(cell, width, side)]
            yield painted_row(line)
        if index == 0:
            yield painted(GAP.join("─" * width for width in widths), "quiet")


def _padded(cell: Row, width: int, side: str) -> list[Span]:
    space = max(0, width - columns_of(plain(cell)))
    before = {"right": space, "center": space // 2}.get(side, 0)
    return [Span(" " * before), *cell, Span(" " * (space - before))]


def _stacked(table: Table, width: int) -> Iterator[str]:
    empty: list[Row] = [()] * len(table.titles)
    for index, row in enumerate(table.rows or [empty]):
        if index:
            yield ""
        for title, cell in zip(table.titles, row, strict=True):
            whole = [*title, *([Span(": " if plain(cell) else ":")] if plain(title) else []), *cell]
            yield from (painted_row(line) for line in rows_of(whole, width))
