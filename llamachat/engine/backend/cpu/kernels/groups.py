"""The arithmetic of products, the same for one column and for many.

For each row, 32 columns after 32 columns: P = sum over the scales of those columns (one, or one for each 16) of
scale * sum of (code + bias) * x, an exact integer. xs is the scale of x there, x_sum is xs * (sum of x's codes).
    blocks of one group of 32:  total = fma(float(P), d * xs, total); total = fma(dmin, x_sum, total)
    other blocks:               A = fma(float(P), xs, A); M = fma(float(minimum), x_sum, M), both from 0 on; at the
                                block's end total = fma(d, A, total); total = fma(dmin, M, total)
    minima for each 16:         M = fma(float(minimum0 * sum0 + minimum1 * sum1), xs, M), sums of the codes of 16
    a float for each group:     A = fma(float(P), d * xs, A), and at the end total = total + A; M in the same way
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I32, Ptr, Var, Vec, lanes
from llamachat.engine.backend.cpu.kernels.panel import GROUP, Record
from llamachat.engine.backend.cpu.kernels.tile import Place, Tile
from llamachat.engine.quants.trees import Expr


@dataclass(frozen=True)
class Numbers:
    """What 32 columns of a register of rows have beside their codes, or a block has.

    scales: for `Dot.scaled`, one for each dot. minima: i32, one for each dot, or one of two i16 for two dots of a block
    with one dmin. d, dmin: float32: one for each dot where they belong to groups. Each is empty where there is nothing.
    """

    scales: tuple[Vec, ...] = ()
    minima: tuple[Vec, ...] = ()
    d: tuple[Vec, ...] = ()
    dmin: tuple[Vec, ...] = ()

    @property
    def all(self) -> tuple[Vec, ...]:
        """All of them, in that order."""
        return self.scales + self.minima + self.d + self.dmin

    def with_values(self, values: list[Vec]) -> Numbers:
        """Others in their places."""
        found, sizes = iter(values), (len(self.scales), len(self.minima), len(self.d), len(self.dmin))
        return Numbers(*(tuple(next(found) for _ in range(n)) for n in sizes))


@dataclass(frozen=True)
class Sums:
    """Of a register of rows and one column: the total, and of the block so far A and M."""

    total: Var
    a: Var
    m: Var


@dataclass(frozen=True)
class Column:
    """A column of a record of activations."""

    record: Ptr
    layout: Record
    column: int

    def code(self, quad: Vec | int) -> Vec:
        """Four codes as an i32."""
        return self._load(self.layout.code(quad, self.column), I32)

    def sums(self, group: int, first: int) -> Vec:
        """What `Dot` begins with, an i32 of two i16."""
        return self._load(self.layout.sums(self.column, group, first), I32)

    @cached_property
    def scale(self) -> Vec:
        """xs."""
        return self._load(self.layout.scale(self.column), F32)

    @cached_property
    def sum(self) -> Vec:
        """x_sum."""
        return self._load(self.layout.sum(self.column), F32)

    def half(self, i: int) -> Vec:
        """The sum of the codes of 16, an i32."""
        return self.halves.shift_signed(16) if i else (self.halves << 16).shift_signed(16)

    @cached_property
    def halves(self) -> Vec:
        """Both of them, an i32 of two i16."""
        return self._load(self.layout.halves(self.column), I32)

    def _load(self, at: Vec | int, kind: object) -> Vec:
        return self.record[at].load(kind, 4)


class Arithmetic:
    """How the products of a stored form are added up."""

    def __init__(self, tile: Tile) -> None:
        self.tile, self.parts = tile, tile.form.parts
        self.flat = tile.form.block == tile.form.group == GROUP
        self.per_group = self.flat or self.parts.floats_per_group

    def group_numbers(self, *, scales: bool) -> int:
        """How many numbers 32 columns have, `prepared`; with or without those for `Dot.scaled`."""
        each, parts = GROUP // self.tile.group, self.parts
        found = each if scales and parts.scale is not None else 0
        if self.per_group:
            return found + each + (each if parts.dmin is not None else 0)
        return found + (parts.minimum is not None)

    @property
    def block_numbers(self) -> int:
        """How many a block has."""
        return 0 if self.per_group else 1 + (self.parts.dmin is not None)

    def read_group(self, k: Kernel, isa: Generic, at: Place, g: int) -> Numbers:
        """What the 32 columns from 32 * g on have."""
        tile, parts = self.tile, self.parts
        groups = [(g * GROUP + first) // tile.form.group for first in range(0, GROUP, tile.group)]

        def each(tree: Expr | None, read: _Read) -> tuple[Vec, ...]:
            return () if tree is None else tuple(read(k, isa, at, tree, i) for i in groups)

        scales, minima = each(parts.scale, tile.read_scales), each(parts.minimum, tile.read_numbers)
        if parts.minimum is not None and len(groups) == 2 and not self.per_group:
            minima = (tile.read_pair(k, isa, at, parts.minimum, groups[0]),)
        return Numbers(scales, minima, *self._reals(each)) if self.per_group else Numbers(scales, minima)

    def read_block(self, k: Kernel, isa: Generic, at: Place) -> Numbers:
        """What a block has."""
        if self.per_group:
            return Numbers()
        d, dmin = self._reals(lambda tree, read: () if tree is None else (read(k, isa, at, tree, 0),))
        return Numbers(d=d, dmin=dmin)

    def _reals(self, each: Callable[[Expr | None, _Read], tuple[Vec, ...]]) -> tuple[tuple[Vec, ...], tuple[Vec, ...]]:
        return each(self.parts.d, self.tile.read_real), each(self.parts.dmin, self.tile.read_real)

    def prepared(self, k: Kernel, isa: Generic, numbers: Numbers) -> Numbers:
        """The same with minima as x's sums are multiplied by them: floats in `dmin`, or a pair of i16 in `minima`."""
        if not numbers.minima:
            return numbers
        if self.per_group:
            dmin = tuple(m.to_float() * d for m, d in zip(numbers.minima, numbers.dmin, strict=True))
            return replace(numbers, minima=(), dmin=dmin)
        if self.tile.group == GROUP:
            return replace(numbers, minima=(), dmin=(numbers.minima[0].to_float(),))
        return numbers

    def add_products(
        self, k: Kernel, isa: Generic, numbers: Numbers, products: list[Vec], x: Column, sums: Sums
    ) -> None:
        """Adds the products of 32 columns, one for each scale and times it; numbers: `prepared`. Minima come after."""
        into = sums.total if self.flat else sums.a
        if self.per_group:
            for product, d in zip(products, numbers.d, strict=True):
                into.set(isa.fma(k, product.to_float(), d * x.scale, into.get()))
        else:
            product = _added(products)
            product = product if product.floating else product.to_float()
            into.set(isa.fma(k, product, x.scale.splat(isa.rows), into.get()))

    @property
    def has_own_minima(self) -> bool:
        """Whether minima are added to a sum of their own, so that they may be added apart from the products."""
        return self.parts.dmin is not None and not self.flat

    def add_minima(self, k: Kernel, isa: Generic, numbers: Numbers, x: Column, sums: Sums) -> None:
        """Adds the minima of 32 columns times the sums of x, after their products where they share a sum."""
        if self.parts.dmin is None:
            return
        n, into = isa.rows, sums.total if self.flat else sums.m
        if numbers.minima:
            both = isa.pair_products(k, numbers.minima[0], x.halves.splat(n))
            into.set(isa.fma(k, both.to_float(), x.scale.splat(n), into.get()))
        elif len(numbers.dmin) == 1:
            into.set(isa.fma(k, numbers.dmin[0], x.sum.splat(n), into.get()))
        elif numbers.dmin:
            for i, dmin in enumerate(numbers.dmin):
                into.set(isa.fma(k, dmin, (x.half(i).to_float() * x.scale).splat(n), into.get()))
        else:
            into.set(into.get() + x.sum)

    def end_block(self, k: Kernel, isa: Generic, numbers: Numbers, sums: Sums) -> None:
        """Adds what was collected for a block, and begins anew."""
        if self.flat:
            return
        total = sums.total.get()
        for factor, part in ((numbers.d, sums.a), (numbers.dmin, sums.m)):
            if factor:
                total = isa.fma(k, factor[0], part.get(), total)
            elif self.per_group and (part is sums.a or self.parts.dmin is not None):
                total = total + part.get()
        sums.total.set(total)
        for part in (sums.a, sums.m):
            part.set(k.zeros(lanes(F32, isa.rows)))


_Read = Callable[[Kernel, Generic, Place, Expr, int], Vec]


def _added(values: list[Vec]) -> Vec:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
