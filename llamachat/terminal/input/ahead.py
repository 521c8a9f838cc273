"""What a person types while the model speaks: not shown, not lost, there when the next line is read."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from select import select

from prompt_toolkit.input import Input
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys

from llamachat.terminal.restore import is_dumb, kept_terminal, set_terminal_modes, terminal_modes

try:
    import termios
except ImportError:  # Windows: the console remembers keys by itself
    termios = None  # type: ignore[assignment]

COOKED = {Keys.ControlJ: KeyPress(Keys.ControlM, "\r"), Keys.ControlAt: KeyPress(Keys.ControlD, "\x04")}
"""Keys that a terminal with lines turns into others: Enter into a newline, Ctrl+D into a null byte."""


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


def take_typed(source: Input) -> None:
    """What was typed until now becomes the first keys of the next line."""
    keys: list[KeyPress] = []
    with source.raw_mode():
        while not source.closed and is_waiting(source, 0):
            keys += source.read_keys()
    keys += source.flush_keys()
    typed = [COOKED.get(key.key, key) for key in keys if key.key != Keys.CPRResponse]  # type: ignore[call-overload]
    store_typeahead(source, typed)


def is_waiting(source: Input, seconds: float) -> bool:
    """Whether there is more to read, now or soon."""
    if sys.platform == "win32":
        return False
    try:
        return bool(select([source.fileno()], [], [], seconds)[0])
    except (OSError, ValueError):
        return False
