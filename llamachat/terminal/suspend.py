"""Ctrl+Z: the terminal gets the modes from before the program, and after `fg` those of the program again.

Whoever changes the terminal's modes does so within `suspendable` (`restore.kept_terminal` is that for all). Whoever
draws over what it drew asks `n_returns`, because other words stand there after a return.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, get_ident, main_thread
from types import FrameType
from typing import Any

from llamachat.terminal.modes import set_terminal_modes, show_usual, takes_lines, terminal_modes

STOP = getattr(signal, "SIGTSTP", None)
"""None on Windows, which has no such thing."""


@dataclass
class _Phase:
    """A use of the terminal. modes: those before it; back: what is to be done after a return."""

    modes: list[Any] | None
    back: Callable[[], None] | None
    is_lent: bool


_phases: list[_Phase] = []
_n_returns = 0


def n_returns() -> int:
    """How often the program has continued after a stop."""
    return _n_returns


@contextmanager
def suspendable(
    modes: list[Any] | None, back: Callable[[], None] | None = None, is_lent: bool = False
) -> Iterator[None]:
    """Around a use of the terminal, whose modes were `modes` before. back: called after a return.

    is_lent: another program, as an editor, has the terminal, and puts its own modes back.
    """
    if STOP is None or current_thread() is not main_thread() or signal.getsignal(STOP) is signal.SIG_IGN:
        yield
        return
    _phases.append(_Phase(modes, back, is_lent))
    before = signal.signal(STOP, _stop)
    try:
        yield
    finally:
        signal.signal(STOP, before)
        _phases.pop()


def _stop(number: int, _frame: FrameType | None) -> None:
    """Gives the terminal back, stops, and takes the terminal again."""
    global _n_returns
    phase, now = _phases[-1], terminal_modes()
    keeps = now is None or (phase.is_lent and takes_lines(now))
    if not keeps:
        set_terminal_modes(_phases[0].modes)
        show_usual()
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_kill(get_ident(), number)  # to this thread: it returns only after the stop
    signal.signal(number, _stop)
    _n_returns += 1
    if not keeps and not (phase.is_lent and terminal_modes() != _phases[0].modes):  # the other may be faster
        set_terminal_modes(now)
    if phase.back is not None:
        phase.back()
