"""Asking an evaluation to stop, from another thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, RLock

from llamachat.errors import Cancelled


class Cancellation:
    """A request to stop the evaluation that runs, or the next one. Backends run every step in `step`."""

    def __init__(self) -> None:
        self.requested = False
        self._running = Lock()
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
        with self._running:
            self.requested = False

    @contextmanager
    def step(self, stop: Callable[[], None]) -> Iterator[None]:
        """While a step runs. `stop` is called, from any thread and maybe more than once, where it should end soon."""
        with self._running:
            with self._changing:
                self._stop = stop
                if self.requested:
                    stop()
            try:
                yield
            finally:
                with self._changing:
                    self._stop = None

    def check(self) -> None:
        """Within a step: raises Cancelled, once for each request to stop."""
        if self.requested:
            self.requested = False
            raise Cancelled("the evaluation was stopped")
