"""What this machine can do at best: bare loads, and dot products of registers. Speeds are shares of these figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import CACHE_LINE, Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, I8, I32, lanes

LOADS = 8
AHEAD = 4096  # prefetched this many bytes before the load, as the products do
CHAINS = 12


@dataclass(frozen=True)
class ReadAll(KernelSpec):
    """Loads every byte of `source` once, in blocks of `LOADS` registers. out: a register a thread."""

    arguments: ClassVar = ("source", "blocks", "out")
    split: ClassVar = Shares("", ("blocks",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """The loads are combined, so that none can be left out."""
        kind, size = lanes(I32, isa.rows), 4 * isa.rows
        first, last = self.split.share(k)
        seen = [k.var(k.zeros(kind)) for _ in range(LOADS)]
        with k.loop(first, last) as block:
            at = k.pointer("source")[block * (LOADS * size)]
            k.prefetch(at[AHEAD], LOADS * size)
            for i, one in enumerate(seen):
                one.set(one.get() ^ at[i * size].load(kind, 4))
        total = seen[0].get()
        for one in seen[1:]:
            total = total ^ one.get()
        k.pointer("out")[k.thread * CACHE_LINE].store(total, 4)

    def block_bytes(self, rows: int) -> int:
        """Bytes of a block."""
        return LOADS * 4 * rows


@dataclass(frozen=True)
class DotRate(KernelSpec):
    """`rounds` times `CHAINS` independent byte dot products in registers, on every thread. out: a register a thread."""

    arguments: ClassVar = ("rounds", "out")

    def emit(self, k: Kernel, isa: Generic) -> None:
        """The operands come from memory once and depend on the round, so that nothing is computed ahead."""
        kind = lanes(I32, isa.rows)
        out = k.pointer("out")[k.thread * CACHE_LINE]
        codes = out.load(lanes(I8, 4 * isa.rows), 4)
        sums = [k.var(k.zeros(kind)) for _ in range(CHAINS)]
        with k.loop(0, k.args.rounds):
            for one in sums:
                one.set(isa.dot4(k, one.get(), codes, codes, 4))
        total = sums[0].get()
        for one in sums[1:]:
            total = total + one.get()
        out.store(total, 4)

    def operations(self, rows: int) -> int:
        """Multiplications and additions of one round on one thread."""
        return CHAINS * rows * 4 * 2


@dataclass(frozen=True)
class FusedRate(KernelSpec):
    """`rounds` times `CHAINS` independent float32 multiply-adds in registers; as `DotRate`."""

    arguments: ClassVar = DotRate.arguments

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Chains long enough to hide the latency."""
        kind = lanes(F32, isa.rows)
        out = k.pointer("out")[k.thread * CACHE_LINE]
        factor = out.load(kind, 4)
        sums = [k.var(k.zeros(kind)) for _ in range(CHAINS)]
        with k.loop(0, k.args.rounds):
            for one in sums:
                one.set(isa.fma(k, factor, factor, one.get()))
        total = sums[0].get()
        for one in sums[1:]:
            total = total + one.get()
        out.store(total, 4)

    def operations(self, rows: int) -> int:
        """Multiplications and additions of one round on one thread."""
        return CHAINS * rows * 2
