"""An iterator that runs in a thread of its own, so that the main thread always handles the keyboard.

Within `with Stream(...)` the first Ctrl+C asks the producer to stop and the loop ends after what it still had to say;
a second Ctrl+C raises KeyboardInterrupt, and none does while the block is left. Leaving the block early stops the
producer, too. Nothing is lost in between.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread, current_thread, main_thread
from types import FrameType, TracebackType
from typing import Any, Generic, Self, TypeVar

from llamachat.dialogue.running import Cancellable
from llamachat.endings import interrupt
from llamachat.errors import Cancelled

Item = TypeVar("Item")

IDLE_S = 0.1
"""Seconds without an item after which the loop is idle."""

FRAME_S = 0.016
"""Seconds between two looks for items: each time the loop runs it takes a processor from those who compute."""


@dataclass(frozen=True)
class _End:
    """The last thing in the queue: the producer is done, with what it raised."""

    error: BaseException | None


_running: "list[Stream[Any]]" = []
_stops_next = False


def stop_streams() -> None:
    """Ends what is being written, as a first Ctrl+C does, or the next that begins. Any thread may call it.

    `forget_stop` takes it back.
    """
    global _stops_next
    _stops_next = not _running
    for stream in _running[:]:  # another thread may leave one
        stream.stop()


def forget_stop() -> None:
    """Streams that begin from now on are not stopped by an earlier `stop_streams`."""
    global _stops_next
    _stops_next = False


class Stream(Generic[Item]):
    """The items of `items`, produced by another thread; `interrupted` tells whether Ctrl+C ended them.

    What the producer raises is raised by the loop; Cancelled, after an interrupt, just ends it.
    """

    def __init__(self, items: Iterator[Item], engine: Cancellable, idle: Callable[[], None] | None = None) -> None:
        """`idle` is called by the loop when nothing has come for a while."""
        self.interrupted = False
        self._idle = idle
        self._items = items
        self._engine = engine
        self._queue: SimpleQueue[Item | _End] = SimpleQueue()
        self._thread = Thread(target=self._produce, name="llamachat-stream", daemon=True)
        self._before: Any = None
        self._leaving = False
        self._leave = Lock()
        self._ended = Event()

    def __enter__(self) -> Self:
        if current_thread() is main_thread():
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        self._thread.start()
        _running.append(self)
        if _stops_next:
            forget_stop()
            self.stop()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._leaving = True  # from here on Ctrl+C says nothing new: the producer is never left running
        try:
            with self._leave, suppress(ValueError):
                _running.remove(self)
            if self._thread.is_alive():
                self._engine.cancel()
            self._thread.join()
        finally:
            self._engine.resume()
            if self._before is not None:
                signal.signal(signal.SIGINT, self._before)

    def __iter__(self) -> Iterator[Item]:
        while not isinstance(item := self._next(), _End):
            yield item
            if self._queue.empty():
                self._ended.wait(FRAME_S)
        if item.error is not None and not (self.interrupted and isinstance(item.error, Cancelled)):
            raise item.error

    def _next(self) -> Item | _End:
        while True:
            try:
                return self._queue.get(timeout=IDLE_S if self._idle is not None else None)
            except Empty:
                if self._idle is not None:
                    self._idle()

    def stop(self) -> None:
        """Asks the producer to stop, once."""
        with self._leave:
            if not self._leaving and not self.interrupted:
                self.interrupted = True
                self._engine.cancel()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._leaving:
            return
        if self.interrupted:
            interrupt(number, frame)
            return
        self.interrupted = True
        self._engine.cancel()

    def _produce(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                self._queue.put(item)
        except BaseException as caught:
            error = caught
        self._queue.put(_End(error))
        self._ended.set()
