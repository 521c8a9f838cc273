"""SIGTERM and SIGHUP end the program by unwinding its stack, so that everything is put back; then 128 and the number.

Both often come at once, from a terminal that is closed or a system that goes down. What is being put back after the
first is not disturbed by a second.
"""

import atexit
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, current_thread, main_thread
from types import FrameType
from typing import Any

ENDINGS = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]

AGAIN_S = 2.0
"""Seconds after a signal from which the next one counts: a library may have swallowed the first."""

Leave = Callable[[SystemExit], None]

_last_signal_s = float("-inf")
"""When the last signal was obeyed."""

_n_undisturbed = 0
_waiting: list[int] = []
"""Signals that came while a step was done that is done whole."""


def raise_at_once(end: SystemExit) -> None:
    """Unwinds the stack from where the program is. Raises what it is given."""
    raise end


def handle_termination(leave: Leave = raise_at_once) -> dict[signal.Signals, Any]:
    """Hands the end of the program to `leave` from now on; returns the handlers before, for `restore_handlers`.

    What nohup ignores stays ignored.
    """
    if current_thread() is not main_thread():
        return {}

    def end(number: int, _frame: FrameType | None) -> None:
        # A second signal may call this anywhere within this call. Then its own end is raised through this one, or it
        # finds the first received: one end is raised in every order.
        global _last_signal_s
        if _n_undisturbed:
            _waiting.append(number)
        elif time.monotonic() - _last_signal_s > AGAIN_S:
            _last_signal_s = time.monotonic()
            leave(SystemExit(128 + number))

    handled = [number for number in ENDINGS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in handled}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    return before


def interrupt(number: int, _frame: FrameType | None) -> None:
    """Ctrl+C, where nothing else handles it. Raises KeyboardInterrupt, after a step that is done whole."""
    if _n_undisturbed:
        _waiting.append(number)
    else:
        raise KeyboardInterrupt


@contextmanager
def undisturbed() -> Iterator[None]:
    """Around a step that is done whole, as writing a message: a signal that comes meanwhile is obeyed after it."""
    global _n_undisturbed
    if current_thread() is not main_thread():
        yield
        return
    _n_undisturbed += 1
    try:
        yield
    finally:
        _n_undisturbed -= 1
        while _waiting and not _n_undisturbed:
            signal.raise_signal(_waiting.pop(0))


@atexit.register
def _ignore_endings() -> None:
    """Python gives the signals back to the kernel before it is gone; a second one would change the exit code."""
    if time.monotonic() - _last_signal_s <= AGAIN_S:
        for number in (*ENDINGS, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


def restore_handlers(handlers: dict[signal.Signals, Any]) -> None:
    """Puts the handlers before back, unless the program ends."""
    if time.monotonic() - _last_signal_s > AGAIN_S:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def wait_through(ended: Event) -> None:
    """Waits for the end of a thread's work through any number of interrupts, the first of which is raised afterwards.

    Not `Thread.join`: interrupted, Python 3.11 takes the thread for ended.
    """
    try:
        ended.wait()
    except BaseException:
        while not ended.is_set():
            with suppress(BaseException):
                ended.wait()
        raise
