"""Products of queries and cached keys: float32 with keys that are floats, bytes with keys that are blocks of codes.

For blocks a query is rounded to 127 steps of each 32 dimensions, as activations are for quantised weights; then
score = fma(float(dot), scale * q_scale, score), and where keys have an offset, score = fma(offset, q_sum, score), block
by block; `dot` is an exact integer. For floats score = fma(key, q, score), dimension by dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from llamachat.engine.backend.cpu.jit.isa.dots import Codes
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import CACHE_LINE, Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I8, I16, I32, Ptr, Var, Vec, lanes
from llamachat.engine.backend.cpu.kernels.activations import rounded
from llamachat.engine.backend.cpu.kernels.cache_formats import (
    BLOCK,
    FOUR,
    HALF,
    BlockCache,
    CacheFormat,
    FloatCache,
    KeyBlock,
)
from llamachat.engine.backend.cpu.kernels.norm import LANES, lanes_for

Q_SCALE, Q_SUM, Q_START, RECORD = 2 * BLOCK, 2 * BLOCK + 4, 2 * BLOCK + 8, 2 * BLOCK + 12
"""Places in a block's record of a query behind its numbers, and the record's size."""


Reads = Sequence[Callable[[], Vec]]


@dataclass(frozen=True)
class Ahead:
    """Memory that is asked for while other memory is computed with."""

    at: Ptr
    n_bytes: int

    def ask(self, k: Kernel, i: Vec, n: int, turn: int = 0, turns: int = 1) -> None:
        """For the part that is due at step i of n, or a turn's share of that."""
        lines = -(-self.n_bytes // (n * CACHE_LINE))
        first, last = (lines * t // turns for t in (turn, turn + 1))
        k.prefetch(self.at[i * (lines * CACHE_LINE) + first * CACHE_LINE], (last - first) * CACHE_LINE)


@dataclass(frozen=True)
class Keys:
    """A register's worth of neighbouring keys: where their group begins, and the first one's lane in it."""

    group: Ptr
    lane: Vec


@dataclass(frozen=True)
class Met:
    """A block of keys and of queries that are multiplied; ask: of so many turns, what is asked for in one."""

    keys: list[Keys]
    places: list[KeyBlock]
    records: list[Ptr]
    ask: Callable[[int, int], None]


class Scores(Protocol):
    """How queries are kept and multiplied."""

    def query_bytes(self, dim: int) -> int:
        """Size of a query that is ready."""
        ...

    def loads(self, isa: Generic, n_queries: int) -> int:
        """Registers of keys that are multiplied at once with so many queries, at most."""
        ...

    def write_query(self, k: Kernel, isa: Generic, source: Ptr, to: Ptr, dim: int, scale: Vec) -> None:
        """Makes `dim` float32 ready, times scale."""
        ...

    def multiply(
        self, k: Kernel, isa: Generic, keys: list[Keys], queries: list[Ptr], dim: int, ahead: Ahead
    ) -> list[list[Vec]]:
        """[query][register of keys] scores."""
        ...


@dataclass(frozen=True)
class FloatScores:
    """Of keys that are floats: a query is `dim` float32."""

    keys: FloatCache

    def query_bytes(self, dim: int) -> int:
        """Size of a query."""
        return 4 * dim

    def loads(self, isa: Generic, n_queries: int) -> int:
        """A sum for each of both; and either keys or queries' numbers stay in registers, the others come and go."""
        return max((isa.registers - 1) // (n_queries + 1), (isa.registers - 1 - n_queries) // n_queries)

    def write_query(self, k: Kernel, isa: Generic, source: Ptr, to: Ptr, dim: int, scale: Vec) -> None:
        """The query times scale."""
        n = lanes_for(dim, isa.rows)
        with k.loop(0, 4 * dim, 4 * n) as at:
            to[at].store(source[at].load(lanes(F32, n), 4) * scale.splat(n), 4)

    def multiply(
        self, k: Kernel, isa: Generic, keys: list[Keys], queries: list[Ptr], dim: int, ahead: Ahead
    ) -> list[list[Vec]]:
        """Dimension by dimension."""
        n = isa.rows
        totals = [[k.var(k.zeros(lanes(F32, n))) for _ in keys] for _ in queries]
        at_once = lanes_for(dim, max(1, CACHE_LINE // (LANES * self.keys.size)))
        with k.loop(0, dim, at_once) as first:
            ahead.ask(k, first // at_once, dim // at_once)
            for i in range(at_once):
                read = [partial(self.keys.read_keys, k, isa, one.group, one.lane, first + i, n) for one in keys]
                ask = [partial(self._number, query, first + i, n) for query in queries]
                multiply_all(k, isa, totals, read, ask)
        return [[total.get() for total in sums] for sums in totals]

    def _number(self, query: Ptr, d: Vec, n: int) -> Vec:
        return query[d * 4].load(F32, 4).splat(n)


@dataclass(frozen=True)
class BlockScores:
    """Of keys that are blocks of codes: a query is a record for each block.

    A record is 32 numbers, then scale, scale * (sum of the numbers), and what an integer starts at. Numbers are bytes
    in the order of dimensions; or words, of each four dimensions 0 and 2, then 1 and 3, where the instruction set
    multiplies codes of 8 bits faster as words: 0 and 2 are the even bytes of a dword.
    """

    keys: BlockCache

    def query_bytes(self, dim: int) -> int:
        """Size of a query, on any instruction set."""
        return dim // BLOCK * RECORD

    def loads(self, isa: Generic, n_queries: int) -> int:
        """Each needs its codes, as they are or as words, and an integer for each query. Sums may lie in memory."""
        return (isa.registers - 2) // (n_queries + 2)

    def write_query(self, k: Kernel, isa: Generic, source: Ptr, to: Ptr, dim: int, scale: Vec) -> None:
        """The query rounded; the scale takes the factor in. A sum starts with what the codes' bias takes away."""
        with k.loop(0, dim // BLOCK) as block:
            codes, own_scale = rounded(k, isa, source[block * (4 * BLOCK)])
            at, total = to[block * RECORD], codes[0]
            for i, code in enumerate(codes):
                if self._as_words(isa):
                    order = [4 * (j // 4) + FOUR[j % 4] for j in range(isa.rows)]
                    at[2 * i * isa.rows].store(code.shuffle(order).cut(I16), 4)
                else:
                    at[i * isa.rows].store(code.cut(I8).as_(lanes(I32, isa.rows // 4)), 4)
                total = total + code if i else total
            total, q_scale = total.reduce(lambda a, b: a + b), own_scale * scale
            at[Q_SCALE].store(q_scale, 4)
            at[Q_SUM].store(total.to_float() * q_scale, 4)
            at[Q_START].store(total * self.keys.code_bias, 4)

    def multiply(
        self, k: Kernel, isa: Generic, keys: list[Keys], queries: list[Ptr], dim: int, ahead: Ahead
    ) -> list[list[Vec]]:
        """Block by block."""
        n, blocks = isa.rows, dim // BLOCK
        totals = [[k.var(k.zeros(lanes(F32, n))) for _ in keys] for _ in queries]
        with k.loop(0, blocks) as block:
            places = [KeyBlock(one.group, blocks, block) for one in keys]
            records = [query[block * RECORD] for query in queries]
            dots = self._dots(k, isa, Met(keys, places, records, partial(ahead.ask, k, block, blocks)))
            scales = [self.keys.key_scale(k, isa, at, one.lane, n) for one, at in zip(keys, places, strict=True)]
            offsets = [self.keys.key_offset(k, isa, at, one.lane, n) for one, at in zip(keys, places, strict=True)]
            for at, row, sums in zip(records, dots, totals, strict=True):
                q_scale, q_sum = (at[where].load(F32, 4).splat(n) for where in (Q_SCALE, Q_SUM))
                for dot, scale, offset, total in zip(row, scales, offsets, sums, strict=True):
                    value = isa.fma(k, dot.get().to_float(), scale * q_scale, total.get())
                    total.set(value if offset is None else isa.fma(k, offset, q_sum, value))
        return [[total.get() for total in sums] for sums in totals]

    def _as_words(self, isa: Generic) -> bool:
        return self.keys.code_bits == 8 and not isa.codes_may_stay

    def _dots(self, k: Kernel, isa: Generic, met: Met) -> list[list[Var]]:
        """[query][register of keys] sums of codes x numbers of a block, as straight code."""
        starts = [at[Q_START].load(I32, 4).splat(isa.rows) for at in met.records]
        sums = [[k.var(start) for _ in met.keys] for start in starts]
        add = self._add_words if self._as_words(isa) else self._add_bytes
        for turn in range(HALF // 4):
            met.ask(turn, HALF // 4)
            add(k, isa, sums, met, k.number(turn))
        return sums

    def _codes(self, k: Kernel, isa: Generic, met: Met, quad: Vec) -> list[list[Vec]]:
        """[register of keys][half of the block] four neighbouring codes; read anew at every call."""
        return [self.keys.key_codes(k, isa, at, key.lane, quad) for key, at in zip(met.keys, met.places, strict=True)]

    def _add_words(self, k: Kernel, isa: Generic, sums: list[list[Var]], met: Met, quad: Vec) -> None:
        for half in (0, 1):
            words = [even_and_odd(isa, four[half]) for four in self._codes(k, isa, met, quad)]
            for at, row in zip(met.records, sums, strict=True):
                x = [at[4 * HALF // 2 * half + 4 * i][quad * 8].load(I32, 4).splat(isa.rows) for i in (0, 1)]
                for total, (even, odd) in zip(row, words, strict=True):
                    dot = isa.dot_words(k, isa.dot_words(k, total.get(), even, x[0]), odd, x[1])
                    total.set(isa.held(k, dot))

    def _add_bytes(self, k: Kernel, isa: Generic, sums: list[list[Var]], met: Met, quad: Vec) -> None:
        bits, fours = self.keys.code_bits, self._codes(k, isa, met, quad)
        for at, row in zip(met.records, sums, strict=True):
            x = [at[HALF * half][quad * 4].load(I32, 4).splat(isa.rows) for half in (0, 1)]
            for total, four in zip(row, fours, strict=True):
                if isa.codes_may_stay:
                    total.set(isa.dot4(k, isa.dot4(k, total.get(), four[0], x[0], bits), four[1], x[1], bits))
                    continue
                dot = isa.dot(k, Codes(bits), len(four))
                for some, one in zip(four, x, strict=True):
                    dot.add(some, one)
                total.set(isa.held(k, total.get() + dot.value()))


def multiply_all(k: Kernel, isa: Generic, totals: list[list[Var]], columns: Reads, rows: Reads) -> None:
    """totals[row][column] += rows[row] * columns[column]. Those of which there are fewer stay in registers.

    The others are read one after the other: LLVM leaves loads in the order in which they are written.
    """
    if len(rows) <= len(columns):
        kept = [read() for read in rows]
        for j, read in enumerate(columns):
            column = read()
            for sums, row in zip(totals, kept, strict=True):
                sums[j].set(isa.fma(k, column, row, sums[j].get()))
        return
    kept = [read() for read in columns]
    for read, sums in zip(rows, totals, strict=True):
        row = read()
        for total, column in zip(sums, kept, strict=True):
            total.set(isa.fma(k, column, row, total.get()))


def even_and_odd(isa: Generic, codes: Vec) -> tuple[Vec, Vec]:
    """Unsigned bytes of registers as words: those of bytes 0 and 2 of each dword, and of 1 and 3."""
    words = codes.as_(lanes(I16, 2 * isa.rows))
    return words & 255, words >> 8


def scores_of(keys: CacheFormat) -> Scores:
    """How queries are multiplied with keys of that type."""
    return FloatScores(keys) if isinstance(keys, FloatCache) else BlockScores(keys)
