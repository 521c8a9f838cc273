"""Requests that come and go while others run: each gets what it would get alone, and ends for itself."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from turning import Clock, Turning, alone, failing, prompt, request

from llamachat.engine.events import Failed, Reading, Stop, Token, Waiting
from llamachat.engine.generate import GenerationOptions, Speculation
from llamachat.engine.model import Model
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.scheduler import LARGEST_PIECE, Request
from llamachat.errors import Busy, ContextFull, GrammarError, ModelFileError, UsageError


@pytest.fixture(scope="module")
def model(golden: Path) -> Iterator[Model]:
    with Model(golden / "archs" / "llama.gguf", 2) as model:
        yield model


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


@pytest.mark.parametrize("moment", ["waiting", "reading", "answering"])
def test_a_deadline_ends_a_request_wherever_it_is(model: Model, moment: str) -> None:
    clock = Clock(0.0, 0.0)
    turning = Turning(model, 1 if moment == "waiting" else 2, clock)
    running, late = turning.add(request(1, 12, 30)), turning.add(request(2, 1100, 30, deadline_s=5.0))
    turning.step()
    if moment == "answering":
        turning.until(lambda: turning.tokens(late))
    assert not late.done
    clock.now += 5
    turning.step()
    assert late.done
    assert [event.reason for event in turning.events[late] if isinstance(event, Stop)] == ["deadline"]
    turning.finish()
    assert turning.said(running) == alone(model, request(1, 12, 30))


class Broken:
    """A proposer with a fault."""

    def propose(self, tokens: Sequence[int], most: int) -> Sequence[int]:
        raise ZeroDivisionError("a fault")


def test_also_a_fault_of_the_program_ends_one_request_alone(model: Model) -> None:
    turning = Turning(model, 3)
    good, bad = turning.add(request(3)), turning.add(request(4, speculation=Speculation(Broken())))
    turning.finish()
    end = turning.said(bad)[-1]
    assert isinstance(end, Failed)
    assert isinstance(end.error, ZeroDivisionError)
    assert turning.said(good) == alone(model, request(3))


def test_numbers_that_are_none_end_a_request_alone(model: Model) -> None:
    turning = Turning(model, 3)
    good, bad = turning.add(request(3, 12, 20)), turning.add(request(4, 12, 20))
    turning.until(lambda: turning.tokens(bad))
    (slot,) = [slot for slot in turning.scheduler._slots if slot.job is bad]
    assert slot.logits is not None
    slot.logits[5] = np.nan
    turning.finish()
    end = turning.said(bad)[-1]
    assert isinstance(end, Failed)
    assert isinstance(end.error, ModelFileError)
    assert turning.said(good) == alone(model, request(3, 12, 20))


def test_a_grammar_that_cannot_go_on_ends_its_request_alone(model: Model) -> None:
    class Stuck:
        """A grammar of one token, after which nothing is possible."""

        def constraint(self, vocabulary: object) -> Any:
            raise GrammarError("nothing can follow")

    turning = Turning(model, 2)
    with pytest.raises(GrammarError):
        turning.add(Request([1, 2], GenerationOptions(grammar=Stuck())))  # type: ignore[arg-type]
    assert turning.scheduler.idle


def test_a_batch_that_fails_is_evaluated_again_one_by_one(model: Model) -> None:
    turning = Turning(model, 4)
    jobs = [turning.add(request(i, 12, 20)) for i in range(3)]
    turning.until(lambda: all(turning.tokens(job) for job in jobs))
    batch, calls = turning.scheduler._decoder._batch, [0]

    def fails(*arguments: Any) -> np.ndarray:
        calls[0] += 1
        raise ModelFileError("the file was cut")

    batch.eval = fails  # type: ignore[method-assign]
    turning.finish()
    assert calls[0] > 10
    assert [turning.said(job) for job in jobs] == [alone(model, request(i, 12, 20)) for i in range(3)]


def test_cancelling_all_spares_a_request_that_comes_then(model: Model) -> None:
    turning = Turning(model, 4)
    jobs = [turning.add(request(i, 12, 20)) for i in range(3)]
    turning.until(lambda: all(turning.tokens(job) for job in jobs))
    turning.scheduler.cancel_all()
    spared = [turning.add(request(i, 12, 20)) for i in range(5, 7)]
    turning.finish()
    assert [stop.reason for job in jobs for stop in turning.said(job) if isinstance(stop, Stop)] == ["cancelled"] * 3
    assert [turning.said(job) for job in spared] == [alone(model, request(i, 12, 20)) for i in range(5, 7)]


def test_a_step_that_is_left_early_goes_on_with_the_next(model: Model) -> None:
    turning = Turning(model, 3)
    jobs = [turning.add(request(i, 12, 15)) for i in range(3)]
    while not turning.scheduler.idle:
        for job, event in turning.scheduler.step():
            turning.events[job].append(event)
            if isinstance(event, Token):
                break
    assert [turning.said(job) for job in jobs] == [alone(model, request(i, 12, 15)) for i in range(3)]


def test_who_waits_gets_its_place_in_the_line(model: Model) -> None:
    turning = Turning(model, 1)
    jobs = [turning.add(request(i, 12, 5)) for i in range(3)]
    turning.step()
    assert [turning.events[job][0] for job in jobs[1:]] == [Waiting(n_before=0), Waiting(n_before=1)]
    assert (turning.scheduler.n_running, turning.scheduler.n_waiting) == (1, 2)
    turning.finish()
    places = [[event.n_before for event in turning.events[job] if isinstance(event, Waiting)] for job in jobs]
    assert places == [[], [0], [1, 0]]


def test_closing_gives_everything_back(model: Model) -> None:
    turning = Turning(model, 2)
    jobs = [turning.add(request(i, 12, 50)) for i in range(4)]
    turning.step()
    turning.scheduler.close()
    assert turning.scheduler.idle
    assert all(job.done for job in jobs)
    assert not turning.pool._busy


def test_logits_of_a_prompt_are_those_of_an_evaluation_and_others_go_on(model: Model) -> None:
    class Taken:
        first = 70

        def __init__(self) -> None:
            self.rows: list[tuple[int, np.ndarray]] = []

        def take(self, position: int, logits: np.ndarray) -> None:
            self.rows.append((position, logits.copy()))

    turning, taken, ids = Turning(model, 3), Taken(), prompt(5, 400)
    running, before = turning.add(request(1, 12, 60)), turning.add(Request(ids, GenerationOptions(max_tokens=1)))
    turning.until(lambda: before.done)
    job = turning.add(Request(ids, GenerationOptions(max_tokens=0), prompt_logits=taken))
    turning.finish()
    assert taken.rows[0][0] == 70
    expected = model.context(1500).eval(ids, "all")[70:]
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in taken.rows]), expected)
    assert [type(event) for event in turning.said(job)] == [Stop]
    assert turning.said(running) == alone(model, request(1, 12, 60))


def test_steps_that_are_closed_after_their_first_event_lose_nothing(model: Model) -> None:
    turning, wanted = Turning(model, 2), [request(1), request(2, n_begun=3), request(3, 40, 5, n_begun=1)]
    jobs = [turning.add(one) for one in [*wanted, failing()]]
    while not turning.scheduler.idle:
        step = iter(turning.scheduler.step())
        for job, event in step:
            turning.events[job].append(event)
            break
        step.close()  # type: ignore[attr-defined]
    assert [turning.said(job) for job in jobs[:3]] == [alone(model, one) for one in wanted]
    assert isinstance(turning.said(jobs[3])[-1], Failed)
