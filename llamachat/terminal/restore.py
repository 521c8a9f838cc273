"""The terminal as it was before, whatever ends the program.

Who types or reads on a terminal changes it: no echo, no lines, bracketed paste, a hidden cursor. Whatever leaves the
block, SIGTERM and SIGHUP among it (`endings.py`), takes all of that back.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from llamachat.terminal.colour import DUMB
from llamachat.terminal.endings import Leave, hear_endings, raise_at_once, unhear_endings

try:
    import termios
except ImportError:  # Windows: the console keeps its modes to itself
    termios = None  # type: ignore[assignment]

USUAL = "\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[0m"
"""No bracketed paste; wrapped lines, a cursor, no colours."""


def is_dumb() -> bool:
    """Whether the terminal knows no escape sequences, or is not known itself."""
    return os.environ.get("TERM", "dumb") in DUMB


@contextmanager
def kept_terminal(leave: Leave = raise_at_once) -> Iterator[None]:
    """Leaves the terminal as it is now, also when the block is left by an error or by a signal that ends the program.

    leave: what raises the end that a signal asks for, where it cannot be raised anywhere.
    KeyboardInterrupt and EOFError are how a person leaves a line: there its modes are put back and no more is written.
    """
    modes, handlers = terminal_modes(), hear_endings(leave)
    try:
        yield
    except (KeyboardInterrupt, EOFError):
        raise
    except BaseException:
        _show_usual()
        raise
    finally:
        set_terminal_modes(modes)
        unhear_endings(handlers)


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


def _show_usual() -> None:
    if sys.stdout is not None and not is_dumb():
        with suppress(OSError, ValueError):
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), USUAL.encode())
