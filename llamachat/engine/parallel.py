"""A list of requests, answered side by side: `Scheduler` for callers who know all of them beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from llamachat.engine.answering import Answering, GenerationOptions
from llamachat.engine.context import Context
from llamachat.engine.events import Event, Notice, Progress
from llamachat.engine.pool import ContextPool
from llamachat.engine.sampling.vocabulary import Vocabulary
from llamachat.engine.scheduler import Job, Request, Scheduler
from llamachat.errors import ContextFull, UsageError

__all__ = ["Batch", "Request"]


class Batch:
    """Answers requests, at most `n_slots` at a time; `make_context` makes as many contexts, all alike."""

    def __init__(self, make_context: Callable[[], Context], vocabulary: Vocabulary, n_slots: int) -> None:
        self._pool = ContextPool(make_context, n_slots)
        self._vocabulary, self._n_slots = vocabulary, n_slots
        self._scheduler = Scheduler(self._pool, vocabulary)
        self._cancelled = False

    def answers(self, requests: Sequence[Request], progress: Progress | None = None) -> Iterator[tuple[int, Event]]:
        """(index of the request, event) as they come; each answer ends with its Stop, or with Failed where it raised.

        Raises UsageError and ContextFull, with the number of the request, before anything is evaluated.
        """
        checked = list[GenerationOptions]()
        for number, request in enumerate(requests, 1):
            if not request.prompt:
                raise UsageError(f"prompt {number} is empty")
            if len(request.prompt) > self._pool.n_ctx:
                raise ContextFull(
                    f"prompt {number} has {len(request.prompt)} tokens, but a context holds {self._pool.n_ctx}; "
                    "shorten it or use a larger context"
                )
            self._check(number, request.options, checked)
        return self._events(requests, progress)

    def cancel(self) -> None:
        """Ends all answers, from another thread."""
        self._cancelled = True
        self._scheduler.cancel_all()

    def resume(self) -> None:
        """Takes a `cancel` back that nothing has seen."""
        self._cancelled = False
        self._scheduler.resume()

    def _check(self, number: int, options: GenerationOptions, checked: list[GenerationOptions]) -> None:
        """Raises UsageError for options that no answer can have; those that were checked are not looked at again."""
        alike = replace(options, max_tokens=1, sampling=replace(options.sampling, seed=0))
        if alike in checked:
            return
        try:
            Answering(self._vocabulary, alike, ())
        except UsageError as error:
            raise error.at(f"prompt {number}") from error
        checked.append(alike)

    def _events(self, requests: Sequence[Request], progress: Progress | None) -> Iterator[tuple[int, Event]]:
        """Adds requests as others end, so that what waits takes no memory."""
        jobs: dict[Job, int] = {}
        waiting = iter(enumerate(requests))
        try:
            while True:
                while len(jobs) < self._n_slots and (following := next(waiting, None)) is not None:
                    job = self._scheduler.add(following[1])
                    jobs[job] = following[0]
                    if self._cancelled:
                        job.cancel()
                if not jobs:
                    return
                for job, event in self._scheduler.step(progress):
                    if not isinstance(event, Notice):
                        yield jobs[job], event
                jobs = {job: index for job, index in jobs.items() if not job.done}
        finally:
            self._scheduler.close()
