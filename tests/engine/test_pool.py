"""What requests share of what was evaluated before, and the memory that it may take."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from turning import N_CTX, Turning, alone, prompt, request

from llamachat.engine.events import Reading, Stop
from llamachat.engine.generate import GenerationOptions
from llamachat.engine.model import Model
from llamachat.engine.pool import ContextPool
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.scheduler import Job, Request
from llamachat.errors import NotEnoughMemory, UsageError


@pytest.fixture(scope="module")
def model(golden: Path) -> Iterator[Model]:
    with Model(golden / "archs" / "llama.gguf", 2) as model:
        yield model


def greedy(ids: list[int], n: int = 4) -> Request:
    return Request(ids, GenerationOptions(max_tokens=n, sampling=SamplingOptions(temp=0)))


def known(turning: Turning, job: Job) -> int:
    return next(event.timings.n_known for event in turning.events[job] if isinstance(event, Stop))


def answered(turning: Turning, *wanted: Request) -> list[int]:
    """Runs requests one after the other; how many tokens of each prompt were known."""
    found = []
    for one in wanted:
        job = turning.add(one)
        turning.finish()
        found.append(known(turning, job))
    return found


def test_a_prompt_begins_in_the_middle_of_what_an_earlier_one_and_its_answer_left(model: Model) -> None:
    turning, shared = Turning(model, 3), prompt(9, 1000)
    first = turning.add(greedy([*shared, 1, 2], 100))
    turning.finish()
    going_on = [*shared, 1, 2, *turning.tokens(first)]
    second, third = turning.add(greedy([*shared, 3, 4])), turning.add(greedy([*going_on, 7]))
    turning.finish()
    # The last token of an answer was not evaluated.
    assert [known(turning, job) for job in (first, second, third)] == [0, 1000, 1000 + 2 + 99]
    assert turning.said(second) == alone(model, greedy([*shared, 3, 4]))
    assert turning.said(third) == alone(model, greedy([*going_on, 7]))


def test_only_what_is_not_shared_is_evaluated(model: Model) -> None:
    turning, shared = Turning(model, 2), prompt(9, 1000)
    answered(turning, greedy([*shared, 1, 2]))
    job = turning.add(greedy([*shared, 3, 4, 5]))
    turning.finish()
    assert [event.n_left for event in turning.events[job] if isinstance(event, Reading)] == [3, 0]


def test_who_begins_like_a_prompt_that_is_being_read_waits_for_it(model: Model) -> None:
    turning, shared = Turning(model, 4), prompt(9, 900)
    jobs = [turning.add(greedy([*shared, i], 40)) for i in range(1, 5)]
    turning.finish()
    assert [known(turning, job) for job in jobs] == [0, 900, 900, 900]


def test_several_branches_of_a_tree_are_kept_side_by_side(model: Model) -> None:
    shared, (one, other) = prompt(9, 300), (prompt(1, 200), prompt(2, 200))
    turning = Turning(model, 1, kept=3)
    branches = [greedy([*shared, *one]), greedy([*shared, *other])]
    assert answered(turning, *branches, *branches) == [0, 300, 499, 499]
    assert answered(turning, greedy([*shared, *one, 5]), greedy([*shared, *other, 6])) == [500, 500]


def test_what_was_least_recently_used_goes_first(model: Model) -> None:
    turning = Turning(model, 1, kept=2)
    first, second, third, fourth = (greedy(prompt(i, 200)) for i in range(4))
    assert answered(turning, first, second, third, first) == [0, 0, 0, 199]
    assert answered(turning, fourth, first, third, second) == [0, 199, 199, 0]


def test_a_conversation_that_goes_on_stays_in_its_context(model: Model) -> None:
    turning, ids = Turning(model, 2), prompt(9, 300)
    for _ in range(4):
        job = turning.add(greedy(ids, 10))
        turning.finish()
        ids = [*ids, *turning.tokens(job)[:-2], 5, 6, 7]  # an end that is spelled otherwise
    assert known(turning, job) == len(ids) - 8 - 3 - 3
    assert len(turning.pool.contexts) == 1


def test_memory_has_a_bound_and_who_waits_comes_later(model: Model) -> None:
    room = 2 * model.context(N_CTX).bytes_of(600)
    turning, most = Turning(model, 4, budget=room), 0
    jobs = [turning.add(request(i, 500, 20)) for i in range(5)]
    while not turning.scheduler.idle:
        turning.step()
        most = max(most, turning.pool.taken_bytes)
        assert sum(one.bytes_of(one.n_past) for one in turning.pool.contexts) <= turning.pool.taken_bytes
    assert 0 < most <= room
    assert [turning.said(job) for job in jobs] == [alone(model, request(i, 500, 20)) for i in range(5)]


def test_what_is_kept_gives_way_to_who_needs_memory(model: Model) -> None:
    context = model.context(N_CTX)
    turning = Turning(model, 3, budget=context.bytes_of(N_CTX), kept=3)
    small = [greedy(prompt(i, 200)) for i in range(3)]
    assert answered(turning, *small) == [0, 0, 0]
    assert sum(bool(one.tokens) for one in turning.pool.contexts) == 3
    (n_known,) = answered(turning, request(9, 1400, 50))
    assert n_known == 0
    assert turning.pool.taken_bytes <= context.bytes_of(N_CTX)
    assert sum(bool(one.tokens) for one in turning.pool.contexts) == 1


def test_the_prefix_that_a_request_needs_is_not_emptied_for_it(model: Model) -> None:
    context = model.context(N_CTX)
    turning, shared = Turning(model, 3, budget=context.bytes_of(1024), kept=3), prompt(9, 800)
    assert answered(turning, greedy([*shared, *prompt(1, 150)]), greedy([*shared, *prompt(2, 150)])) == [0, 800]


def test_a_request_that_alone_exceeds_the_bound_runs_alone(model: Model) -> None:
    turning = Turning(model, 3, budget=1000)
    jobs = [turning.add(request(i, 100, 5)) for i in range(3)]
    running = 0
    while not turning.scheduler.idle:
        turning.step()
        running = max(running, turning.scheduler.n_running)
    assert running == 1
    assert [turning.said(job) for job in jobs] == [alone(model, request(i, 100, 5)) for i in range(3)]


def test_who_gets_no_memory_from_the_system_waits_for_others(model: Model) -> None:
    turning = Turning(model, 3)
    make, refused = turning.pool._make_context, [0]

    def no_more() -> None:
        refused[0] += 1
        raise NotEnoughMemory("there is none")

    turning.pool._make_context = no_more  # type: ignore[assignment]
    jobs = [turning.add(request(i)) for i in range(3)]
    turning.finish()
    assert refused[0] > 0
    assert [turning.said(job) for job in jobs] == [alone(model, request(i)) for i in range(3)]
    turning.pool._make_context = make


def test_a_pool_answers_at_least_one(model: Model) -> None:
    with pytest.raises(UsageError, match="at least one answer"):
        ContextPool(lambda: model.context(20), 0)
