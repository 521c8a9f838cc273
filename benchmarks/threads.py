"""A step of generation on machines of 1 to 64 processors, simulated on one: shares, launches and barriers.

    python benchmarks/threads.py -m smollm2 -t 1 2 4 8 16 32 64

Every launch of a step is run for one thread after the other, as in a step of that many threads, and timed; of five runs
the best counts. Printed are, for each number of threads: the processor time of all of them; the longest path, which is
the sum of the slowest thread's time between two barriers; the speedup that it allows; what the barriers cost, by the
price of one arrival as measured here between two threads (they arrive in groups, one after the other); and the speedup
with them. Memory is not simulated: many processors share its bandwidth. Logits must be equal to the bit for every
number of threads, else it ends with an error.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from llamachat import Model
from llamachat.catalog import resolve
from llamachat.engine.backend.cpu import backend
from llamachat.engine.backend.cpu.jit.compiler import Compiler, KernelSpec, choose_isa
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.kernels.walker import GROUP, LAUNCH_BYTES
from llamachat.engine.backend.cpu.program import Launch, Region, build
from llamachat.engine.backend.cpu.workers import Step, WorkerPool
from llamachat.engine.measure import processor_name
from llamachat.errors import LlamaChatError

MOST, RUNS, BARRIERS = 64, 5, 2000
PROTOTYPE = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)


@cache
def callable_at(address: int) -> Any:
    """A kernel that Python can call."""
    return PROTOTYPE(address)


@dataclass(frozen=True)
class Nothing(KernelSpec):
    """A launch that does nothing, and shares memory with itself: a barrier follows."""

    arguments = ("memory",)
    writes = ("memory",)

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Nothing."""


class Simulation:
    """Stands for a pool; `active` threads run every launch one after the other."""

    def __init__(self, compiler: Compiler) -> None:
        self.n_threads, self.active = MOST, 1
        self.times: dict[tuple[int, int], np.ndarray] = {}  # (program, threads) -> seconds [launches, threads]
        self.barriers: dict[int, list[int]] = {}
        nothing = callable_at(compiler.address(Nothing()))
        self._call_s = min(_timed(nothing, 0, 0, 0, 1) for _ in range(1000))

    def run(self, launches: int, n_launches: int, step: Step) -> None:
        """As `WorkerPool.run`; the best time of each launch and thread is kept."""
        table = np.ctypeslib.as_array((ctypes.c_int64 * (n_launches * LAUNCH_BYTES // 8)).from_address(launches))
        rows = table.reshape(n_launches, -1).tolist()
        taken = np.empty((n_launches, self.active))
        for i, (address, arguments, *_) in enumerate(rows):
            for thread in range(self.active):
                taken[i, thread] = _timed(callable_at(address), arguments, step.address, thread, self.active)
        key = launches, self.active
        self.times[key] = np.minimum(self.times.get(key, np.inf), np.maximum(taken - self._call_s, 0))
        self.barriers[launches] = [row[2] for row in rows]

    def close(self) -> None:
        """Nothing was started."""

    def seconds(self, threads: int) -> tuple[float, float, int]:
        """(processor time, longest path, barriers) of the lists that ran with so many threads."""
        total, longest, count = 0.0, 0.0, 0
        for (program, active), taken in self.times.items():
            if active == threads:
                ends = np.flatnonzero(self.barriers[program]) + 1
                parts = np.split(taken, ends)
                total += taken.sum()
                longest += sum(float(part.sum(0).max()) for part in parts if len(part))
                count += len(ends)
        return total, longest, count


def _timed(kernel: Any, *arguments: int) -> float:
    start = time.perf_counter()
    kernel(*arguments)
    return time.perf_counter() - start


def arrival_s(compiler: Compiler) -> tuple[float, float]:
    """(seconds of a barrier of one thread, what a second thread adds)."""
    memory = Region(8)
    program = build([Launch(Nothing(), {"memory": memory})] * BARRIERS, compiler)
    found = []
    for threads in (1, 2):
        pool = WorkerPool(compiler, threads)
        found.append(min(_run(pool, program) for _ in range(50)) / BARRIERS)
        pool.close()
    return found[0], found[1] - found[0]


def _run(pool: WorkerPool, program: Any) -> float:
    start = time.perf_counter()
    pool.run(program.address, program.n_launches, Step())
    return time.perf_counter() - start


def simulate(path: Path, numbers: list[int]) -> None:
    """Prints the table."""
    compiler = Compiler(choose_isa())
    alone_s, added_s = arrival_s(compiler)
    simulation = Simulation(compiler)
    backend.WorkerPool = lambda *given, **named: simulation  # type: ignore[assignment, misc]
    print(f"{path.stem}, {processor_name()}, {time.strftime('%Y-%m-%d')}")
    print(f"a barrier takes {1e9 * alone_s:.0f} ns alone; a second thread adds {1e9 * added_s:.0f} ns\n")
    print("threads  all threads ms  longest path ms  speedup  barriers ms  speedup with them")
    with Model(path, n_ctx=64) as model:
        expected, base = None, 0.0
        for threads in numbers:
            simulation.active, context = threads, model.context()
            context.eval([1])
            simulation.times.clear()
            for token in range(2, 2 + RUNS):
                logits = context.eval([token]).copy()
            expected = logits if expected is None else expected
            if not np.array_equal(logits, expected):
                raise SystemExit(f"threads.py: logits of {threads} threads differ")
            total, longest, barriers = simulation.seconds(threads)
            waiting = barriers * (alone_s + (min(threads, GROUP) + -(-threads // GROUP) - 2) * added_s)
            base = base or longest * threads
            with_them = base / (longest + waiting)
            print(
                f"{threads:7} {1e3 * total:15.2f} {1e3 * longest:16.3f} {base / longest:8.1f} {1e3 * waiting:12.3f} "
                f"{with_them:18.1f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", help="a GGUF file, or a name from `llamachat models`")
    parser.add_argument("-t", "--threads", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64], help="threads")
    chosen = parser.parse_args()
    if not all(1 <= n <= MOST for n in chosen.threads):
        raise SystemExit(f"threads.py: threads are 1 to {MOST}")
    try:
        simulate(resolve(chosen.model), chosen.threads)
    except LlamaChatError as error:
        raise SystemExit(f"threads.py: {error}") from None


if __name__ == "__main__":
    main()
