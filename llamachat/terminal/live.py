"""A few rows at the end of the screen that change; what is above them is never touched.

Only rows that differ are written again, over what stands there, so that nothing flickers. The rows are never wider
than the screen and never fill it: what has scrolled away is not reached.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from llamachat.terminal.columns import STYLE, columns_of, cut, terminal_size
from llamachat.terminal.output import write
from llamachat.terminal.suspend import n_returns

BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
"""Synchronized update: terminals that know it show all at once, others ignore it."""

UNWRAPPED, WRAPPED = "\x1b[?7l", "\x1b[?7h"
"""Where a terminal finds a character wider than was thought, the row is cut and does not become two."""

REDRAW_S = 0.07
SHARE = 100
"""The pause after a drawing, in multiples of its duration: drawing takes 1 % of the time at most."""


@dataclass(frozen=True)
class Screen:
    """The terminal: how to write to it, its columns and lines, and the time there."""

    write: Callable[[str], None] = write
    size: Callable[[], tuple[int, int]] = terminal_size
    clock: Callable[[], float] = time.monotonic


class Pace:
    """Says when to draw again."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._next = clock, float("-inf")

    @property
    def due(self) -> bool:
        """Whether it is time."""
        return self._clock() >= self._next

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Around a drawing, whose duration counts."""
        begun = time.perf_counter()
        yield
        self._next = self._clock() + max(REDRAW_S, SHARE * (time.perf_counter() - begun))


class LiveArea:
    """Rows that `show` replaces. The cursor stays at the end of the last one, or below what is finished."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._rows: list[str] = []
        self._size = (0, 0)
        self._n_returns = n_returns()

    def show(self, live: Sequence[str], done: Sequence[str] = ()) -> None:
        """Puts `done`, lines that stay, in place of the rows, and below them as much of the end of `live` as fits."""
        size = self._screen.size()
        if self._n_returns != n_returns():  # other words stand there now
            self._n_returns, self._rows = n_returns(), []
        rows = [row for line in live for row in cut(line, size[0])][-max(1, size[1] - 1) :]
        if not done and rows == self._rows and (size == self._size or not rows):
            return
        change = _Change(self._rows, [*done, *rows], len(rows), size[0])
        text = change.text() if size == self._size else self._after_resize(size) + change.whole()
        self._screen.write(f"{BEGIN}{text}{END}")
        self._rows, self._size = rows, size  # a Ctrl+C in between leaves a row too many, never one too few

    def clear(self) -> None:
        """Takes the rows away."""
        self.show(())

    def _after_resize(self, size: tuple[int, int]) -> str:
        """Empties the rows where they are now, and goes to the first."""
        n_rows = len(self._rows)
        if size[0] < self._size[0] and _reflows():
            n_rows = sum(len(cut(row, size[0])) for row in self._rows)
        return _erased(min(n_rows, size[1])) if n_rows else ""


@dataclass(frozen=True)
class _Change:
    """From rows on the screen to other lines, of which the last `n_live` are rows again."""

    rows: Sequence[str]
    lines: Sequence[str]
    n_live: int
    columns: int

    def text(self) -> str:
        """What to write at the end of the last row."""
        kept = self._kept()
        n_over = len(self.rows) - kept
        if not self.rows:
            return self.whole()
        if not n_over:
            return "\n" + self._written(kept)
        widths = [columns_of(STYLE.sub("", line)) for line in self.lines[kept:]]
        if len(widths) < n_over or max(widths, default=0) > self.columns:
            return _erased(n_over) + self._written(kept)
        over = [_over(line, width < self.columns)
                for line, width in zip(self.lines[kept:], widths[:n_over], strict=False)]  # fmt: skip
        return up(n_over - 1) + self._written(kept, over)

    def whole(self) -> str:
        """All lines, written where there is nothing."""
        return self._written(0)

    def _kept(self) -> int:
        """How many rows stay as they are. The last live one is written in any case: the cursor ends there."""
        same = 0
        for row, line in zip(self.rows, self.lines, strict=False):
            if row != line:
                break
            same += 1
        return min(same, len(self.lines) - 1) if self.n_live else same

    def _written(self, first: int, over: Sequence[str] = ()) -> str:
        lines = [*over, *self.lines[first + len(over) :]]
        n_live = min(self.n_live, len(lines))
        done, live = lines[: len(lines) - n_live], "\n".join(lines[len(lines) - n_live :])
        kept_whole = "".join(f"{line}\n" for line in done)
        return kept_whole + (live if live.isascii() else UNWRAPPED + live + WRAPPED)


def up(n_rows: int) -> str:
    """To the beginning of the row that is `n_rows` rows above."""
    return "\r" + (f"\x1b[{n_rows}A" if n_rows > 0 else "")


def _erased(n_rows: int) -> str:
    """Empties the last rows, one by one, and goes to the first: tmux keeps a copy of a screen that is cleared whole."""
    return up(n_rows - 1) + "\n".join(["\x1b[K"] * n_rows) + up(n_rows - 1)


def _over(line: str, is_short: bool) -> str:
    """A line that takes the place of another. Behind a full one the cursor has no column of its own to clear from."""
    return f"{line}\x1b[K" if is_short else f"\x1b[K{line}"


def _reflows() -> bool:
    """Whether the terminal wraps its rows anew when it becomes narrower: most do, a few just cut them off."""
    there = os.environ
    if "TMUX" in there:
        return True
    return not ("XTERM_VERSION" in there or "STY" in there or there.get("TERM") == "linux")
