"""Asking an evaluation to stop: seen by the one that runs, or by the next, once; taken back between them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from llamachat.engine.cancellation import Cancellation
from llamachat.errors import Cancelled


@contextmanager
def step(cancellation: Cancellation, stop: Callable[[], object]) -> Iterator[None]:
    """As backends run one."""
    with cancellation.running:
        try:
            cancellation.begin(stop)
            yield
        finally:
            cancellation.end()


def test_a_step_that_runs_is_stopped_from_another_thread() -> None:
    cancellation, stopped = Cancellation(), threading.Event()
    with step(cancellation, stopped.set):
        assert not stopped.is_set()
        thread = threading.Thread(target=cancellation.cancel)
        thread.start()
        thread.join()
        assert stopped.is_set()
        with pytest.raises(Cancelled):
            cancellation.check()
        cancellation.check()


def test_a_request_before_a_step_stops_it_at_its_beginning() -> None:
    cancellation, stops = Cancellation(), []
    cancellation.cancel()
    with step(cancellation, lambda: stops.append(1)):
        assert stops == [1]


def test_a_step_that_has_ended_is_stopped_by_nobody() -> None:
    cancellation, stops = Cancellation(), []
    with pytest.raises(ValueError, match="its own"), step(cancellation, lambda: stops.append(1)):
        raise ValueError("its own")
    cancellation.cancel()
    assert stops == []


def test_a_signal_may_cancel_what_its_own_thread_is_beginning() -> None:
    cancellation, stops = Cancellation(), []
    cancellation.cancel()

    def stop() -> None:  # while the step begins
        stops.append(1)
        if len(stops) == 1:
            cancellation.cancel()

    with step(cancellation, stop):
        assert len(stops) == 2


def test_resuming_waits_for_the_evaluation_that_runs() -> None:
    cancellation = Cancellation()
    with step(cancellation, lambda: None):
        cancellation.cancel()
        thread = threading.Thread(target=cancellation.resume)
        thread.start()
        thread.join(0.05)
        assert cancellation.requested
    thread.join()
    assert not cancellation.requested
