"""The terminal as it was before, whatever ends the program.

Who types or reads on a terminal changes it: no echo, no lines, bracketed paste, a hidden cursor. Whatever leaves the
block, SIGTERM and SIGHUP among it (`endings.py`), takes all of that back. So does Ctrl+Z (`suspend.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llamachat.endings import Leave, handle_termination, raise_at_once, restore_handlers
from llamachat.terminal.modes import is_dumb as is_dumb
from llamachat.terminal.modes import set_terminal_modes as set_terminal_modes
from llamachat.terminal.modes import show_usual
from llamachat.terminal.modes import terminal_modes as terminal_modes
from llamachat.terminal.suspend import suspendable


@contextmanager
def kept_terminal(leave: Leave = raise_at_once, back: Callable[[], None] | None = None) -> Iterator[None]:
    """Restores the terminal after the block as it is now, also after an error or a signal that ends the program.

    leave: what raises the end that a signal asks for, where it cannot be raised anywhere. back: called when the program
    continues after Ctrl+Z.
    KeyboardInterrupt and EOFError are how a person leaves a line: there its modes are put back and no more is written.
    """
    modes, handlers = terminal_modes(), handle_termination(leave)
    try:
        with suspendable(modes, back):
            try:
                yield
            finally:  # before a Ctrl+Z is the system's again
                set_terminal_modes(modes)
    except (KeyboardInterrupt, EOFError):
        raise
    except BaseException:
        show_usual()
        raise
    finally:
        set_terminal_modes(modes)
        restore_handlers(handlers)


@contextmanager
def lent_terminal() -> Iterator[None]:
    """Around a program that has the terminal for itself, as an editor: afterwards the modes are restored."""
    modes = terminal_modes()
    with suspendable(modes, is_lent=True):
        try:
            yield
        finally:
            set_terminal_modes(modes)
