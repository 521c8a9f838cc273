"""A table of Markdown: columns where its words fit, else a line per cell."""

import re

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import TableElement
from rich.table import Table
from rich.text import Text

GAP = 3
"""Columns between two cells."""

LONG_WORD = 24
"""Longer words may be broken."""

DELIMITERS = re.compile(r"[\s>|:-]*-[\s|:-]*$")
BORDER = re.compile(r"(?<!\\)\|")


class FittingTable(TableElement):
    """A table that leaves nothing out on a narrow screen."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        titles = [cell.content.copy() for cell in self.header.row.cells] if self.header and self.header.row else []
        rows = [[cell.content for cell in row.cells] for row in self.body.rows] if self.body else []
        for title in titles:
            title.stylize("markdown.table.header")
        widths = [_longest_word([title, *(row[column] for row in rows)]) for column, title in enumerate(titles)]
        if sum(widths) + GAP * len(widths) <= options.max_width:
            yield _columns(titles, rows, widths)
        else:
            yield from _stacked(titles, rows)


def with_all_cells(text: str) -> str:
    """The text, where the heads of tables have as many cells as their longest row: others would be left out."""
    lines = text.split("\n")
    for index in range(1, len(lines)):
        n_cells = _n_cells(lines[index])
        if not DELIMITERS.match(lines[index]) or n_cells != _n_cells(lines[index - 1]) or "|" not in lines[index - 1]:
            continue
        missing = max(_n_cells(line) for line in lines[index:]) - n_cells
        for row, cell in ((index - 1, "|  "), (index, "|--")):
            lines[row] = lines[row].rstrip().removesuffix("|") + cell * missing + "|"
        break
    return "\n".join(lines)


def _n_cells(row: str) -> int:
    return len(BORDER.findall(row.strip().removeprefix("|").removesuffix("|"))) + 1


def _columns(titles: list[Text], rows: list[list[Text]], widths: list[int]) -> Table:
    table = Table(
        box=box.SIMPLE, show_edge=False, pad_edge=False, style="markdown.table.border", collapse_padding=True
    )  # fmt: skip
    for title, width in zip(titles, widths, strict=True):
        table.add_column(title, min_width=width, overflow="fold", justify=title.justify or "left")
    for row in rows:
        table.add_row(*row)
    return table


def _stacked(titles: list[Text], rows: list[list[Text]]) -> RenderResult:
    for index, row in enumerate(rows or [[Text() for _ in titles]]):
        if index:
            yield Text()
        for title, cell in zip(titles, row, strict=True):
            yield Text.assemble(title, ": " if title.plain else "", cell, overflow="fold")


def _longest_word(cells: list[Text]) -> int:
    words = [cell_len(word) for cell in cells for word in cell.plain.split()]
    return min(max(words, default=1), LONG_WORD)
