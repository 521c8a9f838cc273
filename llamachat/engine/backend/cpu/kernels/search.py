"""What the search for scales is made of. Every lane of a register works on a block of its own.

So the search reads like that of one block, nothing is added across lanes, and the bits depend neither on the number of
lanes nor on threads. Weights lie transposed: number i of all blocks in register i. They are divided by a power of two
beforehand, so that the largest magnitude of a block is from 1 to 2: no sum overflows or loses small numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I32, Ptr, Var, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import ROUND, nearest
from llamachat.engine.backend.cpu.kernels.packing import transpose

LARGEST = 2.0**127 * (1 - 2.0**-24)
"""What larger numbers count as: the exponent of its power of two has an inverse."""
LARGEST_HALF = 65504.0
NOTHING = 2e-6
"""Counts up to this, of a mean of 1, do not matter."""
_AT_ONCE = 4
_MAGNITUDE = 0x7FFFFFFF
_EXPONENT = 0x7F800000

Terms = Callable[[Vec, "Vec | None"], Sequence[tuple[Vec, Vec]]]
"""x, what its squared error counts (None: 1) -> pairs whose products are added up."""


class Levels(Protocol):
    """The values that codes can have."""

    @property
    def steps(self) -> float:
        """Steps between them from zero on."""

    def value(self, t: Vec) -> Vec:
        """The nearest of them, as float32."""

    def code(self, t: Vec) -> Vec:
        """What is written for the nearest of them, i32."""


@dataclass(frozen=True)
class Rounded:
    """Integers low .. high, written as they are."""

    low: int
    high: int

    @property
    def steps(self) -> float:
        """To the upper end."""
        return self.high

    def value(self, t: Vec) -> Vec:
        """Halves to even."""
        return (t.max(float(self.low)).min(float(self.high)) + ROUND) - ROUND

    def code(self, t: Vec) -> Vec:
        """The integer."""
        return nearest(t.max(float(self.low)).min(float(self.high)))


@dataclass(frozen=True)
class Entries:
    """Values of a table, rising, and the code of each."""

    values: tuple[float, ...]
    codes: tuple[int, ...]

    @classmethod
    def of(cls, table: Sequence[int]) -> Entries:
        """Of entries in any order; of equal ones the first."""
        values = sorted(set(table))
        return cls(tuple(map(float, values)), tuple(list(table).index(value) for value in values))

    @property
    def steps(self) -> float:
        """To either end."""
        return len(self.values) // 2

    def value(self, t: Vec) -> Vec:
        """Steps from each value to the next one, where t is beyond their middle; by magnitude, if that does."""
        if self.values != tuple(-value for value in reversed(self.values)) or 0 not in self.values:
            return self._stairs(t, self.values, self.values)
        bits = t.as_(lanes(I32, t.count))
        above = [value for value in self.values if value >= 0]
        size = self._stairs((bits & _MAGNITUDE).as_(t.type), above, above)
        return (size.as_(bits.type) | (bits & ~_MAGNITUDE)).as_(t.type)

    def code(self, t: Vec) -> Vec:
        """The same steps from code to code."""
        return nearest(self._stairs(t, self.values, self.codes))

    @staticmethod
    def _stairs(t: Vec, values: Sequence[float], heights: Sequence[float]) -> Vec:
        total = t.like(float(heights[0]))
        for (low, high), (a, b) in zip(pairwise(values), pairwise(heights), strict=True):
            total = total + (t > (low + high) / 2).select(t.like(float(b - a)), 0.0)
        return total


@dataclass(frozen=True)
class Numbers:
    """Weights of a group, or of a block, of all lanes, and what their squared errors count where that is given."""

    x: Ptr
    counts: Ptr | None
    n: int


class Search:
    """The words of a search; each register has a lane for every block."""

    def __init__(self, k: Kernel, isa: Generic) -> None:
        self.k, self.isa, self.n_lanes = k, isa, isa.rows
        self.kind, self.integers = lanes(F32, isa.rows), lanes(I32, isa.rows)
        self.stride = 4 * isa.rows

    def number(self, value: float) -> Vec:
        """A number in every lane."""
        return self.k.constant(self.kind, float(value))

    def room(self, count: int) -> Ptr:
        """Memory for `count` registers."""
        return self.k.memory(self.kind, count)

    def load(self, at: Ptr, i: Vec | int = 0) -> Vec:
        """Register i of memory."""
        return at[i * self.stride].load(self.kind, 4)

    def store(self, at: Ptr, i: Vec | int, value: Vec) -> None:
        """Writes register i of memory."""
        at[i * self.stride].store(value, 4)

    def part(self, numbers: Numbers, group: Vec | int, n: int) -> Numbers:
        """A group of n of numbers."""
        offset = group * (n * self.stride)
        return Numbers(numbers.x[offset], None if numbers.counts is None else numbers.counts[offset], n)

    def gather(self, to: Ptr, blocks: Sequence[Ptr], n: int) -> None:
        """n float32 of every lane's block, transposed."""
        with self.k.loop(0, n, _AT_ONCE) as i:
            for first in range(0, len(blocks), _AT_ONCE):
                rows = [block[i * 4] for block in blocks[first : first + _AT_ONCE]]
                columns = [to[(i + j) * self.stride][4 * first] for j in range(_AT_ONCE)]
                transpose(rows, columns, 4)

    def each(self, numbers: Numbers, do: Callable[[Vec, Vec, Vec | None], None]) -> None:
        """do(i, x, counts) for every number."""
        step = min(_AT_ONCE, numbers.n)
        with self.k.loop(0, numbers.n, step) as first:
            for i in range(step):
                at = first + i
                do(at, self.load(numbers.x, at), None if numbers.counts is None else self.load(numbers.counts, at))

    def sums(self, numbers: Numbers, terms: Terms, count: int) -> list[Vec]:
        """The sums of `count` products over the numbers, from the first to the last."""
        totals = [self.k.var(self.number(0)) for _ in range(count)]

        def add(_: Vec, x: Vec, counts: Vec | None) -> None:
            for total, (a, b) in zip(totals, terms(x, counts), strict=True):
                total.set(self.isa.fma(self.k, a, b, total.get()))

        self.each(numbers, add)
        return [total.get() for total in totals]

    def abs(self, x: Vec) -> Vec:
        """Magnitudes."""
        return (x.as_(self.integers) & _MAGNITUDE).as_(self.kind)

    def inverse(self, x: Vec) -> Vec:
        """1 / x; 0 of 0."""
        return x.equals(0.0).select(self.number(0), self.number(1) / x)

    def quotient(self, a: Vec, b: Vec) -> Vec:
        """a / b where b is above 0, else 0."""
        return (b > 0.0).select(a / b, self.number(0))

    def half(self, x: Vec) -> Vec:
        """The nearest float16."""
        limited = x.max(-LARGEST_HALF).min(LARGEST_HALF)
        return self.isa.widen_half(self.k, self.isa.narrow_half(self.k, limited))

    def largest(self, numbers: Numbers) -> Vec:
        """The number of the largest magnitude that counts, with its sign."""
        top = self.k.var(self.number(0))

        def compare(_: Vec, x: Vec, counts: Vec | None) -> None:
            x = self.counting(x, counts)
            top.set((self.abs(x) > self.abs(top.get())).select(x, top.get()))

        self.each(numbers, compare)
        return top.get()

    def counting(self, x: Vec, counts: Vec | None) -> Vec:
        """x, or 0 where its error counts next to nothing."""
        return x if counts is None else (counts > NOTHING).select(x, 0.0)

    def normalise(self, numbers: Numbers) -> Vec:
        """Divides numbers by a power of two, so that the largest magnitude is from 1 to 2; returns that power.

        NaN becomes 0, infinity a large number. Of numbers that float32 cannot normalise the largest is below 1.
        """
        most = self.k.var(self.number(0))

        def clean(i: Vec, x: Vec, _: Vec | None) -> None:
            x = x.equals(x).select(x, 0.0).max(-LARGEST).min(LARGEST)
            most.set(self.abs(x).max(most.get()))
            self.store(numbers.x, i, x)

        self.each(numbers, clean)
        bits = (most.get().as_(self.integers) & _EXPONENT).max(1 << 23)
        inverse = (self.k.constant(self.integers, 254 << 23) - bits).as_(self.kind)
        self.each(numbers, lambda i, x, _: self.store(numbers.x, i, x * inverse))
        return bits.as_(self.kind)

    @contextmanager
    def candidates(self, values: Sequence[float]) -> Iterator[Vec]:
        """A loop over numbers."""
        name = "candidates " + " ".join(f"{value:.9g}" for value in values)
        bits = [int.from_bytes(struct.pack("<f", value), "little") for value in values]
        table = self.k.table(name, I32, bits)
        with self.k.loop(0, len(values)) as i:
            yield table[i * 4].load(F32, 4).splat(self.n_lanes)

    def variables(self, *values: float) -> list[Var]:
        """Variables that begin with those numbers in every lane."""
        return [self.k.var(self.number(value)) for value in values]

    def take(self, better: Vec, *pairs: tuple[Var, Vec]) -> None:
        """Gives variables other values in the lanes where they are better."""
        for variable, value in pairs:
            variable.set(better.select(value, variable.get()))
