"""Fewer threads where others want the processors, all of them where nobody does; in simulated machines."""

from itertools import pairwise

import pytest

from llamachat.engine.backend.cpu.pace import LONGEST_RETURN_S, Pace

STEP_S = 0.005


class Machine:
    """`cores` processors, of which `busy` have another program: a thread there is three times as slow, and all wait."""

    def __init__(self, cores: int, threads: int) -> None:
        self.cores, self.busy, self.now = cores, 0, 0.0
        self.pace = Pace(threads)
        self.used: list[int] = []

    def run(self, seconds: float, program: int = 1, work: float = STEP_S) -> float:
        """Runs lists for so long; how many a second there were."""
        until, runs = self.now + seconds, 0
        while self.now < until:
            threads = self.pace.threads
            slow = threads > self.cores - self.busy
            wall = work / threads * (3 if slow else 1)
            self.now += wall
            self.used.append(threads)
            self.pace.ran(program, wall, wall / 3 if slow else wall, self.now)
            runs += 1
        return runs / seconds


@pytest.mark.parametrize("cores", [2, 8, 64])
def test_a_machine_of_ones_own_uses_all_threads(cores: int) -> None:
    machine = Machine(cores, cores)
    machine.run(20)
    assert set(machine.used) == {cores}


def test_a_short_disturbance_costs_little() -> None:
    machine = Machine(2, 2)
    machine.run(1)
    machine.busy = 1
    machine.run(0.3)
    machine.busy = 0
    machine.run(1)
    assert machine.pace.threads == 2
    machine.used.clear()
    machine.run(10)
    assert set(machine.used) == {2}


@pytest.mark.parametrize(("cores", "busy"), [(2, 1), (8, 1), (64, 1), (8, 3)])
def test_busy_processors_are_left_to_others(cores: int, busy: int) -> None:
    machine = Machine(cores, cores)
    alone = machine.run(2)
    machine.busy = busy
    machine.run(1 if busy == 1 else 10)
    assert machine.pace.threads == cores - busy
    share = machine.run(20) / alone
    assert share > 0.9 * (cores - busy) / cores
    machine.busy = 0
    machine.run(2 * LONGEST_RETURN_S + 0.5)
    assert machine.run(5) == pytest.approx(alone, rel=0.01)


def test_waiting_that_fewer_threads_do_not_shorten_changes_nothing() -> None:
    """As with shares that differ: the calling thread waits, but with fewer threads all takes longer."""
    pace, now, used = Pace(4), 0.0, []
    while now < 60:
        threads = pace.threads
        wall = STEP_S / threads
        now += wall
        used.append(threads)
        pace.ran(1, wall, wall / 2, now)
    assert used.count(4) > 0.95 * len(used)
    assert set(used) == {2, 3, 4}


def test_lists_that_have_nothing_in_common_prove_nothing() -> None:
    pace, now, used = Pace(2), 0.0, [2]
    for program in range(1000):
        used.append(pace.threads)
        for _ in range(3):
            now += 0.1
            pace.ran(program, 0.1, 0.01, now)
    assert (1, 1) not in set(pairwise(used))


def test_one_long_list_is_not_judged_by_itself() -> None:
    pace = Pace(2)
    pace.ran(1, 10.0, 1.0, 10.0)
    assert pace.threads == 2
