"""The terminal as it was before, whatever ends the program.

Who types or reads on a terminal changes it: no echo, no lines, bracketed paste, a hidden cursor. SIGTERM and SIGHUP
unwind the stack here, so that all of that is taken back, and the process ends with 128 and the signal's number.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

from llamachat.terminal.colour import DUMB

try:
    import termios
except ImportError:  # Windows: the console keeps its modes to itself
    termios = None  # type: ignore[assignment]

ENDINGS = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]

USUAL = "\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[0m"
"""No bracketed paste; wrapped lines, a cursor, no colours."""


def is_dumb() -> bool:
    """Whether the terminal knows no escape sequences, or is not known itself."""
    return os.environ.get("TERM", "dumb") in DUMB


@contextmanager
def kept_terminal() -> Iterator[None]:
    """Leaves the terminal as it is now, also when the block is left by an error or by a signal that ends the program.

    KeyboardInterrupt and EOFError are how a person leaves a line: there its modes are put back and no more is written.
    """
    modes, handlers = terminal_modes(), _hear_endings()
    try:
        yield
    except (KeyboardInterrupt, EOFError):
        raise
    except BaseException:
        _show_usual()
        raise
    finally:
        set_terminal_modes(modes)
        for number, handler in handlers.items():
            if signal.getsignal(number) is _end:  # a program that ends hears no second signal
                signal.signal(number, handler)


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


def _hear_endings() -> dict[signal.Signals, Any]:
    """Unwinds the stack on what ends the program; the handlers before. What nohup ignores stays ignored."""
    if current_thread() is not main_thread():
        return {}
    heard = [number for number in ENDINGS if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, _end) for number in heard}


def _end(number: int, _frame: FrameType | None) -> None:
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _show_usual() -> None:
    if sys.stdout is not None and not is_dumb():
        with suppress(OSError, ValueError):
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), USUAL.encode())
