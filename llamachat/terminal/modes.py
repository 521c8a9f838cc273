"""The modes of the terminal on standard input: echo, lines, keys that are signals."""

import os
import sys
from contextlib import suppress
from typing import Any

from llamachat.terminal.colour import DUMB

try:
    import termios
except ImportError:  # Windows: the console keeps its modes to itself
    termios = None  # type: ignore[assignment]

USUAL = "\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[0m"
"""No bracketed paste; wrapped lines, a cursor, no colours."""


def is_dumb() -> bool:
    """Whether the terminal knows no escape sequences, or is not known itself."""
    return os.environ.get("TERM", "dumb") in DUMB


def terminal_modes() -> list[Any] | None:
    """The modes of the terminal on standard input; None where that is none."""
    if termios is None or sys.stdin is None:
        return None
    try:
        return termios.tcgetattr(sys.stdin.fileno())
    except (OSError, ValueError, termios.error):
        return None


def set_terminal_modes(modes: list[Any] | None) -> None:
    """Puts modes of `terminal_modes` back. A terminal that is gone meanwhile needs none."""
    if modes is not None:
        with suppress(OSError, ValueError, termios.error):
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, modes)


def takes_lines(modes: list[Any]) -> bool:
    """Whether these modes are those of a terminal that edits and shows lines."""
    return bool(modes[3] & termios.ICANON and modes[3] & termios.ECHO)


def show_usual() -> None:
    """Puts cursor, wrapped lines and colours back."""
    if sys.stdout is not None and not is_dumb():
        with suppress(OSError, ValueError):
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), USUAL.encode())
