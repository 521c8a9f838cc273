"""Processor, instruction set, speeds and memory."""

import os
import platform
import sys
from collections.abc import Iterator

from llamachat.cli.checkup.facts import Fact
from llamachat.engine.backend.cpu.jit.cache import ObjectCache
from llamachat.engine.backend.cpu.jit.compiler import Compiler, choose_isa, processor_features, usable_isas
from llamachat.engine.backend.cpu.jit.isa import ISAS
from llamachat.engine.backend.cpu.limits import dot_rate, fused_rate, read_bandwidth
from llamachat.engine.backend.cpu.workers import WorkerPool, default_threads
from llamachat.engine.measure import processor_name
from llamachat.engine.memory import OVERRIDE, available_memory, size_text
from llamachat.errors import LlamaChatError

MEASURED_BYTES = 1 << 28
"""Bytes that the bandwidth is measured over without a model: more than most processors' caches hold."""

MOST_BYTES = 1 << 30


def processor(threads: int) -> Iterator[Fact]:
    """The processor, and the instruction set that kernels are written for."""
    yield Fact("processor", processor_name(), processor_name())
    yield Fact("architecture", platform.machine(), platform.machine())
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    yield Fact("cores", usable, f"{usable} that this process may use, of {os.cpu_count()}")
    yield Fact("threads", threads, f"{threads} work on a step")
    yield _instruction_set()
    yield from _missing()


def speeds(threads: int, n_bytes: int = MEASURED_BYTES) -> Iterator[Fact]:
    """Read bandwidth over so many bytes (a processor's cache makes it larger) and arithmetic rates, measured now."""
    compiler = Compiler(choose_isa(), ObjectCache(None))
    pool = WorkerPool(compiler, threads)
    try:
        amount = min(n_bytes, MOST_BYTES, max(1 << 20, available_memory() // 4))
        read = read_bandwidth(compiler, pool, amount)
        yield Fact("read_bytes_per_s", read, f"{read / 1e9:.1f} GB/s, over {size_text(amount)}")
        dots = dot_rate(compiler, pool)
        yield Fact("integer_operations_per_s", dots, f"{dots / 1e9:.0f} Gop/s in integer dot products")
        fused = fused_rate(compiler, pool)
        yield Fact("float_operations_per_s", fused, f"{fused / 1e9:.0f} Gop/s in float32 multiply-adds")
    finally:
        pool.close()


def memory() -> Iterator[Fact]:
    """What a model may take."""
    try:
        free = available_memory()
    except LlamaChatError as error:
        yield Fact("available_bytes", None, str(error), problem=True)
        return
    told = f", because {OVERRIDE} says so" if os.environ.get(OVERRIDE) else ""
    yield Fact("available_bytes", free, f"{size_text(free)} for a model{told}")


def thread_count(asked: int | None) -> int:
    """The threads that a model is run with."""
    return asked or default_threads()


def _instruction_set() -> Fact:
    try:
        chosen = choose_isa().name
    except LlamaChatError as error:
        return Fact("instruction_set", None, str(error), problem=True)
    if os.environ.get("LLAMACHAT_ISA"):
        return Fact("instruction_set", chosen, f"{chosen}, because LLAMACHAT_ISA says so")
    return Fact("instruction_set", chosen, f"{chosen}, the best of {', '.join(usable_isas())}")


def _missing() -> Iterator[Fact]:
    """What the processor lacks for the instruction sets that it does not have."""
    features, usable = processor_features(), usable_isas()
    lacking = {name: sorted(set(isa.needs) - features) for name, isa in ISAS.items() if name not in usable}
    if lacking:
        said = "; ".join(f"{name} needs {', '.join(names) or 'an x86-64 processor'}" for name, names in lacking.items())
        yield Fact("not_there", lacking, said)
