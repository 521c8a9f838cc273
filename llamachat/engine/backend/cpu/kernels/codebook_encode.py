"""Weights into the codebook formats (IQ1_S ... IQ4_XS): scales and entries of least weighted squared error.

For each group of a scale several scales are tried, those near the best one again with more entries; each is refined by
least squares, sum w x q / sum w q^2. Then the block's float is chosen for which the groups' integers lose least. Given
that, integers and entries are chosen again and the float is fitted again; at last it is fitted to what is written.

The same bits for every number of threads and instruction set: a block is one thread's, every sum has one order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, I8, I32, Ptr, Var, Vec
from llamachat.engine.backend.cpu.kernels.block_writer import BlockWriter, Numbered, numbers_at
from llamachat.engine.backend.cpu.kernels.codebook_plan import (
    BLOCK_TRIES,
    FIRST_DEPTH,
    LAST_DEPTH,
    NEAR_DEPTH,
    NEAR_TRIES,
    Plan,
    plan_of,
)
from llamachat.engine.backend.cpu.kernels.codebook_search import (
    LANES,
    LARGEST,
    NUMBERS,
    REALS,
    Found,
    group_max,
    group_sum,
    search_of,
    total,
    truncated,
)
from llamachat.engine.backend.cpu.kernels.codebook_tile import LEAST, REGISTER, Tiles, inverse, magnitude, ratio
from llamachat.engine.quants.encoding import LARGEST_HALF
from llamachat.engine.quants.levels import Book, Ternary
from llamachat.engine.quants.trees import Expr, Num


@dataclass(frozen=True)
class EncodeCodebook(KernelSpec):
    """x: float32 rows [rows][blocks]; importance: float32 of a row's columns; out: blocks.

    lists, words: the tables of `neighbours.py`, where the format has a grid.
    """

    format: str
    arguments: ClassVar = ("x", "importance", "out", "rows", "blocks", "lists", "words")
    reads: ClassVar = ("x", "importance", "lists", "words")
    writes: ClassVar = ("out",)
    broadcast: ClassVar = ("importance", "lists", "words")
    split: ClassVar = Shares("", ("rows", "blocks"))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Block by block; blocks of zeros are zero."""
        block = _Block(k, isa, plan_of(self.format))
        n_bytes, size = block.plan.fmt.layout.itemsize, 4 * block.plan.fmt.block
        first, last = self.split.share(k)
        with k.loop(first, last) as item, k.when(k.not_cancelled()):
            out = k.pointer("out")[item * n_bytes]
            with k.loop(0, n_bytes) as byte:
                out[byte].store(Vec(k.b, I8(0)))
            importance = k.pointer("importance")[item % k.args.blocks * size]
            largest = block.tiles.load(k.pointer("x")[item * size], importance)
            with k.when(largest > LEAST):
                block.search_scales()
                block.choose(largest)
                block.write(largest, out)


class _Block:
    """Scales and codes of a block.

    scale, weight: the best scale of a lane's group by itself, and what the error grows by with the square of the
    distance from it. integer: the chosen one, as a float. d: the block's float in units of its largest weight.
    """

    def __init__(self, k: Kernel, isa: Generic, plan: Plan) -> None:
        self.k, self.isa, self.plan, self.tiles = k, isa, plan, Tiles(k, plan)
        self.scale, self.weight, self.integer = (k.memory(REALS, plan.tiles) for _ in range(3))
        self.found = {name: k.memory(NUMBERS, plan.tiles * plan.width) for name in ("index", "plus", "q")}
        self.tries, self.near_tries, self.block_tries = (
            k.table(name, I32, [int(one) for one in np.array(values, np.float32).view(np.int32)])
            for name, values in (("tries", plan.tries), ("near", NEAR_TRIES), ("block", BLOCK_TRIES))
        )
        self.d = Var(k.b, k.room(F32))
        self.search = search_of(k, plan.codes.levels)

    def search_scales(self) -> None:
        """The best scale of every group by itself."""
        k, plan = self.k, self.plan
        with k.loop(0, plan.tiles) as tile:
            x, w = self.tiles.x(tile), self.tiles.w(tile)
            top = magnitude(x[0])
            for one in x[1:]:
                top = top.max(magnitude(one))
            start, best = inverse(group_max(top, plan.lanes)), _Best(k, plan)
            with k.loop(0, len(plan.tries)) as i:
                tried = start * self.tries[i * 4].load(F32, 4)
                best.offer(x, w, self.search.nearest(_times(x, tried), w, FIRST_DEPTH))
            middle = best.scale.get()
            best.restart()
            with k.loop(0, len(NEAR_TRIES)) as i:
                tried = inverse(middle * self.near_tries[i * 4].load(F32, 4))
                best.offer(x, w, self.search.nearest(_times(x, tried), w, NEAR_DEPTH))
            self.scale[tile * REGISTER].store(best.scale.get() * (1 / plan.unit))
            self.weight[tile * REGISTER].store(best.weight.get() * plan.unit**2)

    def choose(self, largest: Vec) -> None:
        """The block's float and the integers of its groups; largest: its largest magnitude."""
        if self.plan.integers is None:
            self._set_d(self.scale.load(F32, 4), largest)
            self.integer.store(self.k.constant(REALS, 1.0))
            return
        self._first_d()
        self._set_d(self._choose_integers(), largest)

    def write(self, largest: Vec, out: Ptr) -> None:
        """The codes for the scales as they are now, the float fitted to them, and all of it as bytes."""
        sums = _Sums(self.k)
        with self.k.loop(0, self.plan.tiles) as tile:
            x, w = self.tiles.x(tile), self.tiles.w(tile)
            unit = self._lanes(self.integer, tile) * self.plan.unit
            found = self.search.nearest(_times(x, inverse(unit * self.d.get())), w, LAST_DEPTH)
            for name, registers in found.codes.items():
                for j, one in enumerate(registers):
                    self.found[name][(tile * len(registers) + j) * REGISTER].store(one)
            a, b = _fit(x, w, found.q)
            sums.add(a * unit, b * unit * unit)
        self._set_d(ratio(*sums.get()), largest)
        writer, d = BlockWriter(self.k, self.isa, self.plan.fmt.layout, out), self.d.get() * largest
        writer.put(self.plan.d, [(0, lambda: d)])
        for tree, numbers in self._numbers():
            writer.put(tree, numbers)
        writer.end()

    def _first_d(self) -> None:
        """Where the integers of the groups' own scales lose least: the largest of (sum w k s)^2 / sum w k^2."""
        k, tiles = self.k, self.plan.tiles
        tops = k.var(k.zeros(REALS))
        with k.loop(0, tiles) as tile:
            tops.set(_farther(tops.get(), self._lanes(self.scale, tile)))
        assert self.plan.integers is not None
        low, high, _ = self.plan.integers
        start = tops.get().reduce(_farther) * (1 / (low if low < 0 else high))
        best, d = k.var(k.constant(F32, -1.0)), k.var(start)
        with k.loop(0, len(BLOCK_TRIES)) as i:
            tried, sums = start * self.block_tries[i * 4].load(F32, 4), _Sums(k)
            with k.loop(0, tiles) as tile:
                scale, weight = self._lanes(self.scale, tile), self._lanes(self.weight, tile)
                integer = self._integers(scale, tried)
                sums.add(weight * integer * scale, weight * integer * integer)
            a, b = sums.get()
            gain = ratio(a * a, b)
            better = gain > best.get()
            best.set(better.select(gain, best.get()))
            d.set(better.select(ratio(a, b), d.get()))
        self.d.set(d.get())

    def _choose_integers(self) -> Vec:
        """For each group the nearest integer, or the next one, whichever has less error; returns the fitted float."""
        k, plan = self.k, self.plan
        assert plan.integers is not None
        low, high, step = plan.integers
        sums = _Sums(k)
        with k.loop(0, plan.tiles) as tile:
            x, w, d, scale = self.tiles.x(tile), self.tiles.w(tile), self.d.get(), self._lanes(self.scale, tile)
            nearest = self._integers(scale, d)
            above = scale * inverse(d.splat(LANES)) > nearest
            following = above.select(nearest + float(step), nearest - float(step)).max(float(low)).min(float(high))
            least, chosen = k.var(k.constant(REALS, LARGEST)), k.var(nearest)
            a, b = k.var(k.zeros(REALS)), k.var(k.zeros(REALS))
            with k.loop(0, 2) as i:
                unit = k.zeros(NUMBERS).equals(i.cut(I32)).select(nearest, following) * plan.unit
                found = self.search.nearest(_times(x, inverse(unit * d)), w, NEAR_DEPTH)
                error = group_sum(found.error * (unit * d) * (unit * d), plan.lanes)
                better, (p, q) = error < least.get(), _fit(x, w, found.q)
                for to, value in (
                    (least, error),
                    (chosen, unit * (1 / plan.unit)),
                    (a, p * unit),
                    (b, q * unit * unit),
                ):
                    to.set(better.select(value, to.get()))
            self.integer[tile * REGISTER].store(chosen.get())
            sums.add(a.get(), b.get())
        return ratio(*sums.get())

    def _integers(self, scale: Vec, d: Vec) -> Vec:
        """The nearest of the format's integers for scales of groups, as floats."""
        assert self.plan.integers is not None
        low, high, step = self.plan.integers
        exact = scale * inverse(d.splat(LANES))
        if step == 2:
            return truncated((exact * 0.5).max(0.0).min((high - 1) / 2)).to_float() * 2.0 + 1.0
        return (truncated(exact.max(float(low)).min(float(high)) + (0.5 - low)) + low).to_float()

    def _set_d(self, d: Vec, largest: Vec) -> None:
        """As the format rounds it."""
        wide = (d * largest).max(-LARGEST_HALF).min(LARGEST_HALF)
        self.d.set(self.isa.widen_half(self.k, self.isa.narrow_half(self.k, wide)) / largest)

    def _lanes(self, memory: Ptr, tile: Vec) -> Vec:
        return memory[tile * REGISTER].load(REALS, 4)

    def _numbers(self) -> Iterator[tuple[Expr, list[tuple[int, Numbered]]]]:
        """What is written beside the float: trees with their numbers."""
        fmt, levels, trees = self.plan.fmt, self.plan.codes.levels, self.plan.codes.trees
        if fmt.parts.scale is not None:
            yield fmt.parts.scale, [(i, self._integer(i)) for i in range(fmt.block // fmt.group)]
        if isinstance(levels, Book):
            signs = trees["signs"] if levels.even else Num("signs")
            yield signs, [(i, self._sign_byte(i)) for i in range(fmt.block // 8)]
        if isinstance(levels, Ternary):
            at, n = self.found["plus"], levels.sharing // 8
            yield trees["plus"], [(i, _loaded(at[4 * n * i], I32)) for i in range(fmt.block // levels.sharing)]
        if "index" in trees:
            yield trees["index"], numbers_at(self.found["index"], fmt.block // self.plan.width)
        else:
            yield trees["q"], numbers_at(self.found["q"], fmt.block)

    def _integer(self, group: int) -> Numbered:
        at = self.integer[4 * (group * self.plan.lanes)]
        return lambda: truncated(at.load(F32, 4))

    def _sign_byte(self, i: int) -> Numbered:
        return lambda: self.tiles.sign_byte(i)


class _Sums:
    """Two sums over a block, lane by lane until they are read."""

    def __init__(self, k: Kernel) -> None:
        self._a, self._b = k.var(k.zeros(REALS)), k.var(k.zeros(REALS))

    def add(self, a: Vec, b: Vec) -> None:
        """What a tile adds."""
        self._a.set(self._a.get() + a)
        self._b.set(self._b.get() + b)

    def get(self) -> tuple[Vec, Vec]:
        """Both as scalars."""
        a, b = (one.get().reduce(lambda p, q: p + q) for one in (self._a, self._b))
        return a, b


class _Best:
    """The best scale of the groups of a tile so far, by what least squares gains with it."""

    def __init__(self, k: Kernel, plan: Plan) -> None:
        self._k, self._plan = k, plan
        self.gain, self.scale, self.weight = (
            k.var(k.constant(REALS, -1.0)),
            k.var(k.zeros(REALS)),
            k.var(k.zeros(REALS)),
        )

    def restart(self) -> None:
        """Forgets how good the scale was: its codes are searched for better now."""
        self.gain.set(self._k.constant(REALS, -1.0))

    def offer(self, x: list[Vec], w: list[Vec], found: Found) -> None:
        """Codes that were found with some scale."""
        upper, lower = (group_sum(one, self._plan.lanes) for one in _fit(x, w, found.q))
        gain = ratio(upper * upper, lower)
        better = gain > self.gain.get()
        if not self._plan.is_signed:
            better = better & (upper > 0.0)
        for to, value in ((self.gain, gain), (self.scale, ratio(upper, lower)), (self.weight, lower)):
            to.set(better.select(value, to.get()))


def _fit(x: list[Vec], w: list[Vec], q: list[Vec]) -> tuple[Vec, Vec]:
    """Of least squares: sums of w x q and of w q^2, lane by lane."""
    weighted = [a * b for a, b in zip(w, q, strict=True)]
    upper, lower = ([a * b for a, b in zip(weighted, other, strict=True)] for other in (x, q))
    return total(upper), total(lower)


def _farther(a: Vec, b: Vec) -> Vec:
    """Whichever is farther from zero; the first of equal ones."""
    return (magnitude(b) > magnitude(a)).select(b, a)


def _times(x: list[Vec], factor: Vec) -> list[Vec]:
    return [one * factor for one in x]


def _loaded(at: Ptr, kind: object) -> Numbered:
    return lambda: at.load(kind, 4)
