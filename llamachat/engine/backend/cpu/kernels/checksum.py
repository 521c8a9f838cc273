"""Checksums of memory, at the speed of reading it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import I32, lanes

LANES = 64
FACTOR = 0x01000193
"""Odd, so that no change of one number is lost."""


@dataclass(frozen=True)
class Checksum(KernelSpec):
    """sums[chunk][lane], i32: of the chunk's numbers lane, lane + LANES, ...: sum = sum * FACTOR + number.

    source: i32 numbers; chunks: of `chunk` bytes each, a multiple of 4 * LANES.
    """

    chunk: int
    arguments: ClassVar = ("source", "chunks", "sums")
    split: ClassVar = Shares("", ("chunks",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Registers of 16 numbers, which every instruction set divides into its own: the sums are the same."""
        kind = lanes(I32, 16)
        first, last = self.split.share(k)
        with k.loop(first, last) as chunk, k.when(k.not_cancelled()):
            sums = [k.var(k.zeros(kind)) for _ in range(LANES // 16)]
            source, out = k.pointer("source")[chunk * self.chunk], k.pointer("sums")[chunk * (4 * LANES)]
            with k.loop(0, self.chunk, 4 * LANES) as at:
                k.prefetch(source[at + 4096], 4 * LANES)
                for i, total in enumerate(sums):
                    total.set(total.get() * FACTOR + source[at + 64 * i].load(kind, 64))
            for i, total in enumerate(sums):
                out[64 * i].store(total.get(), 64)
