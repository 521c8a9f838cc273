"""Products of queries and cached keys: float32 with keys that are floats, bytes with keys that are blocks of codes.

For blocks a query is rounded to 127 steps of each 32 dimensions, as activations are for quantised weights; then
score = fma(float(dot), scale * q_scale, score), and where keys have an offset, score = fma(offset, q_sum, score), block
by block; `dot` is an exact integer. For floats score = fma(key, q, score), dimension by dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import CACHE_LINE, Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I8, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.activations import rounded
from llamachat.engine.backend.cpu.kernels.cache_formats import BLOCK, BlockCache, CacheFormat, FloatCache
from llamachat.engine.backend.cpu.kernels.norm import LANES, lanes_for


@dataclass(frozen=True)
class Keys:
    """A register's worth of neighbouring keys: where their group begins, and the first one's lane in it."""

    group: Ptr
    lane: Vec


class Scores(Protocol):
    """How queries are kept and multiplied."""

    def query_bytes(self, dim: int) -> int:
        """Size of a query that is ready."""
        ...

    def keys_at_once(self, isa: Generic) -> int:
        """Keys of a register."""
        ...

    def registers(self, n_queries: int) -> int:
        """Registers that each register of keys needs."""
        ...

    def write_query(self, k: Kernel, isa: Generic, source: Ptr, to: Ptr, dim: int, scale: Vec) -> None:
        """Makes `dim` float32 ready, times scale."""
        ...

    def multiply(self, k: Kernel, isa: Generic, keys: list[Keys], queries: list[Ptr], dim: int) -> list[list[Vec]]:
        """[query][register of keys] scores."""
        ...


@dataclass(frozen=True)
class FloatScores:
    """Of keys that are floats: a query is `dim` float32."""

    keys: FloatCache

    def query_bytes(self, dim: int) -> int:
        """Size of a query."""
        return 4 * dim

    def keys_at_once(self, isa: Generic) -> int:
        """Keys of a register."""
        return LANES

    def registers(self, n_queries: int) -> int:
        """The keys, and a sum for each query."""
        return n_queries + 1

    def write_query(self, k: Kernel, isa: Generic, source: Ptr, to: Ptr, dim: int, scale: Vec) -> None:
        """The query times scale."""
        n = lanes_for(dim, isa.rows)
        with k.loop(0, 4 * dim, 4 * n) as at:
            to[at].store(source[at].load(lanes(F32, n), 4) * scale.splat(n), 4)

    def multiply(self, k: Kernel, isa: Generic, keys: list[Keys], queries: list[Ptr], dim: int) -> list[list[Vec]]:
        """Dimension by dimension; keys are asked for ahead."""
        totals = [[k.var(k.zeros(lanes(F32, LANES))) for _ in keys] for _ in queries]
        register = LANES * self.keys.size
        at_once = lanes_for(dim, max(1, CACHE_LINE // register))
        with k.loop(0, dim, at_once) as first:
            for one in keys:
                k.prefetch(one.group[first * register + len(keys) * dim * register], at_once * register)
            for i in range(at_once):
                d = first + i
                found = [self.keys.read_keys(k, isa, one.group, d) for one in keys]
                for query, sums in zip(queries, totals, strict=True):
                    q = query[d * 4].load(F32, 4).splat(LANES)
                    for total, key in zip(sums, found, strict=True):
                        total.set(isa.fma(k, key, q, total.get()))
        return [[total.get() for total in sums] for sums in totals]


# A record of 32 dimensions: 32 signed bytes, then scale, scale * (sum of the bytes), and what an integer starts at.
Q_SCALE, Q_SUM, Q_START, RECORD = BLOCK, BLOCK + 4, BLOCK + 8, BLOCK + 12


@dataclass(frozen=True)
class BlockScores:
    """Of keys that are blocks of codes: a query is a record for each block."""

    keys: BlockCache

    def query_bytes(self, dim: int) -> int:
        """Size of a query."""
        return dim // BLOCK * RECORD

    def keys_at_once(self, isa: Generic) -> int:
        """Keys of a register."""
        return isa.rows

    def registers(self, n_queries: int) -> int:
        """The keys, and for each query an integer and a sum."""
        return 2 * n_queries + 1

    def write_query(self, k: Kernel, isa: Generic, source: Ptr, to: Ptr, dim: int, scale: Vec) -> None:
        """The query rounded; the scale takes the factor in. A sum starts with what the codes' bias takes away."""
        with k.loop(0, dim // BLOCK) as block:
            codes, own_scale = rounded(k, isa, source[block * (4 * BLOCK)])
            at, total = to[block * RECORD], codes[0]
            for i, code in enumerate(codes):
                at[i * isa.rows].store(code.cut(I8).as_(lanes(I32, isa.rows // 4)), 4)
                total = total + code if i else total
            total, q_scale = total.reduce(lambda a, b: a + b), own_scale * scale
            at[Q_SCALE].store(q_scale, 4)
            at[Q_SUM].store(total.to_float() * q_scale, 4)
            at[Q_START].store(total * self.keys.key_bias, 4)

    def multiply(self, k: Kernel, isa: Generic, keys: list[Keys], queries: list[Ptr], dim: int) -> list[list[Vec]]:
        """Block by block; keys are asked for ahead."""
        n, size = isa.rows, self.keys.bytes * LANES
        totals = [[k.var(k.zeros(lanes(F32, n))) for _ in keys] for _ in queries]
        with k.loop(0, dim // BLOCK) as block:
            places = [Keys(one.group[block * size], one.lane) for one in keys]
            for one in places:
                k.prefetch(one.group[len(keys) * (dim // BLOCK) * size], size)
            records = [query[block * RECORD] for query in queries]
            dots = self._dots(k, isa, places, records)
            scales = [self.keys.key_scale(k, isa, one.group, one.lane, n) for one in places]
            offsets = [self.keys.key_offset(k, isa, one.group, one.lane, n) for one in places]
            for at, row, sums in zip(records, dots, totals, strict=True):
                q_scale, q_sum = (at[where].load(F32, 4).splat(n) for where in (Q_SCALE, Q_SUM))
                for dot, scale, offset, total in zip(row, scales, offsets, sums, strict=True):
                    value = isa.fma(k, dot.to_float(), scale * q_scale, total.get())
                    total.set(value if offset is None else isa.fma(k, offset, q_sum, value))
        return [[total.get() for total in sums] for sums in totals]

    def _dots(self, k: Kernel, isa: Generic, places: list[Keys], records: list[Ptr]) -> list[list[Vec]]:
        """[query][register of keys] integers of a block."""
        n = isa.rows
        dots = [[at[Q_START].load(I32, 4).splat(n) for _ in places] for at in records]
        for quad in range(BLOCK // 4):
            codes = [self.keys.key_codes(k, isa, one.group, one.lane, quad) for one in places]
            for at, row in zip(records, dots, strict=True):
                four = at[4 * quad].load(I32, 4).splat(n)
                row[:] = [
                    isa.dot4(k, dot, code, four, self.keys.key_bits) for dot, code in zip(row, codes, strict=True)
                ]
        return dots


def scores_of(keys: CacheFormat) -> Scores:
    """How queries are multiplied with keys of that type."""
    return FloatScores(keys) if isinstance(keys, FloatCache) else BlockScores(keys)
