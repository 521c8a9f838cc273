"""This machine's limits, measured by the same threads that work: read bandwidth and arithmetic rates."""

from __future__ import annotations

import time

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.jit.compiler import Compiler
from llamachat.engine.backend.cpu.kernels.limits import DotRate, FusedRate, ReadAll
from llamachat.engine.backend.cpu.program import Launch, Program, build
from llamachat.engine.backend.cpu.workers import Step, WorkerPool

REPETITIONS = 5
ROUNDS = 400_000


def read_bandwidth(compiler: Compiler, pool: WorkerPool, n_bytes: int) -> float:
    """Bytes per second of a load loop over n_bytes, by all threads; the best of several passes."""
    spec = ReadAll()
    block = spec.block_bytes(compiler.isa.rows)
    blocks = max(1, n_bytes // block)
    memory, out = Buffer(blocks * block, huge=True), Buffer(64 * pool.n_threads)
    memory.bytes[:] = 1
    program = build([Launch(spec, {"source": memory.address, "blocks": blocks, "out": out.address})], compiler)
    return blocks * block / _best_time(program, pool)


def dot_rate(compiler: Compiler, pool: WorkerPool) -> float:
    """Integer operations per second of the byte dot product, by all threads."""
    return _rate(DotRate(), compiler, pool)


def fused_rate(compiler: Compiler, pool: WorkerPool) -> float:
    """Floating-point operations per second of float32 multiply-adds, by all threads."""
    return _rate(FusedRate(), compiler, pool)


def _rate(spec: DotRate | FusedRate, compiler: Compiler, pool: WorkerPool) -> float:
    out = Buffer(64 * pool.n_threads)
    program = build([Launch(spec, {"rounds": ROUNDS, "out": out.address})], compiler)
    return pool.n_threads * ROUNDS * spec.operations(compiler.isa.rows) / _best_time(program, pool)


def _best_time(program: Program, pool: WorkerPool) -> float:
    step, best = Step(), float("inf")
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        pool.run(program.address, program.n_launches, step)
        best = min(best, time.perf_counter() - start)
    return best
