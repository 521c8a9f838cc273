"""The requests that wait, in the order in which they came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Condition
from typing import Final

from llamachat.engine.scheduler.job import Job
from llamachat.errors import Busy

MOST_OVERTAKEN: Final = 16
"""Later requests that fit may begin before one that does not, but no more than these: then all wait for it."""
LOOKED_AT: Final = 8
"""Requests that are tried in a step, from the first on."""


class WaitingLine:
    """Jobs that wait. Any thread may add, ask and wait; one thread takes. most: how many may wait; None: no bound."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._jobs: list[Job] = []
        self._told: dict[Job, int] = {}
        self._changed = Condition()

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def jobs(self) -> list[Job]:
        """All of them, in their order."""
        with self._changed:
            return list(self._jobs)

    def add(self, job: Job) -> None:
        """Appends a job. Raises Busy where too many wait."""
        with self._changed:
            if self._most is not None and len(self._jobs) >= self._most:
                raise Busy(f"{len(self._jobs)} requests wait already; try again later")
            self._jobs.append(job)
            self._changed.notify_all()

    def wait(self, timeout: float | None) -> bool:
        """Waits until there are jobs, at most that many seconds; whether there are."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._jobs), timeout)

    def remove(self, job: Job) -> None:
        """Takes a job out."""
        with self._changed:
            self._jobs.remove(job)
            self._told.pop(job, None)

    def clear(self) -> list[Job]:
        """Takes all jobs out."""
        with self._changed:
            jobs, self._jobs, self._told = self._jobs, [], {}
        return jobs

    def admit(self, admitted: Callable[[Job], bool]) -> Iterator[Job]:
        """Takes out those jobs that `admitted` says yes to, in their order, each before the next is asked.

        A job may be overtaken MOST_OVERTAKEN times, so that one that needs much memory does not starve behind small
        ones; until then the small ones need not wait for it.
        """
        before: list[Job] = []
        for job in self.jobs:
            if len(before) >= LOOKED_AT or any(one.overtaken >= MOST_OVERTAKEN for one in before):
                return
            if not admitted(job):
                before.append(job)
                continue
            for one in before:
                one.overtaken += 1
            self.remove(job)
            yield job

    def moved(self) -> list[tuple[Job, int]]:
        """The jobs whose place has changed since this was last asked, and how many are before each."""
        with self._changed:
            found = [(job, place) for place, job in enumerate(self._jobs) if self._told.get(job) != place]
            self._told.update(found)
        return found
