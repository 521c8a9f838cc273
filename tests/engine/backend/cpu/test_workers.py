"""The worker pool: every thread walks every launch, and all of them end."""

import gc
import os
import threading
import weakref
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import pytest
from machine import Array

from llamachat.engine.backend.cpu import workers
from llamachat.engine.backend.cpu.cores import default_threads
from llamachat.engine.backend.cpu.jit.compiler import Compiler, KernelSpec, choose_isa
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.kernels.limits import OPERANDS, FusedRate
from llamachat.engine.backend.cpu.limits import bandwidth_meter, product_rate
from llamachat.engine.backend.cpu.pace import Pace
from llamachat.engine.backend.cpu.program import Launch, Region, build
from llamachat.engine.backend.cpu.workers import Step, WorkerPool
from llamachat.errors import UsageError

N_LAUNCHES = 50


@dataclass(frozen=True)
class Chain(KernelSpec):
    """Each thread adds 1 to what its neighbour wrote in the launch before: wrong unless barriers hold."""

    arguments: ClassVar = ("before", "after")
    reads: ClassVar = ("before",)
    writes: ClassVar = ("after",)

    def emit(self, k: Kernel, isa: Generic) -> None:
        """One i64 a thread."""
        neighbour = (k.thread + 1) % k.n_threads
        value = k.pointer("before")[neighbour * 8].load(k.thread.type, 8)
        k.pointer("after")[k.thread * 8].store(value + 1, 8)


@dataclass(frozen=True)
class Cancel(KernelSpec):
    """Sets the step's flag, as a person would from another thread; between launches that touch `before` and `after`."""

    arguments: ClassVar = ("flag",)
    writes: ClassVar = ("flag", "before", "after")

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Written by every thread."""
        k.pointer("flag").store_atomic(k.number(1))


@pytest.fixture(scope="module")
def compiler() -> Compiler:
    return Compiler(choose_isa())


def chain(a: Array, b: Array) -> list[Launch]:
    """Launches that count from a to b and back."""
    regions = [Region(array.values.nbytes, fixed=array.address) for array in (a, b)]
    launches = []
    for i in range(N_LAUNCHES):
        before, after = regions[i % 2], regions[1 - i % 2]
        launches.append(Launch(Chain(), {"before": before, "after": after}))
    return launches


@pytest.mark.parametrize("n_threads", [1, 2, 3, 4, 8, 9, 24, 33])
def test_every_thread_walks_every_launch(compiler: Compiler, n_threads: int) -> None:
    a, b = (Array(np.zeros(n_threads, np.int64)) for _ in range(2))
    program, pool = build(chain(a, b), compiler), WorkerPool(compiler, n_threads)
    rounds = 20 if n_threads < 5 else 3
    for _ in range(rounds):
        pool.run(program.address, program.n_launches, Step())
    pool.close()
    assert a.values.tolist() == [rounds * N_LAUNCHES] * n_threads
    assert a.intact()
    assert b.intact()


def test_a_pool_that_slept_works_again(compiler: Compiler) -> None:
    """Workers sleep after a while; the second round must wake them. The first wait is made long by a busy caller."""
    a, b = (Array(np.zeros(2, np.int64)) for _ in range(2))
    program, pool = build(chain(a, b), compiler), WorkerPool(compiler, 2)
    for _ in range(3):
        np.sort(np.random.default_rng(0).random(1_000_000))
        pool.run(program.address, program.n_launches, Step())
    pool.close()
    assert a.values.tolist() == [3 * N_LAUNCHES] * 2


def test_the_number_of_threads_may_change_from_list_to_list(compiler: Compiler) -> None:
    """Those who do not work in a round sleep through it, and work in the next one again."""
    a, b = (Array(np.zeros(4, np.int64)) for _ in range(2))
    program, pool = build(chain(a, b), compiler), WorkerPool(compiler, 4, yields=True)
    numbers = np.random.default_rng(0).integers(1, 5, 300).tolist()

    class Planned:
        def __init__(self) -> None:
            self.left = iter(numbers)

        @property
        def threads(self) -> int:
            return next(self.left)

        def ran(self, program: int, wall: float, processor: float) -> None:
            assert wall >= 0
            assert processor >= 0

    pool._pace = cast("Pace", Planned())
    expected = [np.zeros(4, np.int64), np.zeros(4, np.int64)]
    for i, active in enumerate(numbers):
        for launch in range(N_LAUNCHES):
            before, after = expected[launch % 2], expected[1 - launch % 2]
            after[:active] = np.roll(before[:active], -1) + 1
        if i % 40 == 0:
            np.sort(np.random.default_rng(0).random(300_000))  # so long that all sleep
        pool.run(program.address, program.n_launches, Step())
    pool.close()
    assert a.values.tolist() == expected[0].tolist()
    assert b.values.tolist() == expected[1].tolist()


def test_several_threads_may_share_a_pool(compiler: Compiler) -> None:
    pool, counts = WorkerPool(compiler, 2), [Array(np.zeros(2, np.int64)) for _ in range(6)]
    programs = [build(chain(*counts[i : i + 2]), compiler) for i in (0, 2, 4)]

    def work(i: int) -> None:
        for _ in range(50):
            pool.run(programs[i].address, programs[i].n_launches, Step())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    pool.close()
    assert [counts[i].values.tolist() for i in (0, 2, 4)] == [[50 * N_LAUNCHES] * 2] * 3


def test_close_ends_the_threads_and_may_be_called_twice(compiler: Compiler) -> None:
    before = set(threading.enumerate())
    pool = WorkerPool(compiler, 4)
    assert len(set(threading.enumerate()) - before) == 3
    pool.close()
    pool.close()
    assert set(threading.enumerate()) <= before


def test_close_waits_for_the_list_that_runs(compiler: Compiler) -> None:
    pool, out, source = WorkerPool(compiler, 1), Array(np.ones(16, np.float32)), Array(np.ones(OPERANDS, np.uint8))
    given = {"rounds": 20_000_000, "source": source.address, "out": out.address}
    program = build([Launch(FusedRate(), given)], compiler)
    begun = threading.Event()

    def work() -> None:
        begun.set()
        pool.run(program.address, program.n_launches, Step())

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    while not pool._lock.locked():
        pass
    pool.close()
    assert (out.values[: compiler.isa.rows] != 1).all()
    thread.join()


def test_a_thread_that_cannot_be_started_ends_the_others(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    before, start = set(threading.enumerate()), threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name == "worker-2":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(UsageError, match="only 2 of 4 threads can be started: ask for 2"):
        WorkerPool(compiler, 4)
    assert set(threading.enumerate()) <= before


def test_a_pool_does_not_work_in_a_forked_process(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = WorkerPool(compiler, 2)
    here = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: here + 1)
    with pytest.raises(UsageError, match="do not survive a fork"):
        pool.run(0, 1, Step())
    monkeypatch.undo()
    pool.close()


def test_an_empty_list_of_launches_ends_at_once(compiler: Compiler) -> None:
    a, b = (Array(np.zeros(2, np.int64)) for _ in range(2))
    program, pool = build(chain(a, b), compiler), WorkerPool(compiler, 2)
    pool.run(0, 0, Step())
    pool.run(program.address, program.n_launches, Step())
    pool.close()
    assert a.values.tolist() == [N_LAUNCHES] * 2


def test_a_forgotten_pool_ends_its_threads(compiler: Compiler) -> None:
    before = set(threading.enumerate())
    pool = WorkerPool(compiler, 3)
    del pool
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("n_threads", [1, 3])
def test_a_cancelled_step_does_nothing(compiler: Compiler, n_threads: int) -> None:
    a, b = (Array(np.zeros(n_threads, np.int64)) for _ in range(2))
    program, pool, step = build(chain(a, b), compiler), WorkerPool(compiler, n_threads), Step()
    step.set(cancel=1)
    pool.run(program.address, program.n_launches, step)
    assert a.values.tolist() == b.values.tolist() == [0] * n_threads
    step.set(cancel=0)
    pool.run(program.address, program.n_launches, step)
    pool.close()
    assert a.values.tolist() == [N_LAUNCHES] * n_threads


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_a_step_that_is_cancelled_halfway_skips_the_rest(compiler: Compiler, n_threads: int) -> None:
    a, b = (Array(np.zeros(n_threads, np.int64)) for _ in range(2))
    pool, step = WorkerPool(compiler, n_threads), Step()
    flag = Region(8, fixed=step.address + Step.offset("cancel"))
    launches = chain(a, b)
    cancel = Launch(Cancel(), {**launches[0].arguments, "flag": flag})
    program = build([*launches[:10], cancel, *launches[10:]], compiler)
    pool.run(program.address, program.n_launches, step)
    pool.close()
    assert step.cancelled
    assert a.values.tolist() == [10] * n_threads


def test_a_step_keeps_its_fields_apart() -> None:
    step = Step()
    step.set(n_tokens=3, n_outputs=5)
    step.set(n_outputs=7)
    assert Step.offset("n_outputs") - Step.offset("n_tokens") == 8
    assert not step.cancelled


def test_the_default_is_a_thread_a_core_at_least_one() -> None:
    assert default_threads() >= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max 100000", 4), ("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("900000 100000", 4), ("", 4)],
)
def test_a_container_s_quota_limits_the_threads(monkeypatch: pytest.MonkeyPatch, text: str, expected: int) -> None:
    monkeypatch.setattr("llamachat.engine.backend.cpu.cores._siblings", str)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr("pathlib.Path.read_text", lambda path: text)
    assert default_threads() == expected


def test_two_hardware_threads_of_a_core_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llamachat.engine.backend.cpu.cores._siblings", lambda cpu: str(cpu % 2))
    monkeypatch.setattr("llamachat.engine.backend.cpu.cores._quota", lambda: 0)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    assert default_threads() == 2


def test_on_other_systems_the_physical_cores_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.cpu_count", lambda logical: 16 if logical else 8)
    monkeypatch.setattr("sys.platform", "darwin")
    assert default_threads() == 8


def test_limits_are_positive(compiler: Compiler) -> None:
    pool = WorkerPool(compiler, 2)
    try:
        for n_bytes in (1, 1 << 20):
            assert bandwidth_meter(compiler, pool, n_bytes)() > 0
        assert product_rate(compiler, pool, "Q4_0") > 0
        assert product_rate(compiler, pool, "F16") > 0
    finally:
        pool.close()


def test_a_forked_process_leaves_the_threads_of_its_parent_alone(
    compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = WorkerPool(compiler, 2)
    here = os.getpid()
    with pool._lock:  # as if the parent were at work when it forked
        monkeypatch.setattr(os, "getpid", lambda: here + 1)
        pool.close()
    monkeypatch.undo()
    assert all(thread.is_alive() for thread in pool._threads)
    native = pool._threads[0]._target.__self__  # type: ignore[attr-defined]
    workers._stop(pool._lock, native, pool._fields, pool._threads, here)
    assert not any(thread.is_alive() for thread in pool._threads)


@pytest.mark.parametrize("before", [False, True], ids=["begun", "before-it-begins"])
def test_an_interrupted_start_frees_nothing_under_the_worker(
    compiler: Compiler, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """Ctrl+C while the system has not yet let the thread run: what it is about to run must still be there."""
    start, run, may_begin = threading.Thread.start, threading.Thread.run, threading.Event()
    late: list[threading.Thread] = []

    def interrupted(thread: threading.Thread) -> None:
        if not thread.name.startswith("worker"):
            return start(thread)
        late.append(thread)
        if before:  # `start` is interrupted while it waits: the thread does not count as started
            monkeypatch.setattr(thread._started, "wait", interrupt)  # type: ignore[attr-defined]
        start(thread)
        raise KeyboardInterrupt

    def interrupt(timeout: float | None = None) -> bool:
        raise KeyboardInterrupt

    def held(thread: threading.Thread) -> None:
        if thread in late:
            assert may_begin.wait(60)
        run(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    monkeypatch.setattr(threading.Thread, "run", held)
    joined = threading.Thread.join

    def let_go(thread: threading.Thread) -> None:
        may_begin.set()
        joined(thread)

    monkeypatch.setattr(threading.Thread, "join", let_go)
    with pytest.raises(KeyboardInterrupt):
        WorkerPool(compiler, 2)
    gc.collect()
    may_begin.set()
    joined(late[0], 60)
    assert not late[0].is_alive()


def test_what_a_worker_runs_lives_as_long_as_it(compiler: Compiler) -> None:
    own = Compiler(choose_isa())
    seen, pool = weakref.ref(own), WorkerPool(own, 2)
    (thread,) = pool._threads
    interrupted = pool.close.detach()  # a `close` that was interrupted before it had told the workers
    assert interrupted is not None
    _, stop, arguments, _ = interrupted
    del own, pool, interrupted
    gc.collect()
    assert seen() is not None
    stop(*arguments)
    assert not thread.is_alive()
    del arguments, thread, stop
    gc.collect()
    assert seen() is None
