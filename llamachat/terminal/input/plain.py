"""The line of a terminal without keys of its own, TERM=dumb: the terminal edits it, Enter sends."""

import io
import sys
from select import select

from llamachat.terminal.input.labels import PROMPT
from llamachat.terminal.input.message import Typed, going_on, typed_of
from llamachat.terminal.input.settings import InputSettings
from llamachat.terminal.listening import take_received
from llamachat.terminal.output import write
from llamachat.terminal.sanitize import clean

CONTINUATION = "  "

BURST_S = 0.02
"""Lines that come so soon after one another were pasted: they are one message."""


class PlainReader:
    """Reads messages in lines. Calling it raises KeyboardInterrupt for Ctrl+C and EOFError at the end of the input."""

    def __init__(self, settings: InputSettings) -> None:
        self._settings = settings
        self._received: list[bytes] = []
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")  # bytes that are no UTF-8 are no reason to end

    def __call__(self, draft: str = "") -> Typed:
        """What is typed next. draft: a message that cannot stand in the line; it is shown above."""
        if draft:
            write(f"{clean(draft)}\n")
        write(PROMPT)
        self._received += take_received()
        lines = self._next()
        if lines is None:
            raise EOFError
        text = lines.pop(0)
        while (more := going_on(text)) is not None:
            if not lines:
                write(CONTINUATION)
                lines = self._next() or []
            if not lines:
                break
            text = more + lines.pop(0)
        return Typed("\n".join([text, *lines]), literal=True) if lines else typed_of(text)

    def _next(self) -> list[str] | None:
        """The next line, or those that came with it: they were pasted. None at the end of the input."""
        if self._received:
            burst = self._received.pop(0)
            lines = burst.decode("utf-8", "replace").splitlines()
            write("".join(f"{clean(line)}\n" for line in lines))
            return lines or None
        first = _line()
        if first is None:
            return None
        lines = [first]
        while _comes_more() and (line := _line()) is not None:
            lines.append(line)
        return lines


def _line() -> str | None:
    line = sys.stdin.readline() if sys.stdin is not None else ""
    return line.rstrip("\r\n") if line else None


def _comes_more() -> bool:
    """Whether another line is there already."""
    try:
        return bool(select([sys.stdin], [], [], BURST_S)[0])
    except (OSError, ValueError):  # Windows selects sockets only
        return False
