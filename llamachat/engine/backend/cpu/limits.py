"""This machine's limits, measured by the same threads that work: read bandwidth and rates of arithmetic.

Each is what the best of several ways reaches: memory is read in several patterns, and products are added up in several
forms, because none of them is the fastest everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.jit.compiler import Compiler
from llamachat.engine.backend.cpu.jit.isa.dots import Codes
from llamachat.engine.backend.cpu.kernels.limits import (
    BLOCK_BYTES,
    OPERANDS,
    DotRate,
    FusedRate,
    ReadAll,
    TileRate,
    WordRate,
)  # fmt: skip
from llamachat.engine.backend.cpu.program import Arguments, Launch, Program, build
from llamachat.engine.backend.cpu.workers import Step, WorkerPool
from llamachat.engine.quants import FORMATS
from llamachat.engine.quants.format import BlockFormat

PATTERNS = (ReadAll(), ReadAll(ahead=4096), ReadAll(streams=4))
"""One stream that the processor foresees, one that is asked for by instructions, several."""

FOURS = (1, 2, 4, 8, 32)
"""Products of four bytes in a sum: so many of codes of 8 to 4 bits fit 16 bits; a byte dot product takes any number."""

PASSES = 2
REPETITIONS = 5
ALONE_S = 0.002
"""A rate is measured for about so long at a time, so that waking the threads does not count."""

Rate = DotRate | TileRate | FusedRate | WordRate


def bandwidth_meter(compiler: Compiler, pool: WorkerPool, n_bytes: int) -> Callable[[], float]:
    """Memory of n_bytes; each call of what is returned reads all of it, by all threads: bytes per second at best."""
    blocks = max(pool.n_threads, n_bytes // BLOCK_BYTES)
    memory, out = Buffer(blocks * BLOCK_BYTES, huge=True), Buffer(64 * pool.n_threads)
    memory.bytes[:] = 1
    arguments: Arguments = {"source": memory.address, "blocks": blocks, "out": out.address}
    programs = [build([Launch(spec, arguments)], compiler) for spec in PATTERNS]

    def measure(keep: object = (memory, out)) -> float:
        return blocks * BLOCK_BYTES / min(_time(program, pool) for program in programs * PASSES)

    return measure


def product_rate(compiler: Compiler, pool: WorkerPool, kind: str) -> float:
    """Operations per second of products with weights of a tensor type, by all threads, without memory.

    Quantised weights are multiplied as bytes with bytes: by how many instructions depends, without a byte dot product,
    on the bits of their codes. Scales are not in it. Raises KeyError for a type without a description.
    """
    return max(_rate(spec, compiler, pool) for spec in _specs(compiler, kind))


def _specs(compiler: Compiler, kind: str) -> list[Rate]:
    fmt = FORMATS[kind]
    if not isinstance(fmt, BlockFormat):
        return [FusedRate()]
    bits = fmt.parts.largest.bit_length()
    codes = Codes(8, signed=True) if fmt.parts.signed or bits > 7 else Codes(bits)
    if compiler.isa.has_tiles:
        return [TileRate()]
    words = [WordRate()] if compiler.isa.words_pay(codes) else []
    return [*words, *(DotRate(codes, fours) for fours in FOURS)]


def _rate(spec: Rate, compiler: Compiler, pool: WorkerPool) -> float:
    source, out = Buffer(OPERANDS), Buffer(OPERANDS * pool.n_threads)
    source.bytes[:] = 1

    def program(rounds: int) -> Program:
        return build([Launch(spec, {"rounds": rounds, "source": source.address, "out": out.address})], compiler)

    rounds = 1
    while min(_time(program(rounds), pool) for _ in range(REPETITIONS)) < ALONE_S:
        rounds *= 4
    work = pool.n_threads * rounds * spec.operations(compiler.isa)
    measured = program(rounds)
    return work / min(_time(measured, pool) for _ in range(REPETITIONS))


def _time(program: Program, pool: WorkerPool) -> float:
    """Seconds of one run."""
    step, start = Step(), time.perf_counter()
    pool.run(program.address, program.n_launches, step)
    return time.perf_counter() - start
