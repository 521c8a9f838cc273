"""What a person types while the model speaks: not shown, not lost. The input line takes it afterwards."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from llamachat.terminal.restore import is_dumb, kept_terminal, set_terminal_modes, terminal_modes

try:
    import termios
except ImportError:  # Windows: the console remembers keys by itself
    termios = None  # type: ignore[assignment]


@contextmanager
def typing_unseen() -> Iterator[None]:
    """Around an answer: keys are kept as they are and do not appear in it; Ctrl+C and Ctrl+Z still work.

    A dumb terminal keeps its lines and its echo: the person sees nothing else of what is typed.
    """
    modes = terminal_modes()
    if modes is None or is_dumb():
        yield
        return
    with kept_terminal():
        keys = [*modes[:6], [*modes[6]]]
        keys[0] &= ~termios.ICRNL
        keys[3] = keys[3] & ~(termios.ECHO | termios.ICANON) | termios.ISIG | termios.NOFLSH
        keys[6][termios.VMIN], keys[6][termios.VTIME] = 1, 0
        set_terminal_modes(keys)
        yield


def forget_typed() -> None:
    """Drops what was typed until now, so that it answers no question that is only asked now."""
    if terminal_modes() is not None:
        with suppress(OSError, ValueError, termios.error):
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
