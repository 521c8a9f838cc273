"""A terminal for views: a screen with its history, whose clock runs and whose size changes as a test says."""

import pyte

from llamachat.terminal.live import Screen

DRAWINGS = r"\x1b\[(\?2026[hl]|\?7[hl]|[0-9;]*m|\d+A|K)|\r|\n"
"""All that a view may send besides text."""


class Terminal:
    """What a view writes to. Every look at the clock takes `step` seconds.

    By default so many that every piece is drawn, however slow the machine is.
    """

    def __init__(self, columns=60, rows=12, step=1000.0):
        self.pyte = pyte.HistoryScreen(columns, rows, history=5000, ratio=1)
        self.stream, self.raw, self.now, self.step = pyte.Stream(self.pyte), "", 0.0, step
        self.size = columns, rows
        self.screen = Screen(self.write, lambda: self.size, self.clock)

    def clock(self):
        self.now += self.step
        return self.now

    def write(self, text):
        self.raw += text
        self.stream.feed(text.replace("\n", "\r\n"))

    def resize(self, columns, rows):
        self.size = columns, rows
        self.pyte.resize(rows, columns)

    @property
    def scrolled(self):
        return [self._text(line) for line in self.pyte.history.top]

    @property
    def shown(self):
        return [line.rstrip() for line in self.pyte.display]

    @property
    def lines(self):
        """All there is, from the first line on, without empty ones at the end."""
        lines = self.scrolled + self.shown
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _text(self, line):
        return "".join(line[column].data for column in range(max([*line, -1]) + 1)).rstrip()
