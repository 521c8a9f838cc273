"""Sums of cached values times softmax weights, over some of a chunk's cells and for some rows of queries at once.

Values that are floats: output = fma(value, weight, output), cell by cell. Values in blocks, for each block of 32
dimensions: w = weight * scale of a cell, rounded to f = nearest(w * 32767 / largest |w| of the row in this chunk); the
sum of f * (code + bias) is an exact integer, as int32 (256 * 32767 * 128 < 2^31); output = float(sum) * (largest /
32767). Where values have an offset, bias is minus half of the codes' range, so that the rounding of f stays small, and
output = fma(float(sum), largest / 32767, sum of weight * (offset - bias * scale)), in which lane l adds cells l, l +
LANES, ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I16, I32, Ptr, Var, Vec, lanes
from llamachat.engine.backend.cpu.kernels.cache_formats import BLOCK, CHUNK, HALF, BlockCache, CacheFormat, FloatCache
from llamachat.engine.backend.cpu.kernels.functions import ROUND, ROUND_BITS
from llamachat.engine.backend.cpu.kernels.norm import LANES, lanes_for
from llamachat.engine.backend.cpu.kernels.scores import Ahead, even_and_odd, multiply_all

LARGEST = 32767
TINY = 1e-30  # a row whose largest weight times scale is smaller adds nothing: 32767 / largest is to be finite
FOURS = (0, 2, 1, 3)
"""Where the words of each four of LANES cells lie: in the order in which AVX2 packs two registers."""
ROW = 4 * CHUNK
"""Bytes of a row's weights, and of its factors."""
Finish = Callable[[int, Vec, Vec], None]
"""finish(row, byte, register) keeps a register of the outputs of a row."""


@dataclass(frozen=True)
class Weights:
    """float32 weights of `count` rows, ROW bytes each, for the cells begin .. end - 1 of a chunk.

    Around these cells, to whole groups of LANES, weights are zero, or belong to a chunk of which a row sees nothing.
    scratch: ROW bytes for each row. ahead: what is needed next.
    """

    at: Ptr
    count: int
    begin: Vec
    end: Vec
    scratch: Ptr
    ahead: Ahead


class WeightedValues(Protocol):
    """How values of a type are added."""

    def add(self, k: Kernel, isa: Generic, weights: Weights, values: Ptr, dim: int, finish: Finish) -> None:
        """The sums of `dim` values; values: where the head's begin in the chunk."""
        ...


@dataclass(frozen=True)
class FloatValues:
    """Of values that are floats."""

    values: FloatCache

    def add(self, k: Kernel, isa: Generic, weights: Weights, values: Ptr, dim: int, finish: Finish) -> None:
        """A few registers of columns at a time."""
        n, row_bytes = lanes_for(dim, isa.rows), self.values.row_bytes(dim)
        most = 2 * isa.query_rows
        wide = next(w for w in (4, 2, 1) if dim // n % w == 0 and (w * weights.count <= most or w == 1))
        with k.loop(0, dim, n * wide) as column:
            totals = [[k.var(k.zeros(lanes(F32, n))) for _ in range(wide)] for _ in range(weights.count)]
            with k.loop(weights.begin, weights.end) as cell:
                at = values[cell * row_bytes]
                weights.ahead.ask(k, column // (n * wide) * CHUNK + cell, dim // (n * wide) * CHUNK)
                read = [partial(self.values.read_values, k, isa, at, column + i * n, n) for i in range(wide)]
                ask = [partial(self._weight, weights.at[ROW * r + cell * 4], n) for r in range(weights.count)]
                multiply_all(k, isa, totals, read, ask)
            for r, sums in enumerate(totals):
                for i, total in enumerate(sums):
                    finish(r, column * 4 + 4 * n * i, total.get())

    def _weight(self, at: Ptr, n: int) -> Vec:
        return at.load(F32, 4).splat(n)


@dataclass(frozen=True)
class Factors:
    """A row's words for a block: what one is worth, what integers start at, the sum of weights times offsets."""

    unit: Vec
    start: Vec
    offset: Vec | None


@dataclass(frozen=True)
class BlockValues:
    """Of values that are blocks of codes: as pairs of words."""

    values: BlockCache

    def add(self, k: Kernel, isa: Generic, weights: Weights, values: Ptr, dim: int, finish: Finish) -> None:
        """Block by block."""
        with k.loop(0, dim // BLOCK) as block:
            at = values[block * (self.values.bytes * CHUNK)]
            rows = self._factors(k, isa, weights, at)
            with k.loop(0, HALF // isa.rows) as part:
                pieces = dim // BLOCK * (HALF // isa.rows)
                piece = Ahead(weights.ahead.at, -(-weights.ahead.n_bytes // pieces))
                piece = replace(piece, at=piece.at[(block * (HALF // isa.rows) + part) * piece.n_bytes])
                for i, half in enumerate(self._sums(k, isa, replace(weights, ahead=piece), at, part)):
                    place = (block * BLOCK + part * isa.rows + i * HALF) * 4
                    for r, (total, row) in enumerate(zip(half, rows, strict=True)):
                        value, unit = (total.get() + row.start.splat(isa.rows)).to_float(), row.unit.splat(isa.rows)
                        if row.offset is None:
                            finish(r, place, value * unit)
                        else:
                            finish(r, place, isa.fma(k, value, unit, row.offset.splat(isa.rows)))

    def _factors(self, k: Kernel, isa: Generic, weights: Weights, at: Ptr) -> list[Factors]:
        """Of each row for one block."""
        largest, offsets = self._scaled(k, isa, weights, at)
        tops = [one.get().reduce(lambda a, b: a.max(b)).as_(F32) for one in largest]
        inverse = [(top > TINY).select(top.like(float(LARGEST)) / top, 0.0) for top in tops]
        sums = self._rounded(k, isa, weights, inverse)
        return [
            Factors(
                top * (1.0 / LARGEST),
                total * self.values.value_bias,
                offset.get().reduce(lambda a, b: a + b) if self.values.has_offset else None,
            )
            for top, total, offset in zip(tops, sums, offsets, strict=True)
        ]

    def _scaled(self, k: Kernel, isa: Generic, weights: Weights, at: Ptr) -> tuple[list[Var], list[Var]]:
        """Weights times scales into scratch; returns their largest magnitudes, and sums of weights times offsets.

        Magnitudes are bits, of which those of NaN are the largest. Cells that nobody sees may hold anything: their
        scales count as zeros.
        """
        largest, offsets = ([k.var(k.zeros(lanes(kind, LANES))) for _ in range(weights.count)] for kind in (I32, F32))
        begin, end = (x.cut(I32).splat(LANES) for x in (weights.begin, weights.end))
        with k.loop(weights.begin // LANES * LANES, weights.end, LANES) as cell:
            cells = cell.cut(I32).splat(LANES) + k.ramp(LANES)
            seen = (cells >= begin) & (cells < end)
            scale, offset = self.values.value_scales(k, isa, at, cell)
            scale = seen.select(scale, 0.0)
            for r in range(weights.count):
                weight = weights.at[ROW * r][cell * 4].load(lanes(F32, LANES), 4)
                w = weight * scale
                weights.scratch[ROW * r][cell * 4].store(w, 4)
                size = w.as_(lanes(I32, LANES)) & 0x7FFFFFFF
                largest[r].set(largest[r].get().max(size))
                if offset is not None:
                    offsets[r].set(isa.fma(k, weight, seen.select(offset, 0.0), offsets[r].get()))
        return largest, offsets

    def _rounded(self, k: Kernel, isa: Generic, weights: Weights, inverse: list[Vec]) -> list[Vec]:
        """What lies in scratch, times `inverse`, as words in its place; returns the sum of each row's words."""
        sums = [k.var(k.zeros(lanes(I32, LANES))) for _ in inverse]
        first = weights.begin // LANES * LANES
        with k.loop(first, weights.end, LANES) as cell:
            for r, (total, factor) in enumerate(zip(sums, inverse, strict=True)):
                row = weights.scratch[ROW * r]
                w = row[cell * 4].load(lanes(F32, LANES), 4)
                bits = isa.fma(k, w, factor.splat(LANES), w.like(ROUND)).as_(lanes(I32, LANES))
                order = [4 * place + i for place in FOURS for i in range(4)]
                row[cell * 2].store(bits.cut(I16).shuffle(order), 4)
                total.set(total.get() + bits)
        cells = ((weights.end - first + (LANES - 1)) // LANES * LANES).cut(I32)
        return [total.get().reduce(lambda a, b: a + b) - cells * ROUND_BITS for total in sums]

    def _sums(self, k: Kernel, isa: Generic, weights: Weights, at: Ptr, part: Vec) -> list[list[Var]]:
        """[half of the block][row] sums of words x codes of some dimensions of each half, over all cells."""
        sums = [[k.var(k.zeros(lanes(I32, isa.rows))) for _ in range(weights.count)] for _ in (0, 1)]
        with k.loop(weights.begin // LANES * LANES, weights.end, LANES) as cell:
            weights.ahead.ask(k, cell // LANES, CHUNK // LANES)
            for i, place in enumerate(FOURS):
                codes = [even_and_odd(isa, half) for half in self.values.value_codes(k, isa, at, cell // 4 + i, part)]
                for r in range(weights.count):
                    row = weights.scratch[ROW * r + 8 * place][cell * 2]
                    words = [row[4 * j].load(I32, 4).splat(isa.rows) for j in (0, 1)]
                    for half, (even, odd) in zip(sums, codes, strict=True):
                        dot = isa.dot_words(k, isa.dot_words(k, half[r].get(), even, words[0]), odd, words[1])
                        half[r].set(isa.held(k, dot))
        return sums


def weighted(values: CacheFormat) -> WeightedValues:
    """How values of that type are added."""
    return FloatValues(values) if isinstance(values, FloatCache) else BlockValues(values)
