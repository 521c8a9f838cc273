"""Sums of values times softmax weights where values are numbers of the keys (latent attention), read out of them.

output = fma(number of a key, weight, output): lane l adds cells l, l + LANES, ...; the lanes are then added as a tree.
Numbers of blocks are decoded first: scale * code, + offset where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.cache_formats import (
    BLOCK,
    HALF,
    BlockCache,
    CacheFormat,
    FloatCache,
    KeyBlock,
)
from llamachat.engine.backend.cpu.kernels.norm import LANES
from llamachat.engine.backend.cpu.kernels.weighted_values import ROW, Finish, Weights

Read = Callable[[Ptr, Vec], Vec]
"""A number of isa.rows keys, from a lane of their group on: float32."""


@dataclass(frozen=True)
class LatentValues:
    """Values that are the last numbers of keys of `key_dim`; layers with them have no window, so that `begin` is 0."""

    keys: CacheFormat
    key_dim: int

    def add(self, k: Kernel, isa: Generic, weights: Weights, values: Ptr, dim: int, finish: Finish) -> None:
        """The sums of the last `dim` numbers; values: where the keys begin in the chunk."""
        first = self.key_dim - dim
        if isinstance(self.keys, FloatCache):
            with k.loop(0, dim) as d:
                weights.ahead.ask(k, d, dim)
                read = partial(self._float, self.keys, k, isa, first + d)
                self._sum(k, isa, weights, values, read, partial(self._keep, finish, d * 4))
            return
        with k.loop(first // BLOCK, self.key_dim // BLOCK) as block, k.loop(0, HALF) as d:
            weights.ahead.ask(k, block * HALF + d, self.key_dim // 2)
            for half in (0, 1):
                place = block * BLOCK + half * HALF + d - first
                with k.when(place >= 0):
                    read = partial(self._code, self.keys, k, isa, (block, d, half))
                    self._sum(k, isa, weights, values, read, partial(self._keep, finish, place * 4))

    def _float(self, keys: FloatCache, k: Kernel, isa: Generic, d: Vec, group: Ptr, lane: Vec) -> Vec:
        return keys.read_keys(k, isa, group, lane, d, isa.rows)

    def _code(
        self, keys: BlockCache, k: Kernel, isa: Generic, where: tuple[Vec, Vec, int], group: Ptr, lane: Vec
    ) -> Vec:
        block, d, half = where
        n, at = isa.rows, KeyBlock(group, self.key_dim // BLOCK, block)
        four = keys.key_codes(k, isa, at, lane, d // 4)[half].as_(lanes(I32, n))
        code = ((four >> (d % 4 * 8).cut(I32).splat(n)) & 255) + keys.code_bias
        scale, offset = keys.key_scale(k, isa, at, lane, n), keys.key_offset(k, isa, at, lane, n)
        return code.to_float() * scale if offset is None else isa.fma(k, code.to_float(), scale, offset)

    def _sum(
        self, k: Kernel, isa: Generic, weights: Weights, keys: Ptr, read: Read, keep: Callable[[int, Vec], None]
    ) -> None:
        """One number of all keys, for every row of weights."""
        n, n_parts = isa.rows, LANES // isa.rows
        totals = [[k.var(k.zeros(lanes(F32, n))) for _ in range(n_parts)] for _ in range(weights.count)]

        def add(group: Vec, end: Vec | None) -> None:
            for part in range(n_parts):
                number = read(keys[group * (self.keys.row_bytes(self.key_dim) * LANES)], k.number(part * n))
                if end is not None:  # cells behind the last one may hold anything
                    seen = k.ramp(n) < (end - group * LANES - part * n).cut(I32).splat(n)
                    number = seen.select(number, 0.0)
                for r, sums in enumerate(totals):
                    weight = weights.at[ROW * r][(group * LANES + part * n) * 4].load(lanes(F32, n), 4)
                    sums[part].set(isa.fma(k, number, weight, sums[part].get()))

        n_whole = weights.end // LANES
        with k.loop(0, n_whole) as group:
            add(group, None)
        with k.when(n_whole * LANES < weights.end):
            add(n_whole, weights.end)
        for r, sums in enumerate(totals):
            parts = [total.get() for total in sums]
            while len(parts) > 1:
                half = len(parts) // 2
                parts = [a + b for a, b in zip(parts[:half], parts[half:], strict=True)]
            keep(r, parts[0].reduce(lambda a, b: a + b))

    @staticmethod
    def _keep(finish: Finish, at: Vec, row: int, value: Vec) -> None:
        finish(row, at, value)
