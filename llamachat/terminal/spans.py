"""Text in several looks, and how it becomes rows: broken between words, never losing a character."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

from llamachat.terminal.columns import columns_of
from llamachat.terminal.theme import RESET

_OPENING = "「『（［｛〈《【〔〖〘“‘"
_CLOSING = "、。，．！？：；）］｝〉》」』】〕〗〙”’…・ー々〜％"
_WIDE = "\u2e80-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\U00020000-\U0003fffd"
_UNIT = re.compile(rf"(\s*)([{_OPENING}]*(?:[{_WIDE}]|[^\s{_WIDE}]+)?[{_CLOSING}]*)")
"""What a row is not broken within: a word, or one character of a script without spaces, and the marks around it."""


class Span(NamedTuple):
    """A piece of text. look: the sequence that begins it; link: its address, made harmless; whole: in one piece."""

    text: str
    look: str = ""
    link: str = ""
    whole: bool = False


Row = Sequence[Span]


def plain(spans: Row) -> str:
    """The text alone."""
    return "".join(span.text for span in spans)


def rows_of(spans: Row, columns: int) -> list[Row]:
    """The spans in rows of at most `columns` columns; what must stay whole may be longer, on a row of its own."""
    text = plain(spans)
    places, at = [], 0
    for span in spans:
        if span.whole:
            places.append((at, at + len(span.text)))
        at += len(span.text)
    return [_sliced(spans, *place) for place in _breaks(text, max(1, columns), places)]


def painted_row(spans: Row) -> str:
    """The spans as the terminal gets them, without spaces at the end."""
    text = plain(spans)
    spans = _sliced(spans, 0, len(text.rstrip(" ")))
    return "".join(_painted(span) for span in spans)


def longest_unit(spans: Row, most: int) -> int:
    """Columns of the widest part that stays in one row; one that may be broken counts as `most` at most."""
    wholes = [columns_of(span.text) for span in spans if span.whole]
    words = [columns_of(found[2]) for found in _UNIT.finditer(plain(spans))]
    return max([min(most, max(words, default=0)), *wholes])


def _painted(span: Span) -> str:
    text = f"{span.look}{span.text}{RESET}" if span.look else span.text
    if not span.link:
        return text
    return f"\x1b]8;id={crc32(span.link.encode()):x};{span.link}\x1b\\{text}\x1b]8;;\x1b\\"


def _sliced(spans: Row, start: int, end: int) -> Row:
    found, at = [], 0
    for span in spans:
        piece = span.text[max(0, start - at) : max(0, end - at)]
        at += len(span.text)
        if piece:
            found.append(span._replace(text=piece))
    return found


def _breaks(text: str, columns: int, wholes: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Where rows begin and end. Spaces at a break belong to no row."""
    at = 0
    for line in text.split("\n"):
        begun, end, used = at, at, 0
        for found in _UNIT.finditer(text, at, at + len(line)):
            width = columns_of(found[0])
            if used + width <= columns or not width:
                end, used = found.end(), used + width
                continue
            if used:
                yield begun, end
            begun = found.start(2) if used else found.start()
            end, used = found.end(), columns_of(text[begun : found.end()])
            if used > columns and not any(begun < last and first < end for first, last in wholes):
                for place in _cuts(text, begun, end, columns):
                    begun, end = place
                    if end < found.end():
                        yield place
                used = columns_of(text[begun:end])
        yield begun, end
        at += len(line) + 1


def _cuts(text: str, begun: int, end: int, columns: int) -> Iterator[tuple[int, int]]:
    """A part that is too long for a row, cut between characters; one without columns stays with those before it."""
    used = 0
    for at in range(begun, end):
        width = columns_of(text[at])
        if used and width and used + width > columns:
            yield begun, at
            begun, used = at, 0
        used += width
    yield begun, end
