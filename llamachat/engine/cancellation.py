"""Asking an evaluation to stop, from another thread."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, RLock

from llamachat.errors import Cancelled


class Cancellation:
    """A request to stop the evaluation that runs, or the next one. requested: whether no evaluation has seen it yet.

    A backend holds `running` during a step, calls `begin` at its start, `check` before and after what takes long, and
    `end` whatever happened.
    """

    def __init__(self) -> None:
        self.requested = False
        self.running = Lock()
        self._changing = RLock()  # a signal's handler may cancel what its own thread is just beginning
        self._stop: Callable[[], None] | None = None

    def cancel(self) -> None:
        """Stops the evaluation that runs, or the next one; it raises Cancelled. From any thread."""
        with self._changing:
            self.requested = True
            if self._stop is not None:
                self._stop()

    def resume(self) -> None:
        """Takes back a request that no evaluation has seen.

        Waits for one that runs, which must not mistake half of its work for all.
        """
        with self.running:
            self.requested = False

    def begin(self, stop: Callable[[], None]) -> None:
        """A step begins. `stop` is called, from any thread and maybe more than once, where it should end soon."""
        with self._changing:
            self._stop = stop
            if self.requested:
                stop()

    def end(self) -> None:
        """The step has ended: nobody calls its `stop` any more."""
        with self._changing:
            self._stop = None

    def check(self) -> None:
        """Within a step: raises Cancelled, once for each request to stop."""
        if self.requested:
            self.requested = False
            raise Cancelled("the evaluation was stopped")
