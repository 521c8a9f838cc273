"""Requests that come and go while others run: each gets what it would get alone, and ends for itself."""

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from llamachat.engine.context import Context
from llamachat.engine.events import Event, Failed, Reading, Stop, Token
from llamachat.engine.generate import GenerationOptions, generate
from llamachat.engine.model import Model
from llamachat.engine.pool import ContextPool
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.scheduler import LARGEST_PIECE, Job, Request, Scheduler
from llamachat.errors import Busy, ContextFull, UsageError

N_CTX = 1500
N_MANY = int(os.environ.get("LLAMACHAT_REQUESTS", "200"))


class Numbers:
    """A token prints its number; none ends a text."""

    n_vocab, eog, add_bos = 80, frozenset[int](), False

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        return f"{token} ".encode()

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        return []


@pytest.fixture(scope="module")
def model(golden: Path) -> Iterator[Model]:
    with Model(golden / "archs" / "llama.gguf", 2) as model:
        yield model


def prompt(seed: int, n: int) -> list[int]:
    return [int(token) for token in np.random.default_rng(seed).integers(1, 80, n)]


def request(seed: int, n_prompt: int = 12, n_answer: int = 10, **more: object) -> Request:
    sampling = SamplingOptions(temp=2, top_k=0, seed=seed)
    return Request(prompt(seed, n_prompt), GenerationOptions(max_tokens=n_answer, sampling=sampling), **more)  # type: ignore[arg-type]


def failing() -> Request:
    nothing = SamplingOptions(logit_bias=tuple(f"{token}-inf" for token in range(80)))
    return Request([1, 2, 3], GenerationOptions(sampling=nothing))


class Turning:
    """A scheduler that a test turns; it counts what is evaluated."""

    def __init__(self, model: Model, most: int, budget: int | None = None, most_waiting: int | None = None) -> None:
        self.pool = ContextPool(lambda: model.context(N_CTX), most, budget)
        self.scheduler = Scheduler(self.pool, Numbers(), most_waiting)
        self.events: dict[Job, list[Event]] = {}

    def add(self, one: Request) -> Job:
        job = self.scheduler.add(one)
        self.events[job] = []
        return job

    def step(self) -> list[tuple[Job, Event]]:
        happened = list(self.scheduler.step())
        for job, event in happened:
            self.events[job].append(event)
        return happened

    def finish(self) -> None:
        while not self.scheduler.idle:
            self.step()

    def said(self, job: Job) -> list[Event]:
        return [event for event in self.events[job] if not isinstance(event, Reading)]

    def tokens(self, job: Job) -> list[int]:
        return [event.id for event in self.events[job] if isinstance(event, Token)]


def alone(model: Model, one: Request) -> list[Event]:
    return list(generate(model.context(N_CTX), Numbers(), one.prompt, one.options))


def test_requests_that_arrive_while_others_run_get_what_they_would_get_alone(model: Model) -> None:
    turning = Turning(model, 3)
    wanted = [request(i, 5 + 60 * i, 6 + 3 * i) for i in range(7)]
    jobs = []
    for one in wanted:
        jobs.append(turning.add(one))
        turning.step()
        turning.step()
    turning.finish()
    assert [turning.said(job) for job in jobs] == [alone(model, one) for one in wanted]


def test_a_long_prompt_is_read_in_pieces_between_the_steps_of_others(model: Model) -> None:
    turning = Turning(model, 2)
    running = turning.add(request(1, 5, 400))
    while not turning.tokens(running):
        turning.step()
    turning.scheduler._token_s = turning.scheduler._step_s = 1e-3  # as on a machine where a piece is 77 tokens
    long = turning.add(request(2, 1200, 3))
    reads, before = 0, len(turning.tokens(running))
    while not turning.tokens(long):
        happened = turning.step()
        turning.scheduler._token_s = turning.scheduler._step_s = 1e-3
        reads += any(job is long and isinstance(event, Reading) for job, event in happened)
        assert any(job is running and isinstance(event, Token) for job, event in happened)
    assert reads > 10
    assert len(turning.tokens(running)) - before >= reads
    turning.finish()
    assert turning.said(long) == alone(model, request(2, 1200, 3))


def test_nobody_waits_for_pieces_where_nobody_runs(model: Model) -> None:
    turning = Turning(model, 1)
    job = turning.add(request(2, 1200, 1))
    turning.finish()
    left = [event.n_left for event in turning.events[job] if isinstance(event, Reading)]
    assert left == [1200, 1200 - LARGEST_PIECE, 1200 - 2 * LARGEST_PIECE, 0]


def test_a_short_prompt_does_not_wait_for_a_long_one(model: Model) -> None:
    turning = Turning(model, 2)
    long, short = turning.add(request(1, 1400, 2)), turning.add(request(2, 10, 2))
    while not turning.tokens(short):
        turning.step()
    assert not turning.tokens(long)
    turning.finish()
    assert turning.said(long) == alone(model, request(1, 1400, 2))


def test_what_one_request_raises_ends_it_alone(model: Model) -> None:
    turning = Turning(model, 3)
    good, bad = turning.add(request(3)), turning.add(failing())
    turning.finish()
    assert isinstance(turning.said(bad)[-1], Failed)
    assert turning.said(good) == alone(model, request(3))


def test_a_request_that_cannot_be_answered_is_refused_when_it_is_added(model: Model) -> None:
    turning = Turning(model, 1, most_waiting=1)
    with pytest.raises(UsageError, match="empty"):
        turning.add(Request([], GenerationOptions()))
    with pytest.raises(ContextFull, match="1501 tokens"):
        turning.add(Request([1] * 1501, GenerationOptions()))
    with pytest.raises(UsageError):
        turning.add(Request([1], GenerationOptions(sampling=SamplingOptions(logit_bias=("900-inf",)))))
    turning.add(request(1))
    with pytest.raises(Busy, match="1 requests wait"):
        turning.add(request(2))


@pytest.mark.parametrize("moment", ["waiting", "reading", "answering"])
def test_one_request_is_cancelled_and_the_others_go_on(model: Model, moment: str) -> None:
    turning = Turning(model, 1 if moment == "waiting" else 2)
    other, job = turning.add(request(1, 12, 30)), turning.add(request(2, 1100, 30))
    turning.step()
    if moment == "answering":
        while not turning.tokens(job):
            turning.step()
    job.cancel()
    turning.finish()
    (stop,) = [event for event in turning.events[job] if isinstance(event, Stop)]
    assert stop.reason == "cancelled"
    assert turning.said(other) == alone(model, request(1, 12, 30))
    again = turning.add(request(2, 1100, 5))
    turning.finish()
    assert turning.said(again) == alone(model, request(2, 1100, 5))


def test_a_prompt_that_is_read_just_now_is_given_up_from_another_thread(model: Model) -> None:
    turning = Turning(model, 1)
    job = turning.add(request(1, 1400, 5))
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        seen.append(done)
        canceller = threading.Thread(target=job.cancel)
        canceller.start()
        canceller.join()

    while not turning.scheduler.idle:
        for _, event in turning.scheduler.step(progress):
            turning.events[job].append(event)
    assert len(seen) == 1
    assert turning.said(job)[-1].reason == "cancelled"  # type: ignore[attr-defined]


def test_a_deadline_ends_a_request_wherever_it_is(model: Model) -> None:
    turning = Turning(model, 1)
    running, waiting = turning.add(request(1, 12, 30)), turning.add(request(2, 12, 30, deadline_s=0.0))
    turning.step()
    turning.step()
    assert [event.reason for event in turning.events[waiting] if isinstance(event, Stop)] == ["deadline"]
    late = turning.add(request(3, 12, 30, deadline_s=3600.0))
    late.added -= 3601
    turning.finish()
    assert [event.reason for event in turning.events[late] if isinstance(event, Stop)] == ["deadline"]
    assert turning.said(running) == alone(model, request(1, 12, 30))


def known(events: Sequence[Event]) -> int:
    return next(event.timings.n_known for event in events if isinstance(event, Stop))


def test_a_prompt_begins_where_an_earlier_one_that_is_still_kept_ends(model: Model) -> None:
    turning, shared = Turning(model, 3), prompt(9, 1000)
    plain = GenerationOptions(max_tokens=4, sampling=SamplingOptions(temp=0))
    first = turning.add(Request([*shared, 1, 2], plain))
    turning.finish()
    second, third = turning.add(Request([*shared, 3, 4], plain)), turning.add(Request([*shared, 5], plain))
    turning.finish()
    assert [known(turning.events[job]) for job in (first, second, third)] == [0, 1000, 1000]
    assert turning.said(second) == alone(model, Request([*shared, 3, 4], plain))


def test_who_begins_like_a_prompt_that_is_read_just_now_waits_for_it(model: Model) -> None:
    turning, shared = Turning(model, 4), prompt(9, 900)
    plain = GenerationOptions(max_tokens=40, sampling=SamplingOptions(temp=0))
    jobs = [turning.add(Request([*shared, i], plain)) for i in range(1, 5)]
    turning.finish()
    assert [known(turning.events[job]) for job in jobs] == [0, 900, 900, 900]


def test_memory_has_a_bound_and_who_waits_comes_later(model: Model) -> None:
    context: Context = model.context(N_CTX)
    turning = Turning(model, 4, budget=2 * context.bytes_of(600))
    jobs = [turning.add(request(i, 500, 20)) for i in range(5)]
    most = 0
    while not turning.scheduler.idle:
        turning.step()
        most = max(most, sum(one.bytes_of(one.n_past) for one in turning.pool.contexts))
    assert most <= 2 * context.bytes_of(600)
    assert [turning.said(job) for job in jobs] == [alone(model, request(i, 500, 20)) for i in range(5)]


def test_many_requests_leave_threads_and_contexts_as_they_were(model: Model) -> None:
    turning = Turning(model, 8)
    turning.add(request(0, 20, 2))
    turning.finish()
    threads = threading.active_count()
    for i in range(N_MANY):
        job = turning.add(request(i % 50, 4 + i % 9, 1 + i % 3) if i % 10 else failing())
        if i % 7 == 0:
            job.cancel()
        turning.step()
    turning.finish()
    assert all(job.done for job in turning.events)
    assert threading.active_count() == threads
    assert len(turning.pool.contexts) <= 8
