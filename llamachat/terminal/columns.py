"""How many columns a text takes on a terminal, and lines that are cut or wrapped to a number of them.

Terminals do not agree on flags, families and other emoji of several characters: some draw one, others each part. Here
the larger number counts, so that no terminal breaks a line where this program does not know of it.
"""

import os
import re
import shutil
import sys
from typing import TextIO

STYLE = re.compile(r"\x1b(?:\[[0-9;]*m|\]8;[^\x07\x1b]*\x1b\\)")
"""What a line may have besides text: looks, and links (OSC 8)."""

RESET, _UNLINKED = "\x1b[0m", "\x1b]8;;\x1b\\"
_PAIR = re.compile(r"(\s*\S.*?\s{2,})(\S.*)")
"""A name and, after a gap, what it means."""

NARROW = 4
"""Indentation of a meaning below its name, where there is no room beside it."""

_WORD = re.compile(r"\s*\S+")
_WIDTHS = {**dict.fromkeys((*range(0x1F1E6, 0x1F200), *range(0x1F3FB, 0x1F400)), 2), 0xFE0F: 1}
"""Columns by character: flags' letters, skin colours, the sign that makes a picture, and what was asked for before."""


def columns_of(text: str) -> int:
    """The most columns that a terminal gives to a text without escape sequences."""
    if text.isascii():
        return len(text)
    return sum(_columns(ord(character)) for character in text)


def shortened(text: str, columns: int) -> str:
    """The text in at most `columns` columns; an ellipsis stands for what is left out."""
    if columns_of(text) <= columns:
        return text
    while text and columns_of(text) >= columns:
        text = text[:-1]
    return f"{text}…"


def cut(line: str, columns: int) -> list[str]:
    """A line, which may have colours, as rows of at most `columns` columns; each row has its colours to itself."""
    if columns_of(STYLE.sub("", line)) <= columns:
        return [line]
    rows, row, room, style, link = [], "", columns, "", ""
    for piece in re.split(f"({STYLE.pattern})", line):
        if piece.startswith("\x1b"):
            if piece.startswith("\x1b]"):
                link = "" if piece == _UNLINKED else piece
            else:
                style = "" if piece == RESET else style + piece
            row += piece
            continue
        for character in piece:
            width = _columns(ord(character))
            if width > room and room < columns:
                rows.append(row + (RESET if style else "") + (_UNLINKED if link else ""))
                row, room = link + style, columns
            row += character
            room -= width
    return [*rows, row]


def padded(text: str, columns: int, right: bool = False, fill: str = " ") -> str:
    """The text with `fill` up to `columns` columns, behind it or (right) before it; a longer one as it is."""
    space = fill * (columns - columns_of(text))
    return space + text if right else text + space


def wrapped(text: str, columns: int, whole: bool = False) -> list[str]:
    """A text without colours in rows of at most `columns` columns, broken between words where that is possible.

    whole: an ASCII word that is too long for a row stays whole in one of its own: a path is copied in one piece.
    """
    return [row for line in text.split("\n") for row in _rows(line, columns, "", "", whole)]


def filled(text: str, columns: int, indent: str = "", hanging: str | None = None) -> list[str]:
    """A paragraph in rows of at most `columns` columns, broken between words; its line breaks count as blanks.

    indent: what the first row begins with; hanging: what the others begin with, by default the same.
    """
    line = re.sub(r"\s", " ", text).strip()
    return _rows(line, columns, indent, indent if hanging is None else hanging) if line else []


def _rows(line: str, columns: int, indent: str, hanging: str, whole: bool = False) -> list[str]:
    rows, row, before = [], indent, indent
    for word in _WORD.findall(line):
        if columns_of(row) + columns_of(word) <= columns:
            row += word
            continue
        if row != before:
            rows.append(row)
            before, word = hanging, word.lstrip()
        *full, rest = [word] if whole and word.isascii() else cut(word, max(1, columns - columns_of(before)))
        for part in full:
            rows.append(before + part)
            before = hanging
        row = before + rest
    return [*rows, row]


def set_out(text: str, columns: int) -> list[str]:
    """As `wrapped`, with whole words; text after a gap continues below itself, so that a list of meanings stays one."""
    rows: list[str] = []
    for line in text.split("\n"):
        pair = _PAIR.fullmatch(line)
        if pair is None or columns_of(line) <= columns:
            rows += wrapped(line, columns, whole=True)
            continue
        name, indent = pair[1], columns_of(pair[1])
        if 2 * indent > columns:
            rows += wrapped(name.rstrip(), columns, whole=True)
            name, indent = "", NARROW if columns > 4 * NARROW else 0
        meaning = wrapped(pair[2], max(1, columns - indent), whole=True)
        rows += [(" " * indent if number or not name else name) + row for number, row in enumerate(meaning)]
    return rows


def terminal_size(stream: TextIO | None = None) -> tuple[int, int]:
    """Columns and lines of the terminal that a stream is, by default standard output.

    COLUMNS may make it narrower, never wider than it is. It counts as it is where the stream is no terminal.
    """
    wanted = shutil.get_terminal_size()
    try:
        columns, lines = os.get_terminal_size((stream or sys.stdout).fileno())
    except (AttributeError, OSError, ValueError):
        return wanted.columns, wanted.lines
    return min(columns or wanted.columns, wanted.columns), lines or wanted.lines


def _columns(code: int) -> int:
    width = _WIDTHS.get(code)
    if width is None:
        from wcwidth import wcwidth  # what draws the input line measures it so, too

        width = _WIDTHS[code] = max(0, wcwidth(chr(code)))
    return width
