"""Markdown as it comes: a stream of text cut into blocks that are finished, and the rest that may still change.

Lines of fenced code are finished one by one; a paragraph, table, quote or list ends with what comes after it.
"""

import re
from dataclasses import dataclass

from llamachat.terminal.formulas import MOST_LINES, closing_of, find_closing

FENCE = re.compile(r"(\s*)(`{3,}|~{3,})\s*([^`]*)$")
HEADING = re.compile(r" {0,3}#{1,6}(\s|$)")
RULE = re.compile(r" {0,3}([-*_])(\s*\1){2,}\s*$")
ITEM = re.compile(r"\s*([-*+]|\d{1,9}[.)])\s")
TOP_ITEM = re.compile(r" ?([-*+]|\d{1,9}[.)])\s")
DELIMITERS = re.compile(r"[\s|:-]*-[\s|:-]*$")
MARKS = re.compile(r"[\s>]*(?:(?:[-*+]|\d{1,9}[.)])\s+)?")
LANGUAGE = re.compile(r"[\w+#-]*")
TAB = 4
LONG_LIST = 12
"""Lines after which a list is cut at its next item, so that little of it is drawn again and again."""

MOST_LIVE, STEP = 4000, 2000
"""Characters of an unfinished block that are drawn at most; the beginning of a longer one moves by this number."""


@dataclass(frozen=True)
class Block:
    """A finished block of Markdown. continues: a list that the block before it has begun."""

    text: str
    continues: bool = False


@dataclass(frozen=True)
class CodeLine:
    """A finished line of fenced code. first: the fence has just opened."""

    text: str
    language: str
    first: bool


@dataclass(frozen=True)
class CodeEnd:
    """The end of fenced code. first: it had no line."""

    language: str
    first: bool


Piece = Block | CodeLine | CodeEnd


@dataclass(frozen=True)
class _Fence:
    mark: str
    indent: int
    language: str


class Blocks:
    """Cuts a text that comes in pieces."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line = ""
        self._fence: _Fence | None = None
        self._first = self._continues = False
        self._formula, self._n_formula = "", 0
        self._found: list[Piece] = []

    @property
    def rest(self) -> Block | CodeLine:
        """What is not finished."""
        line = self._line.expandtabs(TAB)
        if self._fence is not None:
            return CodeLine(self._dedented(line), self._fence.language, self._first)
        return Block("\n".join([*self._lines, line]), self._continues)

    def feed(self, text: str) -> list[Piece]:
        """What the text has finished."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._take(line.rstrip("\r").expandtabs(TAB))
        return self._given()

    def finish(self) -> list[Piece]:
        """What is left at the end of the text."""
        if self._line:
            self._take(self._line.expandtabs(TAB))
            self._line = ""
        self._end_block()
        self._end_code()
        return self._given()

    def _given(self) -> list[Piece]:
        found, self._found = self._found, []
        return found

    def _take(self, line: str) -> None:
        if self._fence is not None:
            self._take_code(line, self._fence)
        elif fence := FENCE.match(line):
            self._formula = ""
            self._end_block()
            self._fence = _Fence(fence[2], len(fence[1]), language_of(fence[3]))
            self._first = True
        elif self._formula:
            self._take_formula(line)
        elif not line.strip():
            if self._in_list():
                self._lines.append("")
            else:
                self._end_block()
        else:
            self._take_text(line)

    def _take_text(self, line: str) -> None:
        ended_by_blank = bool(self._lines) and not self._lines[-1]
        if ended_by_blank and not (line.startswith("  ") or ITEM.match(line)):
            self._end_block()
        if HEADING.match(line) or (RULE.match(line) and not self._lines):
            self._end_block()
            self._found.append(Block(line))
            return
        if len(self._lines) >= LONG_LIST and self._in_list() and TOP_ITEM.match(line):
            self._end_block(continues=True)
        self._lines.append(line)
        begun = MARKS.sub("", line)
        closing = closing_of(begun)
        if closing and find_closing(begun, closing, 2, len(begun)) < 0:
            self._formula, self._n_formula = closing, 0

    def _take_formula(self, line: str) -> None:
        """A line of a formula, in which nothing is Markdown. A formula that does not end soon is none."""
        self._lines.append(line)
        self._n_formula += 1
        if self._n_formula >= MOST_LINES or find_closing(line, self._formula, 0, len(line)) >= 0:
            self._formula = ""

    def _take_code(self, line: str, fence: _Fence) -> None:
        closing = line.strip()
        if closing and set(closing) == {fence.mark[0]} and len(closing) >= len(fence.mark):
            self._end_code()
            return
        self._found.append(CodeLine(self._dedented(line), fence.language, self._first))
        self._first = False

    def _dedented(self, line: str) -> str:
        indent = self._fence.indent if self._fence is not None else 0
        return line[min(indent, len(line) - len(line.lstrip(" "))) :]

    def _in_list(self) -> bool:
        return bool(self._lines) and ITEM.match(self._lines[0]) is not None

    def _end_block(self, continues: bool = False) -> None:
        """Ends the block. continues: the next one belongs to the same list."""
        text = "\n".join(self._lines).rstrip()
        self._lines = []
        if text.strip():
            self._found.append(Block(text, self._continues))
        self._continues = continues

    def _end_code(self) -> None:
        if self._fence is not None:
            self._found.append(CodeEnd(self._fence.language, self._first))
        self._fence = None


def tail(text: str, n_rows: int) -> str:
    """The end of an unfinished block, which fills a screen of `n_rows` rows; of a table with what is above its rows."""
    if len(text) <= MOST_LIVE:
        return text
    lines = text.split("\n")
    if len(lines) > n_rows + 2 and "|" in lines[0] and DELIMITERS.match(lines[1]):
        return "\n".join([*lines[:2], *lines[-n_rows:]])
    start = (len(text) - MOST_LIVE) // STEP * STEP
    space = re.compile(r"\s").search(text, start, start + STEP) if start else None
    return text[space.end() if space else start :]


def language_of(info: str) -> str:
    """The language that stands behind a fence."""
    found = LANGUAGE.match(info.strip().lstrip("{. "))
    return found[0] if found else ""
