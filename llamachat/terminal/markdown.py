"""A block of Markdown as lines for a terminal, by rich; a line of code, by pygments.

The sixteen colours of the terminal's own theme are used, no background, no borders around code, no spaces at the ends
of lines: what is copied from the screen is the text. What comes in has lost its control bytes before.
"""

import re
from functools import cache
from io import StringIO
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown
from rich.text import Text
from rich.theme import Theme

from llamachat.terminal.live import STYLE

if TYPE_CHECKING:
    from pygments.lexer import Lexer

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


class _LeftHeading(Heading):
    """A heading where text begins; rich centres them."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        yield self.text


class _PlainCode(CodeBlock):
    """Code within lists and quotes, without a background."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(str(self.text).rstrip(), style="markdown.code_block", no_wrap=True, overflow="fold")


class _Markdown(Markdown):
    elements = {**Markdown.elements, "heading_open": _LeftHeading, "fence": _PlainCode, "code_block": _PlainCode}  # noqa: RUF012


def markdown_lines(text: str, width: int) -> list[str]:
    """The lines of a block, at most `width` columns each."""
    file = StringIO()
    console = Console(
        file=file, width=max(width, 10), force_terminal=True, color_system="standard", theme=THEME, emoji=False,
        highlight=False, legacy_windows=False, markup=False,
    )  # fmt: skip
    console.print(_Markdown(text, hyperlinks=False), end="")
    lines = [TRAILING.sub(lambda found: found[0].replace(" ", ""), line) for line in file.getvalue().splitlines()]
    shown = [index for index, line in enumerate(lines) if STYLE.sub("", line)]
    return lines[shown[0] : shown[-1] + 1] if shown else []


def code_line(text: str, language: str) -> str:
    """A line of code in colours."""
    lexer = _lexer(language)
    if lexer is None or not text.strip():
        return text
    from pygments import highlight

    return str(highlight(text, lexer, _formatter())).rstrip("\n")


@cache
def _lexer(language: str) -> "Lexer | None":
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=True) if language else None
    except ClassNotFound:
        return None


@cache
def _formatter() -> Any:
    from pygments.formatters import TerminalFormatter

    return TerminalFormatter(bg="dark")
