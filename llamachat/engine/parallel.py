"""Several answers at once: every step takes one token of each, so that the weights are read once for all of them.

Each answer is what it would be alone, to the bit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from llamachat.engine.answering import Answering, GenerationOptions
from llamachat.engine.context import Context, Together
from llamachat.engine.events import Event, Progress, StopReason
from llamachat.engine.sampling.vocabulary import Vocabulary
from llamachat.engine.window import Window
from llamachat.errors import Cancelled, ContextFull, UsageError


@dataclass(frozen=True)
class Request:
    """A prompt in tokens, and how it is to be answered."""

    prompt: Sequence[int]
    options: GenerationOptions


@dataclass(eq=False)
class _Slot:
    """An answer that is being written, and the context that it is written in."""

    index: int
    context: Context
    window: Window
    answering: Answering
    logits: np.ndarray
    started: float


class Batch:
    """Answers requests, at most `n_slots` at a time; `make_context` makes as many contexts, all alike."""

    def __init__(self, make_context: Callable[[], Context], vocabulary: Vocabulary, n_slots: int) -> None:
        if n_slots < 1:
            raise UsageError(f"at least one answer must be written at a time, not {n_slots}")
        self._make_context, self._vocabulary, self._n_slots = make_context, vocabulary, n_slots
        self._together = Together()
        self._contexts = [make_context()]
        self._free = list(self._contexts)
        self._cancelled = False
        self._rows = np.empty((0, 0), np.float32)  # logits of a step, written over by the next

    def answers(self, requests: Sequence[Request], progress: Progress | None = None) -> Iterator[tuple[int, Event]]:
        """(number of the request, event) as they come; each answer ends with its Stop.

        Raises UsageError and ContextFull, with the number of the request, before anything is evaluated. What one
        answer raises later ends all of them.
        """
        n_ctx, checked = self._contexts[0].n_ctx, list[GenerationOptions]()
        for number, request in enumerate(requests, 1):
            if not request.prompt:
                raise UsageError(f"prompt {number} is empty")
            if len(request.prompt) > n_ctx:
                raise ContextFull(
                    f"prompt {number} has {len(request.prompt)} tokens, but a context holds {n_ctx}; "
                    "shorten it or use a larger context"
                )
            self._check(number, request.options, checked)
        return self._events(deque(enumerate(requests)), progress)

    def cancel(self) -> None:
        """Ends all answers, from another thread."""
        self._cancelled = True
        self._together.cancel()
        for context in self._contexts.copy():
            context.cancel()

    def resume(self) -> None:
        """Takes a `cancel` back that nothing has seen."""
        self._cancelled = False
        self._together.resume()
        for context in self._contexts:
            context.resume()

    def _check(self, number: int, options: GenerationOptions, checked: list[GenerationOptions]) -> None:
        """Raises UsageError for options that no answer can have; those that were checked are not looked at again."""
        alike = replace(options, max_tokens=1, sampling=replace(options.sampling, seed=0))
        if alike in checked:
            return
        try:
            Answering(self._vocabulary, alike, ())
        except UsageError as error:
            raise UsageError(f"prompt {number}: {error}") from error
        checked.append(alike)

    def _events(self, waiting: deque[tuple[int, Request]], progress: Progress | None) -> Iterator[tuple[int, Event]]:
        slots: list[_Slot] = []
        try:
            while waiting or slots:
                while waiting and len(slots) < self._n_slots:
                    slots.append(self._begin(*waiting[0], slots, progress))
                    waiting.popleft()
                for slot in slots[:]:  # those that end leave the list
                    yield from self._choose(slot, slots)
                self._evaluate(slots)
        except Cancelled:
            while slots:
                slot = slots.pop(0)
                yield slot.index, self._end(slot, "cancelled")
            for index, request in waiting:
                yield index, Answering(self._vocabulary, request.options, request.prompt).stop("cancelled")
        finally:
            for slot in slots:
                self._end(slot, "cancelled")

    def _begin(self, index: int, request: Request, slots: Sequence[_Slot], progress: Progress | None) -> _Slot:
        """Evaluates a prompt; where another answer has just begun with the same one, its cache is copied."""
        answering, started = Answering(self._vocabulary, request.options, request.prompt), time.perf_counter()
        n_keep = request.options.kept(len(request.prompt), self._vocabulary.add_bos)
        answering.timings.n_keep = n_keep or 0
        context = self._take()
        window = Window(context, n_keep, answering.timings)
        try:
            if self._cancelled:
                raise Cancelled("stopped before a prompt was read")
            same = next((slot for slot in slots if _holds(slot.context, request.prompt)), None)
            if same is not None:
                context.copy(same.context)
                window.take_over(request.prompt)
                logits = same.logits
            else:
                logits = window.begin(request.prompt, progress)
                answering.timings.prompt_s = time.perf_counter() - started
        except BaseException:
            window.end()
            self._free.append(context)
            raise
        return _Slot(index, context, window, answering, logits, time.perf_counter())

    def _take(self) -> Context:
        if not self._free:
            self._contexts.append(self._make_context())
            return self._contexts[-1]
        return self._free.pop()

    def _choose(self, slot: _Slot, slots: list[_Slot]) -> Iterator[tuple[int, Event]]:
        """The next token of an answer, or its end, with which it is a slot no more."""
        answering = slot.answering
        token = answering.choose(slot.logits) if answering.reason is None else None
        if token is not None:
            yield slot.index, token
        if answering.reason is not None or not slot.window.can_go_on():
            slots.remove(slot)
            yield slot.index, self._end(slot, None if answering.reason else "context")

    def _end(self, slot: _Slot, reason: StopReason | None) -> Event:
        slot.window.end()
        slot.answering.timings.generation_s = time.perf_counter() - slot.started
        slot.context.rewind(slot.context.n_reusable)  # the next answer in it knows nothing of this one
        self._free.append(slot.context)
        return slot.answering.stop(reason)

    def _evaluate(self, slots: Sequence[_Slot]) -> None:
        if not slots:
            return
        contexts, tokens = [slot.context for slot in slots], [slot.answering.token for slot in slots]
        if len(slots) <= len(self._rows):
            rows = self._together.eval(contexts, tokens, self._rows[: len(slots)])
        else:
            rows = self._rows = self._together.eval(contexts, tokens)
        for slot, row in zip(slots, rows, strict=True):
            slot.logits = row


def _holds(context: Context, prompt: Sequence[int]) -> bool:
    """Whether a context holds a prompt as if it had just been evaluated."""
    return context.n_reusable == len(context.tokens) == len(prompt) and context.tokens == list(prompt)
