"""How the events of an answer are computed: in the calling thread, or as a program needs it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from llamachat.engine.events import Event


@runtime_checkable
class Cancellable(Protocol):
    """Something that computes and can be stopped: a Context."""

    def cancel(self) -> None:
        """The step that runs, or the next one, raises Cancelled. Called from another thread."""
        ...

    def resume(self) -> None:
        """Takes a `cancel` back that no step has seen."""
        ...


@dataclass(frozen=True)
class Several:
    """What computes one answer, stopped together: the context and the one of the draft model."""

    engines: Sequence[Cancellable]

    def cancel(self) -> None:
        """Stops all."""
        for engine in self.engines:
            engine.cancel()

    def resume(self) -> None:
        """Takes it back."""
        for engine in self.engines:
            engine.resume()


class Runner(Protocol):
    """Runs the computation of answers."""

    def progress(self, done: int, total: int) -> None:
        """This many tokens of the prompt are evaluated."""
        ...

    def events(
        self, events: Iterator[Event], engine: Cancellable, idle: Callable[[], None]
    ) -> AbstractContextManager[Iterable[Event]]:
        """The events of an answer as they are computed; `idle` is called while none comes.

        Leaving the context early stops the computation.
        """
        ...


class InPlace:
    """Computes each event when it is asked for, in the calling thread."""

    def progress(self, done: int, total: int) -> None:
        """Nobody watches."""

    def events(
        self, events: Iterator[Event], engine: Cancellable, idle: Callable[[], None]
    ) -> AbstractContextManager[Iterable[Event]]:
        """The events themselves."""
        return nullcontext(events)
