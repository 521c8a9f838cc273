"""The worker pool: Python threads that each call one native function which does not return until the pool is closed.

A step enters Python's side twice: here, and when it returns. The calling thread works too, as thread 0.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.jit.compiler import Compiler
from llamachat.engine.backend.cpu.jit.kernel import CACHE_LINE as LINE
from llamachat.engine.backend.cpu.jit.kernel import STEP
from llamachat.engine.backend.cpu.kernels.walker import CONTROL, CONTROL_LINES, GROUP, MOST_GROUPS, Lead, Work
from llamachat.engine.backend.cpu.pace import Pace
from llamachat.errors import UsageError

_NATIVE = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)
_FUTEX_CALL = {"x86_64": 202, "aarch64": 98}  # SYS_futex
_STEP_INDEX = {name: i for i, name in enumerate(STEP)}


class Step:
    """What changes from step to step, in memory that launches read; fields are those of `kernel.STEP`."""

    def __init__(self) -> None:
        self._buffer = Buffer(8 * len(STEP))
        self.address = self._buffer.address
        self._values = self._buffer.view(np.int64, (len(STEP),))

    def set(self, **values: int) -> None:
        """Writes fields by name."""
        for name, value in values.items():
            self._values[_STEP_INDEX[name]] = value

    @staticmethod
    def offset(name: str) -> int:
        """Where a field lies in a step."""
        return 8 * _STEP_INDEX[name]

    def stop(self) -> None:
        """Asks whoever runs it to stop; from any thread."""
        self.set(cancel=1)

    @property
    def cancelled(self) -> bool:
        """Whether the step was asked to stop."""
        return bool(self._values[_STEP_INDEX["cancel"]])


class WorkerPool:
    """`n_threads` threads, the caller among them, that run lists of launches. One list at a time.

    yields: fewer work where other programs want the processors, see `Pace`.
    """

    def __init__(self, compiler: Compiler, n_threads: int, yields: bool = False) -> None:
        self.n_threads = n_threads
        self._pace = Pace(n_threads) if yields and n_threads > 1 else None
        assert n_threads <= GROUP * MOST_GROUPS
        self._control = Buffer(LINE * CONTROL_LINES)
        self._fields = self._control.view(np.int64, (len(CONTROL), LINE // 8))
        self._arguments = Buffer(8)
        self._arguments.view(np.int64, (1,))[0] = self._control.address
        futex = _FUTEX_CALL.get(platform.machine(), 0) if sys.platform == "linux" else 0
        self._set("system", system_function("syscall" if futex else "usleep"))
        self._set("yield_", system_function("sched_yield"))
        self._lead = _NATIVE(compiler.address(Lead(futex)))
        work = _NATIVE(compiler.address(Work(futex)))
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._threads: list[threading.Thread] = []  # those that may have been started
        native = _Native(self._lead, work, self._arguments, (compiler, self._control))
        self.close = weakref.finalize(self, _stop, self._lock, native, self._fields, self._threads, self._process)
        for number in range(1, n_threads):
            self._start(threading.Thread(target=native.serve, args=(number, n_threads), daemon=True), number)

    def run(self, launches: int, n_launches: int, step: Step) -> None:
        """Runs the launches at that address to the end, or until the step is cancelled.

        Raises UsageError after `close`, and in a process that was forked from the one that made the pool.
        """
        if os.getpid() != self._process:
            raise UsageError("threads do not survive a fork: load the model in the process that uses it")
        if not n_launches:
            return
        with self._lock:
            if not self.close.alive:
                raise UsageError("the model is closed: nothing can be evaluated with it any more")
            self._set("launches", launches)
            self._set("n_launches", n_launches)
            self._set("step", step.address)
            if self._pace is None:
                self._lead(self._arguments.address, step.address, 0, self.n_threads)
                return
            wall, processor = time.perf_counter(), time.thread_time()
            self._lead(self._arguments.address, step.address, 0, self._pace.threads)
            self._pace.ran(launches, time.perf_counter() - wall, time.thread_time() - processor)

    def _start(self, thread: threading.Thread, number: int) -> None:
        """Starts worker `number`; where the system has no thread for it, ends the others and says so."""
        thread.name = f"worker-{number}"
        self._threads.append(thread)  # before it starts: whatever interrupts `start`, it may run from now on
        try:
            thread.start()
        except RuntimeError as error:
            self._threads.pop()
            self.close()
            said = f"only {number} of {self.n_threads} threads can be started: ask for {number}"
            raise UsageError(said, settings=("threads",)) from error

    def _set(self, name: str, value: int) -> None:
        self._fields[CONTROL.index(name), 0] = value


@dataclass(frozen=True)
class _Native:
    """The native code of a pool and the memory that it works in.

    Every worker holds this object while it runs, and so does who ends them: nothing is freed under a thread, whatever
    was interrupted and however late the system lets the thread begin.
    """

    lead: ctypes._FuncPointer
    work: ctypes._FuncPointer
    arguments: Buffer
    kept: tuple[object, ...]

    def serve(self, number: int, n_threads: int) -> None:
        """A worker's life."""
        self.work(self.arguments.address, 0, number, n_threads)

    def end_round(self) -> None:
        """Wakes the workers; with `stop` set they end, also those that begin only later."""
        self.lead(self.arguments.address, 0, 0, 1)


def _stop(
    lock: threading.Lock, native: _Native, fields: np.ndarray, threads: list[threading.Thread], process: int
) -> None:
    """Ends the workers after the list that runs. A forked process has none."""
    if os.getpid() != process:
        return
    with lock:
        fields[CONTROL.index("stop"), 0] = 1
        native.end_round()
    for thread in threads:
        with suppress(RuntimeError):  # its start was interrupted: it ends by itself, if it begins at all
            thread.join()


def system_function(name: str) -> int:
    """The address of a function of the C library."""
    library = ctypes.CDLL(None) if sys.platform != "win32" else ctypes.CDLL("kernel32")
    windows = {"usleep": "Sleep", "sched_yield": "SwitchToThread"}
    function = getattr(library, windows.get(name, name) if sys.platform == "win32" else name)
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)
