"""Many requests on one model: they come and go while others run, and each ends for itself.

A step takes one token of every answer that is being written, all together, so that the weights are read once for them;
between such steps prompts are read in pieces, so that nobody waits for a stranger's long prompt. Every answer is to the
bit what it would be alone. The caller turns the crank: one thread calls `step`, any thread may `cancel`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Protocol

import numpy as np

from llamachat.engine.answering import Answering, GenerationOptions
from llamachat.engine.batch_decoder import BatchDecoder
from llamachat.engine.context import Context
from llamachat.engine.events import EvaluatingContext, Event, Failed, Progress, Reading, StopReason
from llamachat.engine.generation_context import GenerationContext, Logits, common_prefix
from llamachat.engine.sampling.vocabulary import Vocabulary
from llamachat.engine.speculation.proposer import Speculation
from llamachat.errors import Busy, Cancelled, LlamaChatError, UsageError

LONGEST_WAIT_S: Final = 0.08
"""Others may wait so long for a piece of a prompt, or as long as three of their own steps take, whichever is longer."""

SMALLEST_PIECE: Final = 16
LARGEST_PIECE: Final = 512
WORTH_WAITING: Final = 64
"""So many tokens that another request is reading just now are worth waiting for, instead of reading them again."""


@dataclass(frozen=True)
class Request:
    """A prompt in tokens, and how it is to be answered.

    deadline_s: after so many seconds the answer ends. n_begun: so many of the prompt's last tokens are the answer's
    first ones.
    """

    prompt: Sequence[int]
    options: GenerationOptions
    deadline_s: float | None = None
    speculation: Speculation | None = None
    n_begun: int = 0


class Pool(Protocol):
    """Where contexts come from."""

    @property
    def contexts(self) -> Sequence[EvaluatingContext]:
        """All that there are."""
        ...

    def check(self, request: Request) -> None:
        """Raises ContextFull where none can ever hold the prompt."""
        ...

    def known(self, prompt: Sequence[int]) -> int:
        """So many tokens of a prompt are evaluated somewhere."""
        ...

    def take(self, prompt: Sequence[int], most: int | None) -> EvaluatingContext | None:
        """A context for a prompt and at most so many tokens after it; None while there is none."""
        ...

    def give(self, context: EvaluatingContext) -> None:
        """Takes a context back."""
        ...


@dataclass(eq=False)
class Job:
    """A request on its way. number: counts the requests of a scheduler."""

    number: int
    request: Request
    answering: Answering
    added: float
    cancelled: bool = False
    done: bool = False
    _slot: _Slot | None = field(default=None, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def cancel(self) -> None:
        """Ends it at the next step; what is read of its prompt just now is given up at once. From any thread."""
        self.cancelled = True
        with self._lock:  # a context that was given back may be another job's already
            if self._slot is not None and self._slot.reading:
                self._slot.context.cancel()

    @property
    def overdue(self) -> bool:
        """Whether its deadline has passed."""
        limit = self.request.deadline_s
        return limit is not None and time.monotonic() - self.added > limit


@dataclass(eq=False)
class _Slot:
    """A job that has a context. logits: after its last token; None while its prompt is read."""

    job: Job
    context: EvaluatingContext
    window: GenerationContext
    logits: Logits | None = None
    started: float = 0.0
    total: int = 0

    @property
    def answering(self) -> Answering:
        """The job's."""
        return self.job.answering

    @property
    def reading(self) -> bool:
        """Whether its prompt is not yet read."""
        return self.logits is None


class Scheduler:
    """Answers requests on the contexts of a pool.

    most_waiting: more requests than these are refused (None: never). piece: at most so many tokens of a prompt are read
    at once (None: all of them, because there is one request only).
    """

    def __init__(
        self, pool: Pool, vocabulary: Vocabulary, most_waiting: int | None = None, piece: int | None = LARGEST_PIECE
    ) -> None:
        self._largest_piece = piece
        self._pool, self._vocabulary, self._most_waiting = pool, vocabulary, most_waiting
        self._waiting: deque[Job] = deque()
        self._slots: list[_Slot] = []
        self._together = BatchDecoder()
        self._rows = np.empty((0, 0), np.float32)  # logits of a step, written over by the next
        self._n_added = 0
        self._shortest = False  # whose prompt is read: see `_read`
        self._step_s = 0.0  # a step of all answers, lately
        self._token_s = 0.0  # a token of a prompt, lately

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self._waiting or self._slots)

    def add(self, request: Request) -> Job:
        """A request that waits for its turn.

        Raises UsageError for an empty prompt and for options that no answer can have, ContextFull for a prompt that no
        context can hold, Busy where too many wait.
        """
        if not request.prompt:
            raise UsageError("the prompt is empty (it has no tokens), so there is nothing to continue; give some text")
        if not 0 <= request.n_begun < len(request.prompt):
            raise UsageError(f"n_begun must be from 0 to {len(request.prompt) - 1}, not {request.n_begun}")
        self._pool.check(request)
        if self._most_waiting is not None and len(self._waiting) >= self._most_waiting:
            raise Busy(f"{len(self._waiting)} requests wait already")
        answering = Answering(self._vocabulary, request.options, request.prompt, request.n_begun)
        self._n_added += 1
        job = Job(self._n_added, request, answering, time.monotonic())
        self._waiting.append(job)
        return job

    def cancel_all(self) -> None:
        """Ends every request, from another thread."""
        for job in [*self._waiting, *(slot.job for slot in self._slots)]:
            job.cancel()
        self._together.cancel()

    def resume(self) -> None:
        """Takes back cancellations that no evaluation has seen."""
        self._together.resume()
        for context in self._pool.contexts:
            context.resume()

    def step(self, progress: Progress | None = None) -> Iterator[tuple[Job, Event]]:
        """One token of every answer, and a piece of one prompt: (job, what happened) as it happens.

        A job ends with a Stop or with Failed. progress(done, total) counts the tokens of the prompt that is read.
        """
        yield from self._end_unwanted()
        yield from self._admit()
        for slot in self._slots[:]:
            if not slot.reading:
                yield from self._guarded(slot, lambda: self._choose(slot))  # noqa: B023
        yield from self._evaluate()
        yield from self._read(progress)

    def close(self) -> None:
        """Gives all contexts back; jobs that are not done never will be."""
        self._waiting.clear()
        for slot in self._slots[:]:
            self._release(slot)

    def _end_unwanted(self) -> Iterator[tuple[Job, Event]]:
        """Those that were cancelled, or are too late."""
        for job in [job for job in self._waiting if job.cancelled or job.overdue]:
            self._waiting.remove(job)
            job.done = True
            yield job, job.answering.stop(_reason(job))
        for slot in [slot for slot in self._slots if slot.job.cancelled or slot.job.overdue]:
            yield slot.job, self._end(slot, _reason(slot.job))

    def _admit(self) -> Iterator[tuple[Job, Event]]:
        """Gives contexts to those that wait, in their order, as far as there are any."""
        while self._waiting:
            job = self._waiting[0]
            if self._read_by_another(job):
                return
            context = self._pool.take(job.request.prompt, job.answering.n_left)
            if context is None:
                return
            self._waiting.popleft()
            try:
                slot = self._begin(job, context)
            except BaseException as error:
                self._pool.give(context)
                job.done = True
                if not isinstance(error, LlamaChatError):
                    raise
                yield job, Failed("", error)
                continue
            self._slots.append(slot)
            with job._lock:
                job._slot = slot
            yield job, Reading("", slot.window.n_unread)
            for token in slot.answering.begun:
                yield job, token

    def _read_by_another(self, job: Job) -> bool:
        """Whether another request reads just now what this one begins with."""
        prompt, known = job.request.prompt, self._pool.known(job.request.prompt)
        for slot in self._slots:
            if slot.reading:
                shared = common_prefix(slot.job.request.prompt, prompt)
                if shared - known >= min(WORTH_WAITING, len(prompt) - 1):
                    return True
        return False

    def _begin(self, job: Job, context: EvaluatingContext) -> _Slot:
        """A job in a context, its prompt not yet read; one that was just read is taken over with its logits."""
        request, timings = job.request, job.answering.timings
        n_keep = request.options.kept(len(request.prompt), self._vocabulary.add_bos)
        timings.n_keep = n_keep or 0
        window = GenerationContext(context, n_keep, timings, request.speculation)
        slot = _Slot(job, context, window, started=time.perf_counter())
        same = next((one for one in self._slots if not one.reading and _holds(one.context, request.prompt)), None)
        if same is not None and isinstance(context, Context) and isinstance(same.context, Context):
            context.copy_prefix(same.context, len(request.prompt))
            window.take_over(request.prompt)
            slot.logits = same.logits
        else:
            window.start(request.prompt)
            slot.total = window.n_unread
        return slot

    def _choose(self, slot: _Slot) -> Iterator[tuple[Job, Event]]:
        """The next token of an answer, or its end."""
        answering = slot.answering
        assert slot.logits is not None
        token = answering.choose(slot.logits) if answering.reason is None else None
        if token is not None:
            yield slot.job, token
        if answering.reason is not None or not slot.window.can_go_on():
            yield slot.job, self._end(slot, None if answering.reason else "context")

    def _evaluate(self) -> Iterator[tuple[Job, Event]]:
        """The tokens that were chosen: those without guesses all together."""
        slots = [slot for slot in self._slots if not slot.reading]
        if not slots:
            return
        begun = time.perf_counter()
        apart = [slot for slot in slots if slot.job.request.speculation is not None or len(slots) == 1]
        for slot in apart:
            yield from self._guarded(slot, lambda: self._after(slot))  # noqa: B023
        together = [slot for slot in slots if slot not in apart]
        try:
            self._eval_together(together)
        except Cancelled:
            for slot in together:
                yield slot.job, self._end(slot, "cancelled")
        self._step_s = time.perf_counter() - begun

    def _after(self, slot: _Slot) -> Iterator[tuple[Job, Event]]:
        slot.logits = slot.window.after(slot.answering.token, slot.answering.n_left)
        yield from ()

    def _eval_together(self, slots: Sequence[_Slot]) -> None:
        if not slots:
            return
        contexts = [slot.context for slot in slots if isinstance(slot.context, Context)]
        tokens = [[slot.answering.token] for slot in slots]
        if len(slots) <= len(self._rows):
            rows = self._together.eval(contexts, tokens, self._rows[: len(slots)])
        else:
            rows = self._rows = self._together.eval(contexts, tokens)
        for slot, row in zip(slots, rows, strict=True):
            slot.logits = row

    def _read(self, progress: Progress | None) -> Iterator[tuple[Job, Event]]:
        """A piece of a prompt: of the one that came first and of the one with the least left, by turns.

        So short prompts need not wait for long ones, and long ones come to an end.
        """
        reading = [slot for slot in self._slots if slot.reading]
        if not reading:
            return
        self._shortest = not self._shortest
        slot = min(reading, key=lambda one: one.window.n_unread) if self._shortest else reading[0]
        yield from self._guarded(slot, lambda: self._read_piece(slot, progress))

    def _read_piece(self, slot: _Slot, progress: Progress | None) -> Iterator[tuple[Job, Event]]:
        begun, before = time.perf_counter(), slot.window.n_unread
        logits = slot.window.read(self._piece(before), progress, slot.total)
        now = time.perf_counter()
        self._token_s = (now - begun) / (before - slot.window.n_unread)
        slot.answering.timings.prompt_s += now - begun
        if logits is not None:
            slot.logits, slot.started = logits, now
        yield slot.job, Reading("", slot.window.n_unread)

    def _piece(self, n_unread: int) -> int:
        """Tokens of a prompt that may be read at once."""
        if self._largest_piece is None:
            return n_unread
        if all(slot.reading for slot in self._slots) or not self._token_s:
            return self._largest_piece
        allowed = max(LONGEST_WAIT_S, 3 * self._step_s) - self._step_s
        return min(self._largest_piece, max(SMALLEST_PIECE, int(allowed / self._token_s)))

    def _guarded(self, slot: _Slot, act: Callable[[], Iterator[tuple[Job, Event]]]) -> Iterator[tuple[Job, Event]]:
        """What one job does; what it raises ends it alone."""
        try:
            yield from act()
        except Cancelled:
            yield slot.job, self._end(slot, _reason(slot.job))
        except LlamaChatError as error:
            self._release(slot)
            yield slot.job, Failed("", error)

    def _end(self, slot: _Slot, reason: StopReason | None) -> Event:
        self._release(slot)
        timings = slot.answering.timings
        timings.generation_s = time.perf_counter() - slot.started if not slot.reading else 0.0
        return slot.answering.stop(reason)

    def _release(self, slot: _Slot) -> None:
        """Gives the slot's context back."""
        self._slots.remove(slot)
        with slot.job._lock:
            slot.job.done, slot.job._slot = True, None
            if slot.job.cancelled:
                slot.context.resume()
        slot.window.end()
        self._pool.give(slot.context)


def _reason(job: Job) -> StopReason:
    return "deadline" if job.overdue and not job.cancelled else "cancelled"


def _holds(context: EvaluatingContext, prompt: Sequence[int]) -> bool:
    """Whether a context holds a prompt as if it had just been evaluated."""
    return context.n_reusable == len(context.tokens) == len(prompt) and list(context.tokens) == list(prompt)
