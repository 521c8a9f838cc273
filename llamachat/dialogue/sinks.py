"""Where the events of an answer go. A sink may wrap another one and change what passes."""

from dataclasses import dataclass
from typing import Protocol

from llamachat.engine.events import Event


class Sink(Protocol):
    """Takes the events of one answer, or of several answers one after the other."""

    def event(self, event: Event) -> None:
        """Takes an event; its text follows the text of the events before it."""
        ...

    def idle(self) -> None:
        """No event has come for about a tenth of a second."""
        ...

    def close(self) -> None:
        """No event follows, whatever ended the answer. A second call does nothing."""
        ...


class Discard:
    """A sink that keeps nothing."""

    def event(self, event: Event) -> None:
        """Drops it."""

    def idle(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class Wrapper:
    """A sink that passes everything on to another one: the base of those that change something."""

    def __init__(self, inner: Sink) -> None:
        self.inner = inner

    def event(self, event: Event) -> None:
        """Passes it on."""
        self.inner.event(event)

    def idle(self) -> None:
        """Passes it on."""
        self.inner.idle()

    def close(self) -> None:
        """Passes it on."""
        self.inner.close()


@dataclass(frozen=True)
class Echo(Event):
    """The prompt itself, which is put out before the answer."""
