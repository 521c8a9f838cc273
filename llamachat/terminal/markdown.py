"""A block of Markdown as lines for a terminal, by rich.

The sixteen colours of the terminal's own theme are used, no background, no spaces at the ends of lines: what is copied
from the screen is the text. Nothing that a model says is left out: HTML is text, a table that does not fit becomes a
list. Control bytes that the notation itself spells (`&#x202e;`, `<http://x/%1b>`) are taken away here.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from io import StringIO

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import BlockQuote, CodeBlock, Heading, HorizontalRule, ListItem, Markdown, Paragraph
from rich.segment import Segment
from rich.text import Text
from rich.theme import Theme

from llamachat.terminal.columns import STYLE, wrapped
from llamachat.terminal.markdown_table import FittingTable, with_all_cells
from llamachat.terminal.sanitize import clean

WIDEST = 100
"""Columns of running text; longer lines are hard to read."""

NARROWEST, LEAST = 10, 6
"""Columns that a block has at least, and those that lists and quotes must leave of them."""

DEEPEST = 20
"""Levels of lists and quotes within one another (a list has two); what lies deeper is shown as it was written."""

THEME = Theme(
    {
        "markdown.code": "cyan",
        "markdown.code_block": "cyan",
        "markdown.block_quote": "italic",
        "markdown.h1": "bold underline",
        "markdown.h2": "bold",
        "markdown.h3": "bold",
        "markdown.h4": "bold italic",
        "markdown.h5": "italic",
        "markdown.h6": "italic",
        "markdown.item.bullet": "bold",
        "markdown.item.number": "bold",
        "markdown.link": "underline",
        "markdown.link_url": "dim",
        "markdown.hr": "dim",
        "markdown.table.border": "dim",
        "markdown.table.header": "bold",
    }
)
TRAILING = re.compile(r"(?: |\x1b\[[0-9;]*m)+$")
BREAK = re.compile(r"<br\s*/?>")


class _TooNarrow(Exception):
    """Lists and quotes leave no room for what is in them."""


def _room(options: ConsoleOptions, taken: int = 0) -> int:
    """Columns that are left. Raises _TooNarrow where rich would begin to leave out what does not fit."""
    if options.max_width - taken < LEAST:
        raise _TooNarrow
    return options.max_width - taken


class _LeftHeading(Heading):
    """A heading where text begins; rich centres them."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        yield self.text


class _NarrowParagraph(Paragraph):
    """Running text, which is not as wide as a wide terminal."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self.text, options.update(max_width=min(_room(options), WIDEST)))


class _Quote(BlockQuote):
    """A quote that leaves nothing out."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        _room(options, 4)
        yield from super().__rich_console__(console, options)


class _Rule(HorizontalRule):
    """A rule as wide as running text."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("─" * min(options.max_width, WIDEST), style="markdown.hr")


class _PlainCode(CodeBlock):
    """Code within lists and quotes, without a background."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        _room(options)
        yield Text(str(self.text).rstrip(), style="markdown.code_block", overflow="fold")


class _Item(ListItem):
    """An item whose text hangs behind its mark."""

    def render_bullet(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._behind(" • ", console, options)

    def render_number(
        self, console: Console, options: ConsoleOptions, number: int, last_number: int
    ) -> RenderResult:  # fmt: skip
        yield from self._behind(f" {number}. ", console, options)

    def _behind(self, mark: str, console: Console, options: ConsoleOptions) -> RenderResult:
        narrower = options.update(width=_room(options, len(mark)))
        style = console.get_style("markdown.item.bullet")
        for line in console.render_lines(self.elements, narrower, style=self.style):
            yield Segment(mark, style if mark.strip() else None)
            yield from line
            yield Segment.line()
            mark = " " * len(mark)


class _Markdown(Markdown):
    """The Markdown of models: line breaks and HTML are kept, links are text."""

    elements = {  # noqa: RUF012
        **Markdown.elements,
        "heading_open": _LeftHeading,
        "paragraph_open": _NarrowParagraph,
        "list_item_open": _Item,
        "blockquote_open": _Quote,
        "hr": _Rule,
        "fence": _PlainCode,
        "code_block": _PlainCode,
        "table_open": FittingTable,
    }

    def __init__(self, text: str) -> None:
        super().__init__("", hyperlinks=False)
        self.markup = text
        self.parsed = [*_harmless(_parser().parse(with_all_cells(text)))]


class _Parser(MarkdownIt):
    """CommonMark with tables and strikes. An address is shown as it was written: decoded, it could hold anything."""

    def normalizeLink(self, url: str) -> str:  # noqa: N802
        return url

    def normalizeLinkText(self, link: str) -> str:  # noqa: N802
        return link


def markdown_lines(text: str, width: int) -> list[str]:
    """The lines of a block, at most `width` columns each."""
    width = max(width, NARROWEST)
    document = _Markdown(text)
    if any(token.level >= DEEPEST - 2 for token in document.parsed):
        return wrapped(text, width)
    try:
        rendered = _rendered(document, width)
    except _TooNarrow:
        return wrapped(text, width)
    lines = [TRAILING.sub(lambda found: found[0].replace(" ", ""), line) for line in rendered.split("\n")]
    shown = [index for index, line in enumerate(lines) if STYLE.sub("", line)]
    return lines[shown[0] : shown[-1] + 1] if shown else []


def _rendered(document: _Markdown, width: int) -> str:
    file = StringIO()
    console = Console(
        file=file, width=width, force_terminal=True, color_system="standard", theme=THEME, emoji=False,
        highlight=False, legacy_windows=False, markup=False,
    )  # fmt: skip
    console.print(document, end="")
    return file.getvalue()


@cache
def _parser() -> MarkdownIt:
    parser = _Parser("commonmark", {"html": False, "maxNesting": DEEPEST})
    return parser.enable(["strikethrough", "table"]).disable(["reference"])


def _harmless(tokens: Iterable[Token]) -> Iterator[Token]:
    """The tokens without control bytes; images, and addresses that stand for themselves, are text."""
    names_itself: list[bool] = []
    for token in tokens:
        token.content = clean(token.content)
        if token.type == "link_open":
            token.attrs["href"] = clean(str(token.attrs.get("href", "")))
            names_itself.append(token.markup == "autolink")
        if token.type == "image":
            token = Token("text", "", 0, content=f"{token.content} ({clean(str(token.attrs.get('src', '')))})".lstrip())
        elif token.type == "text":
            token.content = BREAK.sub("\n", token.content)
        elif token.type == "softbreak":
            token.type = "hardbreak"
        elif token.children:
            token.children = [*_harmless(token.children)]
        is_link = token.type in ("link_open", "link_close")
        if not (is_link and names_itself[-1]):
            yield token
        if token.type == "link_close":
            names_itself.pop()
