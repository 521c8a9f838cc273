"""Several answers at once: every step takes one token of each, so that the weights are read once for all of them.

Each answer is what it would be alone, to the bit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

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


@dataclass
class _Slot:
    """An answer that is being written, and the context that it is written in."""

    index: int
    context: Context
    window: Window
    answering: Answering
    logits: np.ndarray
    started: float


class Batch:
    """Answers requests, at most `n_slots` at a time; `make_context` makes the contexts, all alike."""

    def __init__(self, make_context: Callable[[], Context], vocabulary: Vocabulary, n_slots: int) -> None:
        if n_slots < 1:
            raise UsageError(f"at least one answer must be written at a time, not {n_slots}")
        self._make_context, self._vocabulary, self._n_slots = make_context, vocabulary, n_slots
        self._together = Together()
        self._first = make_context()
        self._free: list[Context] = [self._first]
        self._rows = np.empty((0, 0), np.float32)  # logits of a step, written over by the next

    def answers(self, requests: Sequence[Request], progress: Progress | None = None) -> Iterator[tuple[int, Event]]:
        """(number of the request, event) as they come; each answer ends with its Stop.

        Raises UsageError and ContextFull, with the number of the request, before anything is evaluated.
        """
        for number, request in enumerate(requests, 1):
            if not request.prompt:
                raise UsageError(f"prompt {number} is empty")
            if len(request.prompt) > self._first.n_ctx:
                raise ContextFull(
                    f"prompt {number} has {len(request.prompt)} tokens, but a context holds {self._first.n_ctx}; "
                    "shorten it or use a larger context (--ctx-size)"
                )
        return self._events(deque(enumerate(requests)), progress)

    def cancel(self) -> None:
        """Ends all answers, from another thread."""
        self._together.cancel()
        self._first.cancel()

    def resume(self) -> None:
        """Takes a `cancel` back that nothing has seen."""
        self._together.resume()
        self._first.resume()

    def _events(self, waiting: deque[tuple[int, Request]], progress: Progress | None) -> Iterator[tuple[int, Event]]:
        slots: list[_Slot] = []
        try:
            while waiting or slots:
                while waiting and len(slots) < self._n_slots:
                    slots.append(self._begin(*waiting.popleft(), slots, progress))
                going: list[_Slot] = []
                for slot in slots:
                    yield from self._choose(slot, going)
                self._evaluate(going)
                slots = going
        except Cancelled:
            for slot in slots:
                yield slot.index, self._end(slot, "cancelled")
            for index, request in waiting:
                yield index, Answering(self._vocabulary, request.options, request.prompt).stop("cancelled")

    def _begin(self, index: int, request: Request, slots: Sequence[_Slot], progress: Progress | None) -> _Slot:
        """Evaluates a prompt; where another answer has just begun with the same one, its cache is copied."""
        answering, started = Answering(self._vocabulary, request.options, request.prompt), time.perf_counter()
        same = next((s for s in slots if s.context.tokens == list(request.prompt)), None)
        context = same.context.fork() if same is not None else self._take()
        n_keep = request.options.kept(len(request.prompt), self._vocabulary.add_bos)
        window = Window(context, n_keep, answering.timings)
        if same is not None:
            window.take_over(request.prompt)
            return _Slot(index, context, window, answering, same.logits, time.perf_counter())
        logits = window.begin(request.prompt, progress)
        answering.timings.prompt_s = time.perf_counter() - started
        return _Slot(index, context, window, answering, logits, time.perf_counter())

    def _take(self) -> Context:
        return self._free.pop() if self._free else self._make_context()

    def _choose(self, slot: _Slot, going: list[_Slot]) -> Iterator[tuple[int, Event]]:
        answering = slot.answering
        token = answering.choose(slot.logits) if answering.reason is None else None
        if token is not None:
            yield slot.index, token
        if answering.reason is None and slot.window.can_go_on():
            going.append(slot)
        else:
            yield slot.index, self._end(slot, None if answering.reason else "context")

    def _end(self, slot: _Slot, reason: StopReason | None) -> Event:
        slot.window.end()
        slot.answering.timings.generation_s = time.perf_counter() - slot.started
        self._free.append(slot.context)
        return slot.answering.stop(reason)

    def _evaluate(self, going: Sequence[_Slot]) -> None:
        if not going:
            return
        contexts, tokens = [slot.context for slot in going], [slot.answering.token for slot in going]
        if len(going) <= len(self._rows):
            rows = self._together.eval(contexts, tokens, self._rows[: len(going)])
        else:
            rows = self._rows = self._together.eval(contexts, tokens)
        for slot, row in zip(going, rows, strict=True):
            slot.logits = row
