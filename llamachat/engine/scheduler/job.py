"""A request on its way: the handle that its caller keeps, and the place that it has while it runs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import RLock

from llamachat.engine.answering import Answering
from llamachat.engine.events import EvaluatingContext, StopReason
from llamachat.engine.generation_context import GenerationContext, Logits
from llamachat.engine.scheduler.request import Request


@dataclass(eq=False)
class Job:
    """A request on its way, as `Scheduler.add` returns it.

    number: counts the requests of a scheduler. answering: the answer as it grows. deadline: when it ends, by the
    scheduler's clock; None for never. cancelled: `cancel` was called. done: its last event has come. overtaken: how
    many requests that came later began before it.
    """

    number: int
    request: Request
    answering: Answering
    deadline: float | None = None
    cancelled: bool = False
    done: bool = False
    overtaken: int = 0
    _slot: Slot | None = field(default=None, repr=False)
    _lock: AbstractContextManager[object] = field(default_factory=RLock, repr=False)  # a signal may cancel within `end`

    def cancel(self) -> None:
        """Ends it at the next step; a piece of its prompt that is being read is given up at once. From any thread."""
        self.cancelled = True
        with self._lock:  # a context that was given back may be another job's already
            if self._slot is not None and self._slot.reading:
                self._slot.context.cancel()

    def unwanted(self, now: float) -> StopReason | None:
        """Why it should end before its time; None where it should not."""
        if self.cancelled:
            return "cancelled"
        return "deadline" if self.deadline is not None and now >= self.deadline else None

    def begin(self, slot: Slot) -> None:
        """It has a context."""
        with self._lock:
            self._slot = slot

    def end(self) -> None:
        """It has none any more, and needs none."""
        with self._lock:
            slot, self._slot, self.done = self._slot, None, True
            if slot is not None and self.cancelled:
                slot.context.resume()


@dataclass(eq=False)
class Slot:
    """A job that has a context.

    logits: after its last token; None while its prompt is read. pending: its next token is chosen, but not evaluated.
    error: what its last evaluation raised, for which it has not yet ended.
    started: when its prompt was read, by the scheduler's clock. total: tokens of its prompt that had to be read. piece,
    piece_s: tokens of the last piece of it, and the seconds that they took.
    """

    job: Job
    context: EvaluatingContext
    generation: GenerationContext
    logits: Logits | None = None
    pending: bool = False
    error: Exception | None = None
    started: float = 0.0
    total: int = 0
    piece: int = 0
    piece_s: float = 0.0

    @property
    def answering(self) -> Answering:
        """The job's."""
        return self.job.answering

    @property
    def reading(self) -> bool:
        """Whether its prompt is not yet read."""
        return self.logits is None
