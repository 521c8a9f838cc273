"""A step of the answers that are being written: the chosen token of each, and guesses after it, all in one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from llamachat.engine.batch_decoder import BatchDecoder
from llamachat.engine.context import Context
from llamachat.engine.scheduler.job import Slot
from llamachat.errors import Cancelled

Planned = tuple[Slot, Sequence[int]]


class Decoder:
    """Evaluates the tokens that were chosen. step_s: seconds that the last step took, by `clock`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self.step_s = clock, 0.0
        self._batch = BatchDecoder()
        self._rows = np.empty((0, 0), np.float32)  # logits of a step, written over by the next

    def cancel(self) -> None:
        """Stops the step that runs; jobs that are not cancelled are evaluated again. From any thread."""
        self._batch.cancel()

    def step(self, slots: Sequence[Slot]) -> None:
        """Evaluates what each slot has pending, all of it; what one raises becomes its `error`, and ends no other."""
        if not slots:
            return
        begun = self._clock()
        self._batch.resume()  # then look who is cancelled: `cancel` comes after that
        planned: list[Planned] = []
        most = _guesses_each(slots)
        for slot in slots:
            with _alone(slot):
                _check_wanted(slot)
                tokens = slot.generation.extend(slot.answering.token, slot.answering.n_left, most)
                if tokens:
                    planned.append((slot, tokens))
                else:
                    _finish(slot, slot.generation.taken(None))
        first, n_rows = 0, sum(len(tokens) for _, tokens in planned)
        for portion in _portions(planned):
            self._evaluate(portion, first, n_rows)
            first += sum(len(tokens) for _, tokens in portion)
        self.step_s = self._clock() - begun

    def _evaluate(self, portion: Sequence[Planned], first: int, n_rows: int) -> None:
        """Together; where that fails, each again for itself. It begins with row `first` of the n_rows of a step."""
        if len(portion) == 1:
            ((slot, tokens),) = portion
            with _alone(slot):
                _finish(slot, slot.generation.evaluate(tokens))
            return
        try:
            self._together(portion, first, n_rows)
        except Exception:
            for slot, _ in portion:  # whose fault it was fails again
                with _alone(slot):
                    _check_wanted(slot)
                    _finish(slot, slot.generation.again())

    def _together(self, portion: Sequence[Planned], first: int, n_rows: int) -> None:
        contexts = [slot.context for slot, _ in portion if isinstance(slot.context, Context)]
        if n_rows > len(self._rows):
            self._rows = np.empty((n_rows, contexts[0].n_vocab), np.float32)
        last = first + sum(len(tokens) for _, tokens in portion)
        rows = self._batch.eval(contexts, [tokens for _, tokens in portion], self._rows[first:last])
        at = 0
        for slot, tokens in portion:
            own = rows[at : at + len(tokens)]
            at += len(tokens)
            _finish(slot, slot.generation.taken(own if len(tokens) == 1 else own.copy()))


@contextmanager
def _alone(slot: Slot) -> Iterator[None]:
    """What one slot does: what it raises is its own error."""
    try:
        yield
    except Exception as error:
        slot.error = error


def _check_wanted(slot: Slot) -> None:
    if slot.job.cancelled:
        raise Cancelled("the request was cancelled")


def _finish(slot: Slot, logits: np.ndarray) -> None:
    slot.logits, slot.pending = logits, False


def _guesses_each(slots: Sequence[Slot]) -> int | None:
    """How many guesses each may make, so that all fit one step; None: as many as it likes, it is alone."""
    guessing = sum(slot.job.request.speculation is not None for slot in slots)
    if len(slots) == 1 or not guessing:
        return None
    return max(0, (_max_apart(slots[0]) - len(slots)) // guessing)


def _max_apart(slot: Slot) -> int:
    return slot.context.max_apart if isinstance(slot.context, Context) else 1


def _portions(planned: Sequence[Planned]) -> Iterator[list[Planned]]:
    """Those that fit a step: every context of one that is no `Context` alone."""
    portion: list[Planned] = []
    n_rows = 0
    for slot, tokens in planned:
        if portion and n_rows + len(tokens) > _max_apart(slot):
            yield portion
            portion, n_rows = [], 0
        portion.append((slot, tokens))
        n_rows += len(tokens)
    if portion:
        yield portion
