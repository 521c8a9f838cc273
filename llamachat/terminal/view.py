"""How an answer appears: Markdown drawn as it comes, or the raw text where that is better.

Finished blocks are printed once and belong to the scrollback from then on; only the unfinished one is drawn anew, some
times a second. `close` ends a view in every case.
"""

import shutil
import time
from collections.abc import Callable

from llamachat.engine.events import Event
from llamachat.terminal.blocks import Block, Blocks, CodeLine
from llamachat.terminal.live import LiveArea
from llamachat.terminal.output import Output, wants_colour, write
from llamachat.terminal.sanitize import clean

REDRAW_S = 0.1
SHARE = 60
"""After a drawing so many times its duration pass until the next, so that drawing takes 2 % of the time at most."""

WIDEST = 100
"""Columns of running text; longer lines are hard to read."""


class PlainView:
    """The raw text, as `Output` writes it."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.is_terminal = output.is_terminal

    def event(self, event: Event) -> None:
        """Writes the text that an event sets free."""
        self._output.event(event)

    def write(self, text: str) -> None:
        """Writes a piece."""
        self._output.write(text)

    def idle(self) -> None:
        """Nothing has come for a while."""

    def end_line(self) -> None:
        """Writes a line break, unless there is one."""
        self._output.end_line()

    def close(self) -> None:
        """The end of the answer."""


class MarkdownView(PlainView):
    """Markdown on a terminal."""

    def __init__(self, output: Output, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(output)
        self._blocks, self._live, self._clock = Blocks(), LiveArea(write), clock
        self._begun = self._in_code = self._stale = False
        self._due = float("-inf")

    def event(self, event: Event) -> None:
        """Takes the text that an event sets free."""
        self.write(event.text)

    def write(self, text: str) -> None:
        """Takes a piece: prints what it finishes, draws the rest when it is time."""
        if not text:
            return
        self._print(self._blocks.feed(clean(text)))
        self._stale = True
        if self._clock() >= self._due:
            self._draw()

    def idle(self) -> None:
        """Draws what has not been drawn yet."""
        if self._stale:
            self._draw()

    def end_line(self) -> None:
        """Ends the answer, whose last line always ends with a break."""
        self.close()

    def close(self) -> None:
        """Prints what is left."""
        self._print(self._blocks.finish())
        self._live.clear()

    def _print(self, pieces: list[Block | CodeLine]) -> None:
        if not pieces:
            return
        lines: list[str] = []
        for piece in pieces:
            code = isinstance(piece, CodeLine)
            if self._begun and not (code and self._in_code and not piece.first):  # type: ignore[union-attr]
                lines.append("")
            lines += self._rendered(piece)
            self._begun, self._in_code = True, code
        self._live.replace("\n".join(lines) + "\n")

    def _rendered(self, piece: Block | CodeLine) -> list[str]:
        from llamachat.terminal.markdown import code_line, markdown_lines  # rich, 100 ms

        if isinstance(piece, CodeLine):
            return [code_line(piece.text, piece.language)]
        return markdown_lines(piece.text, min(WIDEST, shutil.get_terminal_size().columns))

    def _draw(self) -> None:
        rest, begun = self._blocks.rest, time.perf_counter()
        if self._blocks.code:
            lines = [rest] if rest else []
        else:
            lines = self._rendered(Block(rest)) if rest.strip() else []
            if lines and self._begun:
                lines.insert(0, "")
        self._live.show(lines)
        self._stale = False
        self._due = self._clock() + max(REDRAW_S, SHARE * (time.perf_counter() - begun))


def answer_view(output: Output, plain: bool = False) -> PlainView:
    """What an answer is written to: Markdown where that is welcome, else the raw text."""
    if plain or not output.is_terminal or not wants_colour(True):
        return PlainView(output)
    return MarkdownView(output)
