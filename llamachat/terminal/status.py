"""A status line on standard error for work that takes time; only where standard error is a terminal."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TextIO

from llamachat.terminal.colour import DUMB
from llamachat.terminal.columns import cut, terminal_size
from llamachat.terminal.output import is_quiet
from llamachat.terminal.sanitize import clean_line

PATIENCE_S = 1.0
"""Work with a known end that takes less than this shows no bar."""

REDRAW_S = 0.05
BAR = 24


class Status:
    """A line that is written over: `show` a sentence, `progress` a bar, `clear` it. Any thread may call any of them."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        known = os.environ.get("TERM", "dumb") not in DUMB
        self.enabled = self._stream is not None and self._stream.isatty() and known and not is_quiet()
        self._lock = Lock()
        self._shown = False
        self._begun: float | None = None
        self._drawn = 0.0

    def show(self, sentence: str) -> None:
        """Writes the sentence over the line, without control bytes, cut to the terminal's width."""
        if not self.enabled:
            return
        with self._lock:
            width = max(10, terminal_size(self._stream)[0] - 1)
            self._shown = True  # before it is true: a Ctrl+C in between leaves no line behind
            self._stream.write(f"\r\x1b[K{cut(clean_line(sentence), width)[0]}")
            self._stream.flush()

    def clear(self) -> None:
        """Removes the line, if there is one; the next progress waits `patience_s` again."""
        self._begun = None
        with self._lock:
            if self._shown:
                self._stream.write("\r\x1b[K")
                self._stream.flush()
                self._shown = False

    def progress(self, what: str, done: int, total: int, patience_s: float = PATIENCE_S) -> None:
        """Shows how far the work is, once it has taken longer than `patience_s`; `clear` ends it.

        The first call starts the clock. The bar first appears when what is done says that the whole takes longer.
        """
        now = time.monotonic()
        if self._begun is None:
            self._begun = now
        elapsed = now - self._begun
        expected = elapsed * total / done if done else elapsed
        if expected < patience_s or (now - self._drawn < REDRAW_S and done < total):
            return
        self._drawn = now
        filled = BAR * done // max(total, 1)
        left = f" {expected - elapsed:.0f} s left" if done and elapsed > patience_s else ""
        self.show(f"{what} [{'#' * filled}{'.' * (BAR - filled)}] {100 * done // max(total, 1)} %{left}")

    @contextmanager
    def during(self, sentence: str) -> Iterator[None]:
        """Shows the sentence while the block runs."""
        try:
            self.show(sentence)
            yield
        finally:
            self.clear()
