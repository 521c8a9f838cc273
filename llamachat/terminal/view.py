"""How an answer appears: Markdown drawn as it comes, or the raw text where that is better.

Finished blocks are printed once and belong to the scrollback from then on; only the unfinished one is drawn anew, some
times a second. `close` ends a view in every case.
"""

import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module

from llamachat.engine.events import Event
from llamachat.terminal.blocks import Block, Blocks, CodeEnd, CodeLine, Piece, tail
from llamachat.terminal.cleaning import Cleaner
from llamachat.terminal.code_block import code_foot, code_head
from llamachat.terminal.colour import DUMB
from llamachat.terminal.columns import wrapped
from llamachat.terminal.highlight import Highlighter
from llamachat.terminal.live import LiveArea, Pace, Screen
from llamachat.terminal.output import Output

MARKS_ONLY = re.compile(r"(?:[-=*+#>|`~ ]+|\s*(?:`{3,}|~{3,})[^`]*)$")
"""A line that may become a list, a fence or anything else: it is not drawn before it is known."""

FENCE_ONLY = re.compile(r"\s*(?:`+|~+)$")


class MarkdownView:
    """A sink that draws Markdown on a terminal."""

    def __init__(self, screen: Screen | None = None) -> None:
        self._screen = screen or Screen()
        self._cleaner, self._blocks, self._printer = Cleaner(), Blocks(), _Printer()
        self._live, self._pace = LiveArea(self._screen), Pace(self._screen.clock)
        self._stale = False

    def event(self, event: Event) -> None:
        """Takes the text that an event sets free: prints what it finishes, draws the rest when it is time."""
        finished = self._blocks.feed(self._cleaner.feed(event.text))
        self._stale = self._stale or bool(event.text)
        if finished or (self._stale and self._pace.due):
            self._draw(finished)

    def idle(self) -> None:
        """Draws what has not been drawn yet."""
        if self._stale:
            self._draw()

    def close(self) -> None:
        """Prints what is left."""
        finished = self._blocks.feed(self._cleaner.finish()) + self._blocks.finish()
        self._live.show((), self._printer.lines(finished, self._screen.size()[0]))
        self._stale = False

    def _draw(self, finished: Sequence[Piece] = ()) -> None:
        columns, height = self._screen.size()
        with self._pace.drawing():
            done = self._printer.lines(finished, columns)
            self._live.show(self._printer.preview(_decided(self._blocks.rest, height), columns), done)
        self._stale = False


class _Printer:
    """Blocks and lines of code as lines of the screen, with an empty line between blocks."""

    def __init__(self) -> None:
        self._begun = False
        self._code = Highlighter("")

    def lines(self, pieces: Sequence[Piece], columns: int) -> list[str]:
        """What is finished."""
        lines: list[str] = []
        for piece in pieces:
            if isinstance(piece, CodeEnd):
                shown = [*([code_head(piece.language, columns)] if piece.first else []), code_foot(columns)]
            elif isinstance(piece, CodeLine):
                self._code = self._of(piece)
                shown = [*self._head(piece, columns), self._code.line(piece.text)]
            else:
                shown = _block_lines(piece.text, columns)
            lines += self._parted(piece, shown)
            self._begun = True
        return lines

    def preview(self, piece: Block | CodeLine, columns: int) -> list[str]:
        """What is not finished."""
        if isinstance(piece, CodeLine):
            is_known = piece.text.strip() and not FENCE_ONLY.match(piece.text)
            said = [self._of(piece).preview(piece.text)] if is_known else []
            return self._parted(piece, [*self._head(piece, columns), *said])
        if not piece.text.strip():
            return []
        return self._parted(piece, _block_lines(piece.text, columns))

    def _head(self, piece: CodeLine, columns: int) -> list[str]:
        return [code_head(piece.language, columns)] if piece.first else []

    def _of(self, piece: CodeLine) -> Highlighter:
        return Highlighter(piece.language) if piece.first else self._code

    def _parted(self, piece: Piece, lines: list[str]) -> list[str]:
        continues = piece.continues if isinstance(piece, Block) else not piece.first
        return ["", *lines] if lines and self._begun and not continues else lines


def answer_view(output: Output, plain: bool = False) -> Output | MarkdownView:
    """What an answer is written to: Markdown where that is welcome and can be drawn, else the raw text."""
    can_draw = output.is_terminal and os.environ.get("TERM", "dumb") not in DUMB
    return output if plain or not can_draw or not _has_signs() else MarkdownView()


def prepare_views() -> None:
    """Loads what drawing needs, so that the first answer does not wait for it."""
    import_module("llamachat.terminal.markdown")


def _block_lines(text: str, columns: int) -> list[str]:
    from llamachat.terminal.markdown import markdown_lines  # a parser, 40 ms

    try:
        return markdown_lines(text, columns)
    except Exception:  # whatever a library makes of a strange text, the answer continues
        return wrapped(text, columns)


def _decided(rest: Block | CodeLine, height: int) -> Block | CodeLine:
    """What is not finished, as much as fits, without a last line of which nothing is known yet."""
    if isinstance(rest, CodeLine):
        return rest
    before, _, line = rest.text.rpartition("\n")
    return Block(tail(before if MARKS_ONLY.match(line) else rest.text, height), rest.continues)


def _has_signs() -> bool:
    """Whether standard output's encoding has bullets and lines."""
    return "utf" in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
