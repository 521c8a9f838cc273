"""The nearest entries of a codebook for eight tuples of weights at once, each in a lane.

A tuple is what one entry stands for: four or eight weights, of which register j holds number j. Weights are divided by
their scale and rounded to the codebook's few levels; that cell has a list of the entries near it
(`engine/quants/neighbours.py`), of which the first are compared. All sums are in one order, so that every instruction
set finds the same entries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from typing import Protocol

import numpy as np

from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I16, I32, I64, Ptr, Vec, lanes
from llamachat.engine.quants.levels import Book, Levels, Listed, Ternary
from llamachat.engine.quants.neighbours import NEAR

LANES = 8
REALS, NUMBERS = lanes(F32, LANES), lanes(I32, LANES)
LARGEST = 3e38


@dataclass(frozen=True)
class Found:
    """What was found for a tile.

    q: the codes' values as floats, as the tile's registers. error: importance times squared distance, of each lane, in
    units of the scale. codes: by the names of `encoding.codes_of`, i32 registers.
    """

    q: list[Vec]
    error: Vec
    codes: dict[str, list[Vec]] = field(default_factory=dict)


class Search(Protocol):
    """How codes of one kind are found."""

    def nearest(self, u: list[Vec], w: list[Vec], depth: int) -> Found:
        """For weights divided by their scale and their importances; depth: entries of a cell that are compared."""


@dataclass(frozen=True)
class Grid:
    """A codebook's tables in memory, and its cells.

    lists: i16 [cells][NEAR]; words: bytes [entries][n]. step: how far apart levels are, nearly; levels: how many.
    """

    k: Kernel
    lists: Ptr
    words: Ptr
    n: int
    step: float
    levels: int

    def cells(self, u: list[Vec]) -> Vec:
        """Where the lists of the cells of magnitudes begin, in entries."""
        cell = None
        for one in u:
            level = truncated((one * (1 / self.step)).max(0.0).min(self.levels - 0.5))
            cell = level if cell is None else self._appended(cell, level)
        assert cell is not None
        return cell * NEAR

    def first(self, base: Vec, c: Vec | int) -> Vec:
        """Entry c of each list."""
        return gathered(self.k, self.lists[c * 2], base, I16, 2)

    def values(self, entry: Vec) -> list[Vec]:
        """The numbers of entries as floats, register j those at place j."""
        found = []
        for word in range(self.n // 4):
            four = gathered(self.k, self.words[4 * word], entry, I32, self.n)
            found += [((four >> 8 * i if i else four) & 255).to_float() for i in range(4)]
        return found

    def _appended(self, cell: Vec, level: Vec) -> Vec:
        if self.levels == 8:
            return (cell << 3) | level
        return (cell << 1) + cell + level

    def best(self, base: Vec, depth: int, error: Callable[[list[Vec]], Vec]) -> tuple[Vec, Vec]:
        """(entry, its error) of the least error among the first `depth` of each list."""
        k = self.k
        least, chosen = k.var(k.constant(REALS, LARGEST)), k.var(k.zeros(NUMBERS))
        with k.loop(0, depth) as c:
            entry = self.first(base, c)
            found = error(self.values(entry))
            better = found < least.get()
            least.set(better.select(found, least.get()))
            chosen.set(better.select(entry, chosen.get()))
        return chosen.get(), least.get()


@dataclass(frozen=True)
class MagnitudeSearch:
    """Entries of magnitudes; the weights are magnitudes, too, but for those whose sign could not be written."""

    grid: Grid

    def nearest(self, u: list[Vec], w: list[Vec], depth: int) -> Found:
        """See `Search`. With a depth of 1 there is no error."""
        grid, base = self.grid, self.grid.cells(u)
        if depth == 1:
            entry, error = grid.first(base, 0), u[0]
        else:
            entry, error = grid.best(base, depth, lambda q: weighted_error(u, q, w))
        return Found(grid.values(entry), error, {"index": [entry]})


@dataclass(frozen=True)
class TernarySearch:
    """Entries t of 0, 1 and 2 and a bit p that some lanes share: 8 t + 2 p - 9."""

    grid: Grid
    sharing: int

    def nearest(self, u: list[Vec], w: list[Vec], depth: int) -> Found:
        """See `Search`. Both bits are tried."""
        both = [self._with_bit(u, w, depth, p) for p in (0, 1)]
        plus = group_sum(both[1].error, self.sharing) < group_sum(both[0].error, self.sharing)
        q = [plus.select(b, a) for a, b in zip(both[0].q, both[1].q, strict=True)]
        entry = plus.select(both[1].codes["index"][0], both[0].codes["index"][0])
        return Found(q, plus.select(both[1].error, both[0].error), {"index": [entry], "plus": [plus.unsigned(I32)]})

    def _with_bit(self, u: list[Vec], w: list[Vec], depth: int, p: int) -> Found:
        grid, bias = self.grid, 2.0 * p - 9
        base = grid.cells([(one - (bias - 4)) * 0.125 for one in u])

        def codes(t: list[Vec]) -> list[Vec]:
            return [one * 8.0 + bias for one in t]

        entry, error = grid.best(base, depth, lambda t: weighted_error(u, codes(t), w))
        return Found(codes(grid.values(entry)), error, {"index": [entry]})


@dataclass(frozen=True)
class LevelSearch:
    """Levels of a rising table, one for each weight: nothing is compared but the weight."""

    k: Kernel
    table: tuple[int, ...]

    def nearest(self, u: list[Vec], w: list[Vec], depth: int) -> Found:
        """See `Search`."""
        q = [self._level(one) for one in u]
        codes = [self._number(one) for one in u] if depth > 1 else []
        return Found(q, weighted_error(u, q, w), {"q": codes})

    def _level(self, u: Vec) -> Vec:
        q = self.k.constant(REALS, float(self.table[0]))
        for low, high in pairwise(self.table):
            q = (u > (low + high) / 2).select(self.k.constant(REALS, float(high)), q)
        return q

    def _number(self, u: Vec) -> Vec:
        beyond = [(u > (low + high) / 2).unsigned(I32) for low, high in pairwise(self.table)]
        return reduce(lambda a, b: a + b, beyond)


def search_of(k: Kernel, levels: Levels) -> Search:
    """How codes of such levels are found; the kernel has the arguments lists and words."""
    if isinstance(levels, Listed):
        return LevelSearch(k, levels.table)
    lists, words = k.pointer("lists"), k.pointer("words")
    if isinstance(levels, Ternary):
        return TernarySearch(Grid(k, lists, words, 8, 1.0, 3), levels.sharing // 8)
    assert isinstance(levels, Book)
    magnitudes = np.unique(levels.entries)
    step = float(np.diff(magnitudes).min())
    return MagnitudeSearch(Grid(k, lists, words, levels.entries.shape[1], step, len(magnitudes)))


def weighted_error(u: list[Vec], q: list[Vec], w: list[Vec]) -> Vec:
    """The sum of w (q - u)^2 over registers."""
    return total([(a - b) * (a - b) * c for a, b, c in zip(q, u, w, strict=True)])


def total(parts: list[Vec]) -> Vec:
    """Registers added, one after the other."""
    return reduce(lambda a, b: a + b, parts)


def group_sum(x: Vec, size: int) -> Vec:
    """In each lane the sum of the `size` lanes of its group."""
    return _over_groups(x, size, lambda a, b: a + b)


def group_max(x: Vec, size: int) -> Vec:
    """In each lane the largest of its group's."""
    return _over_groups(x, size, lambda a, b: a.max(b))


def _over_groups(x: Vec, size: int, combine: Callable[[Vec, Vec], Vec]) -> Vec:
    distance = 1
    while distance < size:
        x = combine(x, x.shuffle([lane ^ distance for lane in range(LANES)]))
        distance *= 2
    return x


def truncated(x: Vec) -> Vec:
    """Floats that fit i32, rounded towards zero."""
    return Vec(x.b, x.b.fptosi(x.v, lanes(I32, x.count)))


def gathered(k: Kernel, table: Ptr, numbers: Vec, element: object, stride: int) -> Vec:
    """i32 [n]: unsigned integers of a table at n numbers, `stride` bytes apart."""
    found = k.zeros(numbers.type)
    for i in range(numbers.count):
        one = table[numbers.lane(i).unsigned(I64) * stride].load(element)
        wide = one if element is I32 else one.unsigned(I32)
        found = Vec(k.b, k.b.insert_element(found.v, wide.v, I32(i)))
    return found
