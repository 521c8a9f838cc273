"""The native loop of every worker: wait for a step, walk its launches together with the others, meet at barriers.

The control block has one cache line a field, then one a group of threads. `round` is the number of the round, shifted
by ACTIVE_BITS, and how many threads work in it: those with the smallest numbers; the others sleep on. A launch is four
i64: the kernel's address, its arguments, whether a barrier follows, and a spare. The calling thread is thread 0; the
others stay in `Work` until `stop`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import CACHE_LINE as LINE
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import I64, Ptr, Vec

CONTROL = (
    "round",
    "sleepers",
    "arrived",
    "phase",
    "waiters",
    "launches",
    "n_launches",
    "step",
    "stop",
    "system",
    "yield_",
)
GROUP = 8
"""Threads that count together at a barrier: about those that share a cache."""
MOST_GROUPS = 32
CONTROL_LINES = len(CONTROL) + MOST_GROUPS
"""Cache lines of the control block: the fields, and a counter for each group."""
LAUNCH_BYTES = 32
ACTIVE_BITS = 10
FUTEX_WAIT, FUTEX_WAKE = 128, 129  # FUTEX_PRIVATE_FLAG | operation, linux/futex.h
SPINS_BEFORE_SLEEP = 20_000
POLL = 200 if sys.platform != "win32" else 1  # microseconds of usleep, milliseconds of Sleep
# Beyond this a peer has probably lost its processor: a sleeper lets it have this one, and is placed anew when woken.
SPINS_AT_BARRIER = 1_000


def _field(k: Kernel, name: str) -> Ptr:
    return k.pointer("control")[CONTROL.index(name) * LINE]


def _read(k: Kernel, name: str) -> Vec:
    return _field(k, name).load(I64, 8)


def _walk(k: Kernel, isa: Generic, futex: int, active: Vec) -> None:
    """Runs every launch with the other active threads; kernels themselves skip their work in a cancelled step."""
    launches, step = Ptr(_read(k, "launches")), _read(k, "step")
    with k.loop(0, _read(k, "n_launches")) as i:
        launch = launches[i * LAUNCH_BYTES]
        kernel, args = launch.load(I64, 8), launch[8].load(I64, 8)
        with k.when(Ptr(step).load_atomic().equals(0)):
            k.call_address(kernel, None, args, step, k.thread, active)
        with k.when(launch[16].load(I64, 8) > 0):
            _barrier(k, isa, futex, active)


def _futex(k: Kernel, number: int, field: str, operation: int, value: Vec) -> None:
    """The system call on the lower half of a field of the control block."""
    zero, where = k.number(0), _field(k, field).address
    k.call_address(_read(k, "system"), I64, k.number(number), where, k.number(operation), value, zero, zero, zero)


def _sleep(k: Kernel, futex: int, field: str, sleepers: str, seen: Vec) -> None:
    """Until the field is no longer `seen`; may return early. Without a futex: lets others run."""
    if futex:
        _field(k, sleepers).add_atomic(1)
        _futex(k, futex, field, FUTEX_WAIT, seen)
        _field(k, sleepers).add_atomic(-1)
    else:
        k.call_address(_read(k, "yield_"), I64)


def _wake(k: Kernel, futex: int, field: str, sleepers: str) -> None:
    """Those who sleep on the field, if any."""
    if futex:
        with k.when(_field(k, sleepers).load_atomic() > 0):
            _futex(k, futex, field, FUTEX_WAKE, k.number(1 << 20))


def _arrive(k: Kernel, active: Vec) -> Vec:
    """Counts this thread; 1 for the last of all.

    Threads count in groups, and the last of a group counts for it: a line of memory goes from one processor to the next
    for every one that counts on it, which with many threads takes longer than their work.
    """
    group, groups = k.thread // GROUP, (active + (GROUP - 1)) // GROUP
    counter = k.pointer("control")[(group + len(CONTROL)) * LINE]
    here = counter.add_atomic(1) + 1
    last = k.var(k.number(0))
    with k.when(here.equals((active - group * GROUP).min(GROUP))):
        counter.store_atomic(k.number(0))
        last.set(groups.equals(1).unsigned(I64))
        with k.when(groups > 1):
            there = _field(k, "arrived").add_atomic(1) + 1
            with k.when(there.equals(groups)):
                _field(k, "arrived").store_atomic(k.number(0))
                last.set(k.number(1))
    return last.get()


def _barrier(k: Kernel, isa: Generic, futex: int, active: Vec) -> None:
    """Waits until all active threads are here: the last one opens the next phase."""
    phase = _field(k, "phase").load_atomic()
    last = _arrive(k, active)
    with k.when(last > 0):
        _field(k, "phase").store_atomic(phase + 1)
        _wake(k, futex, "phase", "waiters")
    with k.when(last.equals(0)):
        spins = k.var(k.number(0))
        with k.while_() as break_if:
            break_if((_field(k, "phase").load_atomic() - phase) > 0)
            isa.pause(k)
            spins.set(spins.get() + 1)
            with k.when(spins.get() > SPINS_AT_BARRIER):
                _sleep(k, futex, "phase", "waiters", phase)


@dataclass(frozen=True)
class Work(KernelSpec):
    """A worker's life: the launches of every round until `stop`. `futex`: its number on Linux; 0: sleep by polling."""

    futex: int
    arguments: ClassVar = ("control",)

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Spins a little, then sleeps; a new round wakes it. Who does not work in a round does not spin."""
        seen, patience = k.var(k.number(0)), k.var(k.number(SPINS_BEFORE_SLEEP))
        with k.while_() as break_if:
            spins = k.var(k.number(0))
            with k.while_() as begin_if:
                begin_if(_field(k, "round").load_atomic().equals(seen.get()).equals(0))
                isa.pause(k)
                spins.set(spins.get() + 1)
                with k.when(spins.get() > patience.get()):
                    self._sleep(k, seen.get())
            seen.set(_field(k, "round").load_atomic())
            break_if(_field(k, "stop").load_atomic() > 0)
            active = seen.get() & ((1 << ACTIVE_BITS) - 1)
            works = k.thread < active
            patience.set(works.select(k.number(SPINS_BEFORE_SLEEP), k.number(0)))
            with k.when(works):
                _walk(k, isa, self.futex, active)

    def _sleep(self, k: Kernel, seen: Vec) -> None:
        if self.futex:
            _sleep(k, self.futex, "round", "sleepers", seen)
        else:
            k.call_address(_read(k, "system"), I64, k.number(POLL))


@dataclass(frozen=True)
class Lead(KernelSpec):
    """One round of `n_threads` threads, as thread 0: wakes the workers and walks the launches with them."""

    futex: int
    arguments: ClassVar = ("control",)

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Begins a round; it has ended for all when the last launch's barrier opens."""
        number = _field(k, "round").load_atomic() >> ACTIVE_BITS
        _field(k, "round").store_atomic(((number + 1) << ACTIVE_BITS) | k.n_threads)
        _wake(k, self.futex, "round", "sleepers")
        with k.when(_field(k, "stop").load_atomic().equals(0)):
            _walk(k, isa, self.futex, k.n_threads)
