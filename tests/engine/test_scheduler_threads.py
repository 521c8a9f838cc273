"""Requests that other threads add, cancel and wait for while one thread takes steps."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from turning import Turning, alone, prompt, request

from llamachat.engine.events import Event, Failed, Notice, Stop
from llamachat.engine.model import Model
from llamachat.engine.scheduler import Job
from llamachat.errors import Busy

N_THREADS, N_EACH = 4, 6


@pytest.fixture(scope="module")
def model(golden: Path) -> Iterator[Model]:
    with Model(golden / "archs" / "llama.gguf", 2) as model:
        yield model


class Serving:
    """A thread that takes the steps of a scheduler, as a server does, until it is stopped."""

    def __init__(self, turning: Turning) -> None:
        self._turning, self._stopped = turning, threading.Event()
        self.events: dict[Job, list[Event]] = {}
        self.ended = threading.Condition()
        self.errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        try:
            while not self._stopped.is_set():
                if self._turning.scheduler.wait(0.05):
                    for job, event in self._turning.scheduler.step():
                        with self.ended:
                            self.events.setdefault(job, []).append(event)
                            self.ended.notify_all()
        except BaseException as error:
            self.errors.append(error)

    def answer(self, job: Job) -> list[Event]:
        """What was said to a job, when it is done."""
        with self.ended:
            assert self.ended.wait_for(lambda: self._has_ended(job) or self.errors, 60)
            return [event for event in self.events[job] if not isinstance(event, Notice)]

    def _has_ended(self, job: Job) -> bool:
        return isinstance(self.events.get(job, [None])[-1], Stop | Failed)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        assert not self.errors


def test_many_threads_add_and_cancel_and_each_gets_its_answer(model: Model) -> None:
    turning = Turning(model, 3, n_ctx=400)
    serving, found = Serving(turning), dict[int, list[Event]]()

    def ask(number: int) -> None:
        for i in range(number * N_EACH, (number + 1) * N_EACH):
            job = turning.scheduler.add(request(i, 10 + 20 * (i % 9), 8))
            if i % 4 == 3:
                job.cancel()
            found[i] = serving.answer(job)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(N_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    serving.stop()
    assert len(found) == N_THREADS * N_EACH
    for i, said in found.items():
        wanted = alone(model, request(i, 10 + 20 * (i % 9), 8), 400)
        cancelled = isinstance(said[-1], Stop) and said[-1].reason == "cancelled"
        assert said == wanted or (i % 4 == 3 and cancelled and said[:-1] == wanted[: len(said) - 1])
    assert turning.scheduler.idle


def test_everything_can_be_cancelled_again_and_again(model: Model) -> None:
    turning = Turning(model, 3, n_ctx=400)
    serving = Serving(turning)
    for _ in range(5):
        jobs = [turning.scheduler.add(request(i, 300, 80)) for i in range(5)]
        turning.scheduler.cancel_all()
        assert all(isinstance(serving.answer(job)[-1], Stop) for job in jobs)
    last = turning.scheduler.add(request(1, 30, 20))
    assert serving.answer(last) == alone(model, request(1, 30, 20), 400)
    serving.stop()


def test_waiting_ends_when_something_comes_or_after_its_time(model: Model) -> None:
    turning = Turning(model, 1, n_ctx=400)
    assert not turning.scheduler.wait(0)
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(turning.scheduler.wait()))
    thread.start()
    turning.add(request(1))
    thread.join(60)
    assert found == [True]
    turning.finish()


def test_no_more_wait_than_may_whoever_adds_them(model: Model) -> None:
    turning, refused = Turning(model, 1, n_ctx=400, most_waiting=10), [0]

    def add() -> None:
        for i in range(5):
            try:
                turning.scheduler.add(request(i))
            except Busy:
                refused[0] += 1

    threads = [threading.Thread(target=add) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (turning.scheduler.n_waiting, refused[0]) == (10, 15)
    turning.scheduler.close()


def test_a_prompt_that_is_being_read_is_given_up_at_once(model: Model) -> None:
    turning, seen = Turning(model, 1), list[int]()
    job = turning.scheduler.add(request(1, 1400, 5))

    def progress(done: int, total: int) -> None:
        seen.append(done)
        canceller = threading.Thread(target=job.cancel)
        canceller.start()
        canceller.join()

    events = [event for _ in range(9) for _, event in turning.scheduler.step(progress)]
    assert len(seen) == 1
    assert isinstance(events[-1], Stop)
    assert events[-1].reason == "cancelled"
    assert prompt(1, 1400)[: seen[0]] == turning.pool.contexts[0].tokens


def test_a_signal_may_cancel_a_request_whose_own_thread_is_just_ending_it(model: Model) -> None:
    """As where a handler of Ctrl+C cancels: it runs in the thread that takes the steps, wherever that is."""
    turning = Turning(model, 1)
    job = turning.add(request(1, 4, 3))
    turning.step()
    (context,) = turning.pool.contexts
    resume = context.resume

    def interrupted() -> None:
        job.cancel()
        resume()

    context.resume = interrupted  # type: ignore[method-assign]
    job.cancel()
    thread = threading.Thread(target=turning.finish, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert turning.said(job)[-1].reason == "cancelled"  # type: ignore[attr-defined]
