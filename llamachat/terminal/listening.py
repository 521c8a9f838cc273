"""What is typed while an answer is written is read at once: Esc stops the answer, all else waits for the next line.

Keys are kept as bursts. What comes at once was pasted, or is one key of several bytes; between the keys of a person
there is a moment.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from select import select
from threading import Event, Thread

from llamachat.endings import wait_through

BURST_S = 0.05
"""Keys that come within this time after others belong to them."""

ESC = b"\x1b"

_received: list[bytes] = []


def take_received() -> list[bytes]:
    """The bursts since the last time, each as the terminal sent it. b"" is the end of the input."""
    taken, _received[:] = list(_received), []
    return taken


class Listener:
    """A thread that reads the keyboard. stop: called in that thread when Esc alone is pressed."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._end: int | None = None
        self._ended = Event()

    def begin(self) -> None:
        """Reads from now on."""
        keyboard, (ended, self._end) = sys.stdin.fileno(), os.pipe()
        self._ended.clear()
        Thread(target=self._run, args=(keyboard, ended), name="llamachat-listening", daemon=True).start()

    def end(self) -> None:
        """Reads nothing any more when it returns, also when Ctrl+C came meanwhile."""
        end, self._end = self._end, None
        if end is not None:
            os.close(end)
            wait_through(self._ended)

    def _run(self, keyboard: int, ended: int) -> None:
        try:
            _listen(keyboard, ended, self._stop)
        finally:
            os.close(ended)
            self._ended.set()


def _listen(keyboard: int, ended: int, stop: Callable[[], None]) -> None:
    """Reads until the other end of `ended` is closed, or the terminal is gone."""
    last = float("-inf")
    with suppress(OSError, ValueError):
        while ended not in select([keyboard, ended], [], [], None)[0]:
            if not _is_ours(keyboard):  # reading another's terminal would stop the program
                select([ended], [], [], BURST_S)
                continue
            piece = os.read(keyboard, 65536)
            if piece and _received and time.monotonic() - last < BURST_S:
                _received[-1] += piece
            else:
                _received.append(piece)
            last = time.monotonic()
            if not piece:
                return
            if piece.endswith(ESC) and not select([keyboard, ended], [], [], BURST_S)[0]:
                _escaped(stop)
                last = float("-inf")


def _escaped(stop: Callable[[], None]) -> None:
    """Esc was pressed alone. After typed words it stays in the input, where it is a key of vi."""
    _received[-1] = _received[-1].removesuffix(ESC)
    if not _received[-1]:
        _received.pop()
    if _received and not _received[-1].endswith((b"\r", b"\n")):
        _received.append(ESC)
    stop()


def _is_ours(keyboard: int) -> bool:
    """Whether the program may read the terminal: in the background it may not."""
    try:
        return os.tcgetpgrp(keyboard) == os.getpgrp()
    except OSError:
        return True
