"""What this machine can do at best: bare loads, and products in registers. Speeds are shares of these figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.amx import TILE_BYTES, TILE_ROWS, Avx512Amx
from llamachat.engine.backend.cpu.jit.isa.dots import Codes
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import CACHE_LINE, Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, I8, I32, lanes

LOADS = 8
CHAINS = 12
TILE_SUMS = 4
BLOCK_BYTES = 2048
"""Memory is read in whole blocks of so many bytes, whatever a register holds."""

OPERANDS = 4096
"""Bytes of `source` that the rates of products read."""


@dataclass(frozen=True)
class ReadAll(KernelSpec):
    """Loads every byte of `source` once: `blocks` of BLOCK_BYTES. out: a cache line a thread.

    streams: parts of a thread's share that are read in turns. ahead: how many bytes before its load a line is asked
    for, as products do it; 0 leaves that to the processor.
    """

    streams: int = 1
    ahead: int = 0
    arguments: ClassVar = ("source", "blocks", "out")
    split: ClassVar = Shares("", ("blocks",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """The loads are combined, so that none can be left out."""
        kind, size = lanes(I32, isa.rows), 4 * isa.rows
        first, last = self.split.share(k)
        seen = [k.var(k.zeros(kind)) for _ in range(LOADS)]
        each, step = (last - first) // self.streams, LOADS * size
        rest = first + each * self.streams
        for start, n, streams in ((first, each, self.streams), (rest, last - rest, 1)):
            with k.loop(0, n * (BLOCK_BYTES // step)) as i:
                for stream in range(streams):
                    at = k.pointer("source")[(start + n * stream) * BLOCK_BYTES + i * step]
                    if self.ahead:
                        k.prefetch(at[self.ahead], step)
                    for j, one in enumerate(seen):
                        one.set(one.get() ^ at[j * size].load(kind, 4))
        total = seen[0].get()
        for one in seen[1:]:
            total = total ^ one.get()
        k.pointer("out")[k.thread * CACHE_LINE].store(total, 4)


@dataclass(frozen=True)
class DotRate(KernelSpec):
    """`rounds` times `quads` products of four bytes for each of the instruction set's columns, on every thread.

    codes: what the weights' bytes mean. They come from `source` (OPERANDS bytes, in the first cache) with every round,
    so that nothing is computed ahead; activations stay in registers. fours: how many products one `Dot` adds: few of
    them fit 16 bits and registers, many make their widening rare. out: a cache line a thread.
    """

    codes: Codes
    fours: int
    arguments: ClassVar = ("rounds", "source", "out")

    @property
    def quads(self) -> int:
        """Of a round: enough to make the loop's own instructions rare, few enough that compilers keep the order."""
        return max(8, self.fours)

    def emit(self, k: Kernel, isa: Generic) -> None:
        """One register of codes meets those of all columns."""
        size, quads, source = 4 * isa.rows, self.quads, k.pointer("source")
        x = [source[4 * c].load(I32, 4).splat(isa.rows) for c in range(isa.columns)]
        sums = [k.var(k.zeros(lanes(I32, isa.rows))) for _ in x]
        with k.loop(0, k.args.rounds) as i:
            at = source[(i & (OPERANDS // (quads * size) - 1)) * (quads * size)]
            for first in range(0, quads, self.fours):
                dots = [isa.dot(k, self.codes, self.fours, k.constant(I32, 0)) for _ in x]
                for quad in range(first, first + self.fours):
                    codes = at[quad * size].load(lanes(I8, size), 4)
                    for dot, value in zip(dots, x, strict=True):
                        dot.add(codes, value)
                for one, dot in zip(sums, dots, strict=True):
                    one.set(one.get() + dot.value())
        total = sums[0].get()
        for one in sums[1:]:
            total = total + one.get()
        k.pointer("out")[k.thread * CACHE_LINE].store(total, 4)

    def operations(self, isa: Generic) -> int:
        """Multiplications and additions of one round on one thread."""
        return 2 * isa.columns * self.quads * 4 * isa.rows


@dataclass(frozen=True)
class WordRate(KernelSpec):
    """The same of words, two of which fill a lane: `Generic.dot_words`."""

    pairs: ClassVar = 16
    arguments: ClassVar = DotRate.arguments

    def emit(self, k: Kernel, isa: Generic) -> None:
        """One register of codes meets those of all columns."""
        size, source = 4 * isa.rows, k.pointer("source")
        x = [source[4 * c].load(I32, 4).splat(isa.rows) for c in range(isa.columns)]
        sums = [k.var(k.zeros(lanes(I32, isa.rows))) for _ in x]
        with k.loop(0, k.args.rounds) as i:
            at = source[(i & (OPERANDS // (self.pairs * size) - 1)) * (self.pairs * size)]
            for pair in range(self.pairs):
                codes = at[pair * size].load(lanes(I32, isa.rows), 4)
                for one, value in zip(sums, x, strict=True):
                    one.set(isa.dot_words(k, one.get(), codes, value))
        total = sums[0].get()
        for one in sums[1:]:
            total = total + one.get()
        k.pointer("out")[k.thread * CACHE_LINE].store(total, 4)

    def operations(self, isa: Generic) -> int:
        """Multiplications and additions of one round on one thread."""
        return 2 * isa.columns * self.pairs * 2 * isa.rows


@dataclass(frozen=True)
class TileRate(KernelSpec):
    """`rounds` times TILE_SUMS independent products of byte matrices in tile registers; as `DotRate`."""

    arguments: ClassVar = DotRate.arguments

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Two tiles of weights with two of activations; out: a tile a thread."""
        assert isinstance(isa, Avx512Amx)
        isa.configure_tiles(k, [(TILE_ROWS, TILE_BYTES)] * (TILE_SUMS + 4))
        for tile in range(TILE_SUMS):
            isa.zero_tile(k, tile)
        for tile in range(4):
            isa.load_tile(k, TILE_SUMS + tile, k.pointer("source"), TILE_BYTES)
        with k.loop(0, k.args.rounds):
            for a in range(2):
                for b in range(2):
                    isa.dot_tiles(k, 2 * a + b, TILE_SUMS + a, TILE_SUMS + 2 + b)
        for tile in range(TILE_SUMS):
            isa.store_tile(k, tile, k.pointer("out")[k.thread * TILE_ROWS * TILE_BYTES], TILE_BYTES)
        isa.release_tiles(k)

    def operations(self, isa: Generic) -> int:
        """Multiplications and additions of one round on one thread."""
        return 2 * TILE_SUMS * TILE_ROWS * TILE_ROWS * TILE_BYTES


@dataclass(frozen=True)
class FusedRate(KernelSpec):
    """`rounds` times `CHAINS` independent float32 multiply-adds in registers; as `DotRate`."""

    arguments: ClassVar = DotRate.arguments

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Chains long enough to hide the latency."""
        kind = lanes(F32, isa.rows)
        factor = k.pointer("source").load(kind, 4)
        sums = [k.var(k.zeros(kind)) for _ in range(CHAINS)]
        with k.loop(0, k.args.rounds):
            for one in sums:
                one.set(isa.fma(k, factor, factor, one.get()))
        total = sums[0].get()
        for one in sums[1:]:
            total = total + one.get()
        k.pointer("out")[k.thread * CACHE_LINE].store(total, 4)

    def operations(self, isa: Generic) -> int:
        """Multiplications and additions of one round on one thread."""
        return CHAINS * isa.rows * 2
