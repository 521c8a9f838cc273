"""A block of Markdown as lines for a terminal.

The terminal's own colours are used, no background, no spaces at the ends of lines: what is copied from the screen is
the text. Nothing that a model says is left out: HTML is text, formulas stay as they were written, a table that does not
fit becomes a list. Control bytes that the notation itself spells (`&#x202e;`, `<http://x/%1b>`) are taken away here.
"""

from collections.abc import Iterator, Sequence
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from llamachat.terminal.code_block import code_lines
from llamachat.terminal.columns import wrapped
from llamachat.terminal.emphasis import EastAsianInline
from llamachat.terminal.formulas import FORMULA, read_formulas
from llamachat.terminal.inline import spans_of
from llamachat.terminal.markdown_table import Table, table_lines, with_all_cells
from llamachat.terminal.sanitize import clean
from llamachat.terminal.spans import Row, painted_row, rows_of
from llamachat.terminal.theme import look, painted

WIDEST = 100
"""Columns of running text; longer lines are hard to read."""

NARROWEST, LEAST = 10, 6
"""Columns that a block has at least, and those that what is within lists and quotes has of them."""

DEEPEST = 20
"""Nesting of lists and quotes (a list has two levels); deeper levels are shown as they were written."""

HEADINGS = {"h1": "title", "h2": "heading", "h3": "heading", "h4": "heading", "h5": "subheading", "h6": "subheading"}


class _Parser(MarkdownIt):
    """CommonMark with tables and strikes. An address is shown as written: decoded, it could hold control characters."""

    def normalizeLink(self, url: str) -> str:  # noqa: N802
        return url

    def normalizeLinkText(self, link: str) -> str:  # noqa: N802
        return link


def markdown_lines(text: str, width: int) -> list[str]:
    """The lines of a block, at most `width` columns each but for code, formulas and addresses, which stay whole."""
    width = max(width, NARROWEST)
    tokens = _parser().parse(with_all_cells(text))
    if any(token.level >= DEEPEST - 2 for token in tokens):
        return wrapped(text, width)
    return _Blocks(tokens).lines(width)


@cache
def _parser() -> MarkdownIt:
    parser = _Parser("commonmark")
    parser.inline = EastAsianInline()
    parser.configure("commonmark", {"html": False, "maxNesting": DEEPEST})
    parser.enable(["strikethrough", "table"]).disable(["reference"])
    read_formulas(parser)
    return parser


class _Blocks:
    """Goes through the tokens of a document once."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = iter(tokens)

    def lines(self, width: int, base: str = "", in_item: bool = False) -> list[str]:
        """The lines of all blocks up to the end of the enclosing one, with an empty line between two.

        in_item: lists stand close to what they belong to.
        """
        lines: list[str] = []
        for is_close, block in self._blocks(width, base, in_item):
            if lines and block and not is_close:
                lines.append("")
            lines += block
        return lines

    def _blocks(self, width: int, base: str, in_item: bool) -> Iterator[tuple[bool, list[str]]]:
        """(whether it stands close to what is before it, lines) of each block."""
        for token in self._tokens:
            if token.nesting < 0:
                return
            kind = token.type
            if kind == "paragraph_open":
                yield token.hidden, self._text(width, base)
            elif kind == "heading_open":
                yield False, self._text(width, base + look(HEADINGS[token.tag]))
            elif kind in ("bullet_list_open", "ordered_list_open"):
                yield in_item, self._list(token, width, base)
            elif kind == "blockquote_open":
                bar = painted("▌ ", "quiet")
                inside = self.lines(max(LEAST, width - 2), base + look("quote"))
                yield False, [f"{bar}{line}" if line else painted("▌", "quiet") for line in inside]
            elif kind == "table_open":
                yield False, table_lines(self._table(base), width)
            else:
                yield False, self._leaf(token, width)

    def _text(self, width: int, base: str) -> list[str]:
        """A paragraph or a heading."""
        inline = next(self._tokens)
        next(self._tokens)
        rows = rows_of(spans_of(inline.children or (), base), min(width, WIDEST))
        return [painted_row(row) for row in rows]

    def _leaf(self, token: Token, width: int) -> list[str]:
        if token.type == "hr":
            return [painted("─" * min(width, WIDEST), "quiet")]
        content = clean(token.content).rstrip("\n")
        if token.type in ("fence", "code_block"):
            return code_lines(content, clean(token.info), width)
        if token.type == f"{FORMULA}_block":
            return content.split("\n")
        return wrapped(content, width) if content else []

    def _list(self, opening: Token, width: int, base: str) -> list[str]:
        number = int(opening.attrs.get("start", 1)) if opening.type == "ordered_list_open" else None
        lines: list[str] = []
        is_loose = False
        for token in self._tokens:
            if token.nesting < 0:
                break
            assert token.type == "list_item_open"
            mark = " • " if number is None else f" {number}. "
            number = None if number is None else number + 1
            indent = " " * len(mark)
            inside = self.lines(max(LEAST, width - len(mark)), base, in_item=True)
            item = [f"{painted(mark, 'strong') if first else indent}{line}" if line or first else ""
                    for line, first in zip(inside or [""], [True] + [False] * len(inside), strict=False)]  # fmt: skip
            lines += ["", *item] if is_loose else item
            is_loose = "" in item
        return lines

    def _table(self, base: str) -> Table:
        rows: list[list[Row]] = []
        sides: list[str] = []
        for token in self._tokens:
            if token.type == "table_close":
                break
            if token.type == "tr_open":
                rows.append([])
            elif token.type in ("th_open", "td_open"):
                is_title = token.type == "th_open"
                if is_title:
                    sides.append(str(token.attrs.get("style", "")).removeprefix("text-align:"))
                cell = spans_of(next(self._tokens).children or (), base + (look("strong") if is_title else ""))
                rows[-1].append(cell)
        return Table(rows[0], rows[1:], sides)
