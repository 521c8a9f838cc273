"""A terminal's screen as SVG: text that can be selected, at the columns where the terminal has it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

CELL, LINE, MARGIN, SIZE = 8.4, 18, 16, 14
"""Pixels: the width of a column, the height of a row, the frame around all, the letters."""

FONTS = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
PAPER, INK = "#1c1e26", "#d5d8df"
COLOURS = {
    "black": "#1c1e26", "red": "#e5786d", "green": "#95c987", "brown": "#e2c275", "blue": "#82aaff",
    "magenta": "#c792ea", "cyan": "#7fd1cc", "white": "#d5d8df", "brightblack": "#7c8290", "brightred": "#f08a80",
    "brightgreen": "#a9dc9c", "brightyellow": "#f0d48e", "brightbrown": "#f0d48e", "brightblue": "#9cbcff",
    "brightmagenta": "#d7a9f2", "brightcyan": "#98e2dd", "brightwhite": "#ffffff",
}  # fmt: skip
"""The names of pyte, which calls yellow brown."""


@dataclass(frozen=True)
class Look:
    """How a character looks: names of colours, "default" for the screen's own."""

    front: str = "default"
    back: str = "default"
    bold: bool = False
    italics: bool = False
    underscore: bool = False
    reverse: bool = False


@dataclass(frozen=True)
class Cell:
    """A character and its columns: two for a wide one."""

    text: str
    look: Look
    width: int = 1


def picture(rows: Sequence[Sequence[Cell]], columns: int, title: str) -> str:
    """The rows as the text of an SVG file. title: what a reader hears who does not see it."""
    width, height = columns * CELL + 2 * MARGIN, len(rows) * LINE + 2 * MARGIN
    drawn = [part for number, row in enumerate(rows) for part in row_parts(row, MARGIN + number * LINE)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">',
            f"<title>{escape(title)}</title>",
            f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>',
            f'<g font-family="{FONTS}" font-size="{SIZE}" fill="{INK}" xml:space="preserve">',
            *drawn,
            "</g>",
            "</svg>\n",
        ]
    )


def row_parts(cells: Sequence[Cell], top: int) -> Iterator[str]:
    """Neighbours that look alike are one text, a wide character one for itself: no font moves what follows."""
    column = 0
    for (look, width), group in groupby(cells, lambda cell: (cell.look, cell.width)):
        texts = [cell.text for cell in group]
        # A blank between words is drawn with them; more are a gap, which some programs would close.
        for text in re.split(r"( {2,})", "".join(texts)) if width == 1 else texts:
            span = width * len(text) if width == 1 else width
            yield from _run(text, look, MARGIN + column * CELL, top, span * CELL)
            column += span


def _run(text: str, look: Look, left: float, top: int, width: float) -> Iterator[str]:
    front, back = COLOURS.get(look.front, INK), COLOURS.get(look.back, PAPER)
    if look.reverse:
        front, back = back, front
    if back != PAPER:
        yield f'<rect x="{left:g}" y="{top}" width="{width:g}" height="{LINE}" fill="{back}"/>'
    n_before = len(text) - len(text.lstrip(" "))
    shown = text.strip(" ")
    if not shown:
        return
    # Blanks at the ends are not drawn: some programs would stretch the rest over their columns.
    each = width / len(text)
    left, width, text = left + n_before * each, len(shown) * each, shown
    styles = {
        f'fill="{front}"': front != INK,
        'font-weight="bold"': look.bold,
        'font-style="italic"': look.italics,
        'text-decoration="underline"': look.underscore,
    }
    given = "".join(f" {style}" for style, is_so in styles.items() if is_so)
    yield (
        f'<text x="{left:g}" y="{top + SIZE}" textLength="{width:g}" lengthAdjust="spacingAndGlyphs"{given}>'
        f"{escape(text)}</text>"
    )
