"""The scheduler: requests wait in a line, get contexts, have their prompts read in pieces, and are answered together.

A step takes one token of every answer that is being written, all in one batch, so that the weights are read once for
them; between such steps prompts are read in pieces, so that nobody waits for a stranger's long prompt. Every answer is
to the bit what it would be alone. One thread calls `step`; any thread may add, cancel and wait.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Final

from llamachat.engine.answering import Answering
from llamachat.engine.context import Context
from llamachat.engine.events import EvaluatingContext, Event, Failed, Progress, Reading, StopReason, Waiting
from llamachat.engine.generation_context import GenerationContext, common_prefix
from llamachat.engine.sampling.vocabulary import Vocabulary
from llamachat.engine.scheduler.decoder import Decoder
from llamachat.engine.scheduler.job import Job, Slot
from llamachat.engine.scheduler.line import WaitingLine
from llamachat.engine.scheduler.pace import LARGEST_PIECE, Pace, next_to_read
from llamachat.engine.scheduler.request import Pool, Request
from llamachat.errors import Cancelled, NotEnoughMemory

WORTH_WAITING: Final = 64
"""From this many tokens on that another request is reading now it pays to wait for them, instead of reading them."""

WORTH_READING: Final = 16
"""Tokens of a prompt that are worth another evaluation before the next step."""
LONGEST_ADMISSION_S: Final = 0.02
"""While others are answered, no more requests are admitted in a step after that long: prefixes are copied for them."""

Happened = tuple[Job, Event]


class Scheduler:
    """Answers requests on the contexts of a pool.

    most_waiting: more requests than these are refused (None: never). piece: at most that many tokens of a prompt are
    read at once (None: all of them, because there is one request only). clock: seconds, for deadlines and for what
    others may wait.
    """

    def __init__(
        self,
        pool: Pool,
        vocabulary: Vocabulary,
        most_waiting: int | None = None,
        piece: int | None = LARGEST_PIECE,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        self._pool, self._vocabulary = pool, vocabulary
        self._line = WaitingLine(most_waiting)
        self._slots: list[Slot] = []
        self._decoder, self._pace = Decoder(clock), Pace(piece)
        self._numbers = count(1)
        self._shortest = False  # whose prompt is read: see `next_to_read`

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self._line or self._slots)

    @property
    def n_waiting(self) -> int:
        """Requests that wait for a context."""
        return len(self._line)

    @property
    def n_running(self) -> int:
        """Requests that have a context."""
        return len(self._slots)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until there is something to do, at most that many seconds; whether there is."""
        return bool(self._slots) or self._line.wait(timeout)

    def add(self, request: Request) -> Job:
        """A request that waits for its turn. From any thread.

        Raises UsageError for an empty prompt and for options that no answer can have, ContextFull for a prompt that no
        context can hold, Busy where too many wait.
        """
        request.check()
        self._pool.check(request)
        answering = Answering(self._vocabulary, request.options, request.prompt, request.n_begun)
        deadline = None if request.deadline_s is None else self._clock() + request.deadline_s
        job = Job(next(self._numbers), request, answering, deadline)
        self._line.add(job)
        return job

    def cancel_all(self) -> None:
        """Ends every request. From any thread."""
        for job in [*self._line.jobs, *(slot.job for slot in self._slots[:])]:
            job.cancel()
        self._decoder.cancel()

    def resume(self) -> None:
        """Takes back cancellations that no evaluation has seen."""
        for context in self._pool.contexts:
            context.resume()

    def step(self, progress: Progress | None = None) -> Iterator[Happened]:
        """One token of every answer, and pieces of prompts: (job, what happened) as it happens.

        A job ends with a Stop or with Failed; it is `done` then. What precedes its first token are `Notice`s.
        progress(done, total) counts the tokens of the prompt that is read. An iterator that is closed early has done
        the step up to there, and the next step continues.
        """
        yield from self._end_unwanted()
        yield from self._admit()
        for slot in self._slots[:]:
            while slot.answering.begun:
                yield slot.job, slot.answering.begun.popleft()
        for job, n_before in self._line.moved():
            yield job, Waiting(n_before=n_before)
        for slot in self._slots[:]:
            if not slot.reading:
                yield from self._guarded(slot, lambda: self._choose(slot))  # noqa: B023
        self._decoder.step([slot for slot in self._slots if slot.pending])
        for slot in self._slots[:]:
            if slot.error is not None:
                yield slot.job, self._failed(slot, slot.error)
        yield from self._read(progress)

    def close(self) -> None:
        """Gives all contexts back. Jobs that are not done get no event any more."""
        for job in self._line.clear():
            job.end()
        for slot in self._slots[:]:
            self._release(slot)

    def _end_unwanted(self) -> Iterator[Happened]:
        """Those that were cancelled, or are too late."""
        now = self._clock()
        for job in self._line.jobs:
            if reason := job.unwanted(now):
                self._line.remove(job)
                job.end()
                yield job, job.answering.stop(reason)
        for slot in self._slots[:]:
            if reason := slot.job.unwanted(now):
                yield slot.job, self._end(slot, reason)

    def _admit(self) -> Iterator[Happened]:
        """Gives contexts to those that wait, as far as there are any."""
        slots: dict[Job, Slot | Exception] = {}
        running, begun = any(not slot.reading for slot in self._slots), self._clock()

        def admitted(job: Job) -> bool:
            late = running and self._clock() - begun > LONGEST_ADMISSION_S
            if late or self._pool.full or self._read_by_another(job):
                return False
            found = self._begin(job)
            if found is not None:
                slots[job] = found
            return found is not None

        for job in self._line.admit(admitted):
            slot = slots.pop(job)
            if isinstance(slot, Exception):
                job.end()
                yield job, Failed("", slot)
                continue
            yield job, Reading(n_left=slot.generation.n_unread)

    def _read_by_another(self, job: Job) -> bool:
        """Whether another request reads now what this one begins with."""
        prompt = job.request.prompt
        reading = [(common_prefix(s.job.request.prompt, prompt), s) for s in self._slots if s.reading]
        shared, slot = max(reading, key=lambda one: one[0], default=(0, None))
        needed = min(WORTH_WAITING, len(prompt) - 1)
        if slot is None or shared < max(1, needed) or shared - self._pool.known(prompt) < needed:
            return False
        return slot.generation.keep(shared) or not slot.context.needs_checkpoints

    def _begin(self, job: Job) -> Slot | Exception | None:
        """A job with a context, its prompt not yet read; what was raised; or None while there is no context for it."""
        try:
            context = self._pool.take(job.request.prompt, job.answering.n_left)
            if context is None:
                return None
        except (NotEnoughMemory, MemoryError, OSError) as error:
            return None if self._slots else error
        except Exception as error:
            return error
        try:
            slot = self._opened(job, context)
        except BaseException as error:
            self._pool.give(context)
            if not isinstance(error, Exception):
                raise
            return error
        self._slots.append(slot)
        job.begin(slot)
        return slot

    def _opened(self, job: Job, context: EvaluatingContext) -> Slot:
        """A prompt that was just read by another is taken over with its logits."""
        request, timings = job.request, job.answering.timings
        n_keep = request.options.kept(len(request.prompt), self._vocabulary.add_bos)
        timings.n_keep = n_keep or 0
        generation = GenerationContext(context, n_keep, timings, request.speculation)
        slot = Slot(job, context, generation, started=self._clock())
        same = None
        if request.prompt_logits is None:
            same = next((one for one in self._slots if _stands_at(one, request)), None)
        if same is not None and isinstance(context, Context) and isinstance(same.context, Context):
            context.copy_prefix(same.context, len(request.prompt))
            generation.take_over(request.prompt)
            slot.logits = same.logits
        else:
            generation.start(request.prompt, request.prompt_logits)
            slot.total = generation.n_unread
            if context.needs_checkpoints:
                self._keep_partings(generation, request.prompt)
        return slot

    def _keep_partings(self, generation: GenerationContext, prompt: Sequence[int]) -> None:
        """Keeps recurrent state where other texts part from a prompt: those that wait, and those that were read."""
        others = [*(job.request.prompt for job in self._line.jobs), *(one.tokens for one in self._pool.contexts)]
        for place in {common_prefix(other, prompt) for other in others}:
            if place >= WORTH_WAITING:
                generation.keep(place)

    def _choose(self, slot: Slot) -> Iterator[Happened]:
        """The next token of an answer, or its end."""
        answering = slot.answering
        if slot.error is not None:  # of a step whose iterator was closed before it came to that
            raise slot.error
        if not slot.pending and answering.reason is None:
            assert slot.logits is not None
            token = answering.choose(slot.logits)
            if token is not None:
                slot.pending = True
                yield slot.job, token
        if answering.reason is not None or not slot.generation.can_continue():
            yield slot.job, self._end(slot, None if answering.reason else "context")

    def _read(self, progress: Progress | None) -> Iterator[Happened]:
        """Pieces of prompts, as many as may be read before the next step; a large one where nobody waits for it."""
        left_s = self._pace.allowance(self._slots, self._decoder.step_s)
        first = True
        while (slot := next_to_read(self._slots, self._shortest)) is not None:
            n_tokens = self._pace.tokens(slot, left_s)
            if not first and n_tokens < min(slot.generation.n_unread, WORTH_READING):
                return
            begun = self._clock()
            yield from self._guarded(slot, lambda: self._read_piece(slot, n_tokens, progress))  # noqa: B023
            left_s -= self._clock() - begun
            self._shortest, first = not self._shortest, False
            if left_s == math.inf or left_s <= 0:
                return

    def _read_piece(self, slot: Slot, n_tokens: int, progress: Progress | None) -> Iterator[Happened]:
        begun, before = self._clock(), slot.generation.n_unread
        logits = slot.generation.read(n_tokens, progress, slot.total)
        now = self._clock()
        self._pace.took(slot, before - slot.generation.n_unread, now - begun)
        slot.answering.timings.prompt_s += now - begun
        if logits is not None:
            slot.logits, slot.started = logits, now
        yield slot.job, Reading(n_left=slot.generation.n_unread)

    def _guarded(self, slot: Slot, act: Callable[[], Iterator[Happened]]) -> Iterator[Happened]:
        """What one job does; what it raises ends it alone."""
        try:
            yield from act()
        except Exception as error:
            yield slot.job, self._failed(slot, error)

    def _failed(self, slot: Slot, error: Exception) -> Event:
        """The end of a job that raised something."""
        if isinstance(error, Cancelled):
            return self._end(slot, slot.job.unwanted(self._clock()) or "cancelled")
        self._release(slot)
        return Failed("", error)

    def _end(self, slot: Slot, reason: StopReason | None) -> Event:
        self._release(slot)
        timings = slot.answering.timings
        timings.generation_s = self._clock() - slot.started if not slot.reading else 0.0
        return slot.answering.stop(reason)

    def _release(self, slot: Slot) -> None:
        """Gives the slot's context back."""
        self._slots.remove(slot)
        slot.job.end()
        try:
            slot.generation.end()
        finally:
            self._pool.give(slot.context)


def _stands_at(slot: Slot, request: Request) -> bool:
    """Whether a context holds a prompt as if it had just been evaluated, and the logits after it."""
    tokens, prompt = slot.context.tokens, request.prompt
    whole = slot.context.n_reusable == len(tokens) == len(prompt)
    return not (slot.reading or slot.pending) and whole and list(tokens) == list(prompt)
