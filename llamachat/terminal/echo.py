"""What a person types while the model answers: not shown, not lost. The next input line gets it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from llamachat.terminal.listening import Listener
from llamachat.terminal.restore import is_dumb, kept_terminal, set_terminal_modes, terminal_modes
from llamachat.terminal.stream import forget_stop, stop_streams

try:
    import termios
except ImportError:  # Windows: the console remembers keys by itself
    termios = None  # type: ignore[assignment]


class _Unseen:
    """Keys that are not shown. modes: the terminal's modes before."""

    def __init__(self, modes: list[Any]) -> None:
        self._modes = modes
        self._listener = Listener(stop_streams)

    def begin(self) -> None:
        """A dumb terminal keeps its lines and its echo: the person sees nothing else of what is typed."""
        if not is_dumb():
            keys = [*self._modes[:6], [*self._modes[6]]]
            keys[0] &= ~termios.ICRNL
            keys[3] = keys[3] & ~(termios.ECHO | termios.ICANON) | termios.ISIG | termios.NOFLSH
            keys[6][termios.VMIN], keys[6][termios.VTIME] = 1, 0
            set_terminal_modes(keys)
        self._listener.begin()

    def end(self) -> None:
        """The terminal is as it was."""
        self._listener.end()
        set_terminal_modes(self._modes)


_unseen: _Unseen | None = None


@contextmanager
def echo_off() -> Iterator[None]:
    """Around an answer: keys are kept as they are and do not appear in it; Ctrl+C and Ctrl+Z still work, Esc stops it.

    Within another one it changes nothing.
    """
    global _unseen
    modes = terminal_modes()
    if modes is None or _unseen is not None:
        yield
        return
    with kept_terminal() if not is_dumb() else nullcontext():
        _unseen = _Unseen(modes)
        forget_stop()
        try:
            _unseen.begin()
            yield
        finally:
            unseen, _unseen = _unseen, None
            forget_stop()
            unseen.end()


@contextmanager
def typing_seen() -> Iterator[None]:
    """Around a question to the person, also within `echo_off`: what is typed is shown."""
    unseen = _unseen
    if unseen is not None:
        unseen.end()
    try:
        yield
    finally:
        if unseen is not None:
            unseen.begin()


def answer_to(question: str) -> str:
    """What a person answers on the terminal, in small letters; "" at the end of the input.

    What was typed before the question is no answer to it.
    """
    with typing_seen():
        forget_typed()
        try:
            return input(question).strip().lower()
        except EOFError:
            return ""


def forget_typed() -> None:
    """Drops what was typed until now, so that it does not answer a question that follows."""
    if terminal_modes() is not None:
        with suppress(OSError, ValueError, termios.error):
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
