"""Nobody waits long for others, and nobody for ever; by a clock that counts what evaluations would take."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from turning import N_CTX, Clock, Turning, alone, request

from llamachat.engine.events import Reading, Token
from llamachat.engine.model import Model
from llamachat.engine.scheduler import Job
from llamachat.engine.scheduler.line import MOST_OVERTAKEN


@pytest.fixture(scope="module")
def model(golden: Path) -> Iterator[Model]:
    with Model(golden / "archs" / "llama.gguf", 2) as model:
        yield model


MACHINES = {
    "fast": (0.002, 0.0002, 0.0),
    "slow": (0.05, 0.008, 0.0),
    "attention costs": (0.002, 0.0004, 3e-7),
    "very slow": (0.5, 0.01, 1e-6),
}


def longest_gaps(turning: Turning, clock: Clock, jobs: list[Job]) -> list[float]:
    """Runs all; the longest time between two tokens of each."""
    last, longest = dict.fromkeys(jobs, 0.0), dict.fromkeys(jobs, 0.0)
    while not turning.scheduler.idle:
        for job, event in turning.scheduler.step():
            turning.events[job].append(event)
            if isinstance(event, Token) and job in last:
                if last[job]:
                    longest[job] = max(longest[job], clock.now - last[job])
                last[job] = clock.now
    return list(longest.values())


@pytest.mark.parametrize("machine", MACHINES)
def test_no_running_answer_waits_long_while_prompts_are_read(model: Model, machine: str) -> None:
    clock = Clock(*MACHINES[machine])
    turning = Turning(model, 8, clock)
    running = [turning.add(request(i, 5, 300)) for i in range(2)]
    turning.until(lambda: all(turning.tokens(job) for job in running))
    before = clock.now
    turning.until(lambda: clock.now > before)
    step = clock.now - before
    others = [turning.add(request(10, 1400, 3)), *(turning.add(request(20 + i, 40, 5)) for i in range(4))]
    assert max(longest_gaps(turning, clock, running)) <= max(0.1, 3.6 * step)  # steps become longer, too
    assert turning.said(others[0]) == alone(model, request(10, 1400, 3))


def test_a_long_prompt_is_read_in_large_pieces_where_the_machine_is_fast(model: Model) -> None:
    clock = Clock(*MACHINES["fast"])
    turning = Turning(model, 2, clock)
    running = turning.add(request(1, 5, 300))
    turning.until(lambda: turning.tokens(running))
    long = turning.add(request(2, 1200, 3))
    turning.finish()
    left = [event.n_left for event in turning.events[long] if isinstance(event, Reading)]
    pieces = [before - after for before, after in pairwise(left)]
    assert sum(pieces) == 1200
    assert 64 <= max(pieces) <= 0.08 / 0.0002


def test_a_long_prompt_comes_to_its_end_among_many_short_ones(model: Model) -> None:
    clock = Clock(0.01, 0.001)
    turning = Turning(model, 3, clock)
    turning.add(request(1, 5, 400))
    long = turning.add(request(2, 1200, 1))
    for i in range(1000):
        if turning.scheduler.n_waiting < 2:
            turning.add(request(100 + i, 100, 1))
        turning.step()
        if long.done:
            break
    assert long.done
    turning.scheduler.close()


def test_a_request_that_needs_much_memory_is_overtaken_only_so_often(model: Model) -> None:
    room = model.context(N_CTX).bytes_of(N_CTX)
    turning = Turning(model, 4, budget=room + room // 2)
    jobs = [turning.add(request(1, 700, 200)), turning.add(request(2, 1000, 500))]
    turning.step()
    large = jobs[1]
    assert turning.scheduler.n_waiting == 1
    begun = 0
    for i in range(1000):
        if turning.scheduler.n_waiting < 3:
            jobs.append(turning.add(request(100 + i, 20, 40)))
        turning.step()
        if turning.tokens(large):
            break
        begun = sum(bool(turning.tokens(job)) for job in jobs[2:])
    assert 0 < begun <= MOST_OVERTAKEN
    assert large.overtaken <= MOST_OVERTAKEN
    turning.scheduler.close()


def test_requests_begin_in_their_order_where_all_fit(model: Model) -> None:
    turning = Turning(model, 2)
    jobs = [turning.add(request(i, 10 + i, 4)) for i in range(9)]
    read: list[Job] = []
    while not turning.scheduler.idle:
        read += [job for job, event in turning.step() if isinstance(event, Reading)]
    assert list(dict.fromkeys(read)) == jobs
