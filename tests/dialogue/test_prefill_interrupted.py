"""A prefill that is stopped while Ctrl+C comes: nothing is computed when `stop` ends."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from llamachat.dialogue.prefill import Prefill


class _Context:
    """Counts what it is asked; `going` is set until it is cancelled."""

    def __init__(self) -> None:
        self.cancelled, self.resumed = threading.Event(), 0

    def cancel(self) -> None:
        self.cancelled.set()

    def resume(self) -> None:
        self.resumed += 1


def responder(context: _Context) -> Any:
    return SimpleNamespace(context=context, model=SimpleNamespace(tokenizer=SimpleNamespace(piece_bytes=None)))


def test_an_interrupt_is_raised_when_the_evaluation_has_ended() -> None:
    context, begun, ended, interrupts = _Context(), threading.Event(), threading.Event(), iter([True, True])

    def find() -> list[int]:
        begun.set()
        context.cancelled.wait(10)
        ended.wait(10)
        raise RuntimeError

    prefill = Prefill(responder(context), find)
    prefill.start()
    assert begun.wait(10)
    wait = prefill._ended.wait

    def interrupted(*given: Any) -> bool:
        if next(interrupts, False):
            raise KeyboardInterrupt
        ended.set()
        return wait(*given)

    prefill._ended.wait = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        prefill.stop()
    assert prefill._ended.is_set()
    assert context.resumed == 1


def test_one_that_has_not_begun_does_nothing() -> None:
    context, found = _Context(), []
    prefill = Prefill(responder(context), lambda: found.append(1) or [])
    prefill.stop()
    prefill.start()
    prefill._thread.join()
    assert not found
    assert context.resumed == 1
