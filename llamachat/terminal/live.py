"""A few lines at the end of the screen that are drawn anew; what is above them is never touched."""

import re
import shutil
from collections.abc import Callable, Sequence

BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
"""Synchronized update: terminals that know it show all at once, others ignore it."""

STYLE = re.compile(r"\x1b\[[0-9;]*m")


class LiveArea:
    """Lines that `show` replaces. The cursor stays at the end of the last one."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._lines: list[str] = []

    def show(self, lines: Sequence[str]) -> None:
        """Draws the last lines that fit the screen in place of those before."""
        columns, height = shutil.get_terminal_size()
        kept: list[str] = []
        room = max(1, height - 1)
        for line in reversed(lines):
            room -= rows_of(line, columns)
            if room < 0:
                break
            kept.append(line)
        kept.reverse()
        if kept != self._lines:
            self._write(BEGIN + self._away() + "\n".join(kept) + END)
            self._lines = kept

    def replace(self, text: str) -> None:
        """Takes the lines away and writes a text that stays; it ends with a line break."""
        self._write(BEGIN + self._away() + text + END)
        self._lines = []

    def clear(self) -> None:
        """Takes the lines away."""
        if self._lines:
            self.replace("")

    def _away(self) -> str:
        """Moves to the first line and clears from there on."""
        if not self._lines:
            return ""
        columns = shutil.get_terminal_size().columns
        n_up = sum(rows_of(line, columns) for line in self._lines) - 1
        return "\r" + (f"\x1b[{n_up}A" if n_up else "") + "\x1b[J"


def rows_of(line: str, columns: int) -> int:
    """How many rows of the screen a line takes."""
    from rich.cells import cell_len  # what draws the lines measures them, too

    return max(1, -(-cell_len(STYLE.sub("", line)) // max(columns, 1)))
