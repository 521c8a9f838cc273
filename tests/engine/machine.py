"""Runs single kernels for tests: one launch on some threads; outputs are poisoned by NaN and guarded by known bytes."""

import ctypes
from collections.abc import Iterator, Mapping

import numpy as np

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.jit.compiler import Compiler, KernelSpec
from llamachat.engine.backend.cpu.jit.isa import ISAS
from llamachat.engine.backend.cpu.jit.kernel import ROW
from llamachat.engine.backend.cpu.kernels.walker import LAUNCH_BYTES
from llamachat.engine.backend.cpu.program import Launch, build
from llamachat.engine.backend.cpu.workers import Step, WorkerPool

GUARD = 4096
GUARD_BYTE = 0xA5
KERNEL = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)


class Array:
    """A NumPy array in a buffer with guards on both sides."""

    def __init__(self, values: np.ndarray) -> None:
        self._buffer = Buffer(values.nbytes + 2 * GUARD)
        self._buffer.bytes[:] = GUARD_BYTE
        self.values = self._buffer.view(values.dtype, values.shape, GUARD)
        self.values[...] = values
        self.address = self._buffer.address + GUARD

    def intact(self) -> bool:
        """Whether nothing wrote beside the array."""
        edges = (self._buffer.bytes[:GUARD], self._buffer.bytes[GUARD + self.values.nbytes :])
        return all((edge == GUARD_BYTE).all() for edge in edges)


def poisoned(*shape: int) -> Array:
    """An output: float32, all NaN."""
    return Array(np.full(shape, np.nan, np.float32))


def rows_of(caches: int | np.ndarray, cells: np.ndarray, positions: np.ndarray, sources: np.ndarray | int = 0) -> Array:
    """What a step says of its tokens: the table of ROW."""
    table = np.zeros((len(cells), len(ROW)), np.int64)
    for i, values in enumerate((caches, cells, positions, sources)):
        table[:, i] = values
    return Array(table)


class Machine:
    """An instruction set with its compiler and worker pools of several sizes."""

    def __init__(self, isa: str) -> None:
        self.compiler = Compiler(ISAS[isa]())
        self.isa = self.compiler.isa
        self._pools: dict[int, WorkerPool] = {}
        self.step = Step()

    def run(self, spec: KernelSpec, arguments: Mapping[str, int | float], threads: int = 1, **step: int) -> None:
        """One launch, with these fields of the step."""
        self.step.set(cancel=0, **step)
        if threads not in self._pools:
            self._pools[threads] = WorkerPool(self.compiler, threads)
        program = build([Launch(spec, dict(arguments))], self.compiler)
        self._pools[threads].run(program.address, program.n_launches, self.step)

    def close(self) -> None:
        """Ends the threads."""
        for pool in self._pools.values():
            pool.close()


class OneAfterTheOther:
    """Stands for a pool of any number of threads: each launch is run by one after the other, the last thread first."""

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads

    def run(self, launches: int, n_launches: int, step: Step) -> None:
        """As a pool of threads; what needs barriers within a launch would hang."""
        table = np.ctypeslib.as_array((ctypes.c_int64 * (n_launches * LAUNCH_BYTES // 8)).from_address(launches))
        for address, arguments, *_ in table.reshape(n_launches, -1).tolist():
            for thread in reversed(range(self.n_threads)):
                KERNEL(address)(arguments, step.address, thread, self.n_threads)


def machines(isa: str) -> Iterator[Machine]:
    """For a fixture: a machine that is closed afterwards."""
    machine = Machine(isa)
    yield machine
    machine.close()
