"""The engine on an emulated AArch64 processor: whole models have the bits that they have here."""

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from emulated_arm import PROCESSORS, arm_machine, needed
from machine import Array
from mixed_file import EMULATED, FEW, N_VOCAB, write_mixed

from llamachat.engine.backend.cpu import backend
from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.jit.compiler import KernelSpec, usable_isas
from llamachat.engine.backend.cpu.jit.isa.arm import Neon
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import CACHE_LINE, Kernel
from llamachat.engine.backend.cpu.jit.values import I64
from llamachat.engine.backend.cpu.kernels.walker import CONTROL, Lead, Work
from llamachat.engine.backend.cpu.program import Launch, build
from llamachat.engine.backend.cpu.workers import Step
from llamachat.engine.model import Model

KINDS_OF = {"neon": EMULATED, "neon-i8mm": FEW}
CACHES = {"neon": ("q8_0", "f16", "q4_0"), "neon-i8mm": ("q8_0",)}


def logits(path: Path, isa: str, cache_types: tuple[str, ...]) -> np.ndarray:
    """A prompt at once, and the rest token by token, for each type of cache."""
    tokens, found = [(7 * i) % N_VOCAB for i in range(40)], []
    with Model(path, 2, isa=isa) as model:
        for cache_type in cache_types:
            context = model.context(64, cache_type)
            found += [context.eval(tokens[:37], "all"), *(context.eval([token])[None] for token in tokens[37:])]
    return np.concatenate(found)


@pytest.mark.parametrize("isa", CACHES)
def test_block_formats_and_caches_give_the_same_bits(tmp_path: Path, isa: str) -> None:
    needed()
    mixed, types = write_mixed(tmp_path / "mixed.gguf", KINDS_OF[isa]), CACHES[isa]
    wanted = logits(mixed, usable_isas()[0], types)
    with arm_machine(tmp_path, isa):
        found = logits(mixed, isa, types)
    assert np.isfinite(wanted).all()
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("isa", PROCESSORS)
def test_a_golden_model_gives_the_same_bits(golden: Path, tmp_path: Path, isa: str) -> None:
    path = golden / "archs" / "gemma3.gguf"
    wanted = logits(path, usable_isas()[0], ("f16",))
    with arm_machine(tmp_path, isa):
        np.testing.assert_array_equal(logits(path, isa, ("f16",)), wanted)


@dataclass(frozen=True)
class Neighbours(KernelSpec):
    """to[thread] = from[thread + 1] + 1, around: right only where every thread has finished the launch before."""

    arguments: ClassVar = ("source", "to")
    reads: ClassVar = ("source",)
    writes: ClassVar = ("to",)
    broadcast: ClassVar = ("source",)

    def emit(self, k: Kernel, isa: Generic) -> None:
        """A number each."""
        value = k.pointer("source")[(k.thread + 1) % k.n_threads * 8].load(I64, 8)
        k.pointer("to")[k.thread * 8].store(value + 1, 8)


def test_threads_meet_at_barriers_and_are_woken(tmp_path: Path) -> None:
    threads, launches, rounds = 4, 100, 20
    with arm_machine(tmp_path, "neon") as arm:
        compiler = backend.Compiler(Neon())
        control, arguments, step = Buffer(CACHE_LINE * len(CONTROL)), Array(np.zeros(1, np.int64)), Step()
        fields = control.view(np.int64, (len(CONTROL), CACHE_LINE // 8))
        numbers = [Array(np.arange(threads)), Array(np.zeros(threads, np.int64))]
        places = [array.address for array in numbers]
        program = build(
            [Launch(Neighbours(), {"source": places[i % 2], "to": places[1 - i % 2]}) for i in range(launches)],
            compiler,
        )
        table = np.ctypeslib.as_array((ctypes.c_int64 * (4 * launches)).from_address(program.address)).reshape(-1, 4)
        table[:, 2] = 1  # a barrier after each
        given = {"system": arm.function("syscall"), "yield_": arm.function("sched_yield"), "step": step.address}
        given |= {"launches": program.address, "n_launches": program.n_launches}
        for name, value in given.items():
            fields[CONTROL.index(name), 0] = value
        arguments.values[0] = control.address
        work, lead = (compiler.address(kind(98)) for kind in (Work, Lead))  # SYS_futex of AArch64
        arm.start(work, arguments.address, threads)
        for _ in range(rounds):
            arm.call(lead, arguments.address, step.address, threads)
        fields[CONTROL.index("stop"), 0] = 1
        arm.call(lead, arguments.address, step.address, threads)
        arm.join(threads)
        turned = (np.arange(threads) + rounds * launches) % threads
        np.testing.assert_array_equal(numbers[0].values, turned + rounds * launches)
