"""The line of a terminal without keys of its own, TERM=dumb: the terminal edits it, Enter sends."""

import io
import sys
from select import select

from llamachat.terminal.input.labels import PROMPT
from llamachat.terminal.input.message import Typed, going_on, typed_of
from llamachat.terminal.input.settings import InputSettings
from llamachat.terminal.output import write
from llamachat.terminal.sanitize import clean

CONTINUATION = "  "

BURST_S = 0.02
"""Lines that come so soon after one another were pasted: they are one message."""


class PlainReader:
    """Reads messages in lines. Calling it raises KeyboardInterrupt for Ctrl+C and EOFError at the end of the input."""

    def __init__(self, settings: InputSettings) -> None:
        self._settings = settings
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")  # bytes that are no UTF-8 are no reason to end

    def __call__(self, draft: str = "") -> Typed:
        """What is typed next. draft: a message that cannot stand in the line; it is shown above."""
        if draft:
            write(f"{clean(draft)}\n")
        write(PROMPT)
        text = _line()
        if text is None:
            raise EOFError
        pasted = False
        while True:
            more = None if pasted else going_on(text)
            if more is None and not _comes_more():
                return Typed(text, literal=True) if pasted else typed_of(text)
            if more is not None:
                write(CONTINUATION)
            line = _line()
            if line is None:
                return Typed(text, literal=True) if pasted else typed_of(text)
            pasted = pasted or more is None
            text = (f"{text}\n" if more is None else more) + line


def _line() -> str | None:
    line = sys.stdin.readline() if sys.stdin is not None else ""
    return line.rstrip("\r\n") if line else None


def _comes_more() -> bool:
    """Whether another line is there already."""
    try:
        return bool(select([sys.stdin], [], [], BURST_S)[0])
    except (OSError, ValueError):  # Windows selects sockets only
        return False
