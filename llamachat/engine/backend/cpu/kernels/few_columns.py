"""Products with few columns (decoding): rows are unpacked in registers for every panel.

Memory is read in the order of its addresses, so that the processor fetches it ahead by itself: fours of columns follow
one another as their units lie. A span is the columns that share units. Each four is unpacked for some registers of rows
at once, which share what is loaded of x.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llamachat.engine.backend.cpu.jit.isa.dots import Dot
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.groups import Arithmetic, Column, Numbers, Sums
from llamachat.engine.backend.cpu.kernels.panel import GROUP, Record
from llamachat.engine.backend.cpu.kernels.repetition import repetition
from llamachat.engine.backend.cpu.kernels.rows import Task, finish, parts_of
from llamachat.engine.backend.cpu.kernels.tile import Place, Tile
from llamachat.engine.quants.trees import Bits, leaves


def few_columns(columns: int, k: Kernel, isa: Generic, tile: Tile, task: Task, unit: Vec) -> None:
    """For every panel: the rows, unpacked in registers."""
    _FewColumns(columns, k, isa, tile).rows(task, unit)


@dataclass(frozen=True)
class _Order:
    """How a block is gone through: spans of columns, `at_once` registers of rows together."""

    fours: tuple[int, ...]
    span: int
    at_once: int

    @classmethod
    def of(cls, tile: Tile, columns: int, isa: Generic) -> _Order:
        """Spans of the columns that share a unit, for as many rows as registers hold dots."""
        fours, group = tile.fours, tile.group
        planes = [leaf.run * leaf.per for leaf in leaves(tile.form.parts.codes) if isinstance(leaf, Bits)]
        span = min(planes, default=GROUP)
        first, last = ({column // group: i for i, column in order} for order in (_backwards(fours), enumerate(fours)))
        open_at = [sum(first[g] <= i <= last[g] for g in first) for i in range(len(fours))]
        most = isa.registers // 2 // (max(open_at) * columns)
        if isa.registers <= 16 and group < GROUP and most <= 2:  # with two scales for 32 columns they do not suffice
            most = 1
        at_once = max(n for n in (1, 2, 4, 8) if n <= max(1, min(most, isa.few_rows, parts_of(isa))))
        return cls(fours, max(GROUP, span), at_once)


def _backwards(fours: Sequence[int]) -> list[tuple[int, int]]:
    return list(enumerate(fours))[::-1]


class _FewColumns:
    """The product of one unit of rows."""

    def __init__(self, columns: int, k: Kernel, isa: Generic, tile: Tile) -> None:
        self.k, self.isa, self.tile, self.columns = k, isa, tile, columns
        self.arithmetic, self.record = Arithmetic(tile), Record(columns)
        self.n_parts, self.order = parts_of(isa), _Order.of(tile, columns, isa)
        self.repetition = repetition(tile, self.order.span)
        # Codes of several planes need most registers: without it the compiler keeps half of them in memory.
        self.ordered = isa.registers <= 16 and len([*leaves(tile.form.parts.codes)]) > 1
        self.kind = lanes(F32, isa.rows)
        self.memory = k.memory(self.kind, 3 * self.n_parts * columns)

    def rows(self, task: Task, unit: Vec) -> None:
        """For every panel."""
        k, columns, blocks = self.k, self.columns, self.k.args.blocks
        per_block = self.tile.form.block // GROUP * self.record.bytes
        with k.loop(0, task.panels) as panel:
            for part in range(self.n_parts):
                for c in range(columns):
                    self._save(part, c, Sums(*(k.var(k.zeros(self.kind)) for _ in range(3))))
            x = k.pointer("x")[task.panel(panel) * blocks * per_block]
            tiles = task.tiles[unit * blocks * self.tile.bytes]
            with k.loop(0, blocks) as block:
                self._block(tiles[block * self.tile.bytes], x[block * per_block])
            totals = [[self._load(part, c).total.get() for c in range(columns)] for part in range(self.n_parts)]
            finish(k, self.isa, task, unit, panel * columns, totals)

    def _block(self, tile: Ptr, record: Ptr) -> None:
        """Adds the products of a block, span after span; those after which it repeats are a loop: less to compile."""
        k, block = self.k, self.tile.form.block
        columns, distance = self.repetition
        if columns == block:
            self._spans(tile, record, ends=True)
            return
        with k.loop(0, block // columns) as i:
            self._spans(tile[i * distance], record[i * (columns // GROUP * self.record.bytes)], ends=False)
        self._rows(tile, self._end)

    def _spans(self, tile: Ptr, record: Ptr, *, ends: bool) -> None:
        """Adds the products of the columns after which a block repeats. ends: they are the whole block."""
        spans = range(0, self.repetition[0], self.order.span)
        for first in spans:

            def add(places: Sequence[Place], sums: list[list[Sums]], first: int = first) -> None:
                self._span(places, record, first, sums)
                if ends and first == spans[-1]:
                    self._end(places, sums)

            self._rows(tile, add)

    def _rows(self, tile: Ptr, change: Callable[[Sequence[Place], list[list[Sums]]], None]) -> None:
        """Changes the sums of all rows, some registers of rows at a time."""
        n = self.order.at_once
        with self.k.loop(0, self.n_parts, n) as part:
            places = [Place(tile, part + i) for i in range(n)]
            sums = [[self._load(place.part, c) for c in range(self.columns)] for place in places]
            change(places, sums)
            for place, row in zip(places, sums, strict=True):
                for c, one in enumerate(row):
                    self._save(place.part, c, one)

    def _end(self, places: Sequence[Place], sums: list[list[Sums]]) -> None:
        """Adds what was collected for a block."""
        for place, row in zip(places, sums, strict=True):
            numbers = self.arithmetic.read_block(self.k, self.isa, place)
            for one in row:
                self.arithmetic.end_block(self.k, self.isa, numbers, one)

    def _span(self, places: Sequence[Place], record: Ptr, first: int, sums: list[list[Sums]]) -> None:
        """Adds the products of a span of columns for some registers of rows."""
        fours = self.order.fours[first // 4 : (first + self.order.span) // 4]
        last = {column // GROUP: column for column in fours}
        group = self.tile.group
        dots: dict[int, list[list[Dot]]] = {}
        done: dict[int, list[tuple[Numbers, list[list[Vec]]]]] = {}
        following = first // GROUP
        for column in fours:
            g, start = column // GROUP, column // group
            x = [Column(record[g * self.record.bytes], self.record, c) for c in range(self.columns)]
            if start not in dots:
                dots[start] = self._dots(start, x, len(places))
            self._four(places, column, x, dots[start])
            if self.ordered:
                self.k.keep_order()
            if last[g] == column:
                found = [dots.pop(n) for n in range(g * GROUP // group, (g + 1) * GROUP // group)]
                done[g] = [self._products(place, g, [row[i] for row in found]) for i, place in enumerate(places)]
            while following in done:  # groups are added from left to right
                self._add(following, record, done.pop(following), sums)
                following += 1

    def _products(self, place: Place, g: int, dots: list[list[Dot]]) -> tuple[Numbers, list[list[Vec]]]:
        """The numbers of 32 columns, and for each column of x its products, one for each scale."""
        numbers = self.arithmetic.read_group(self.k, self.isa, place, g)
        products = [
            [dot.scaled(numbers.scales[part]) if numbers.scales else dot.value() for part, dot in enumerate(column)]
            for column in zip(*dots, strict=True)
        ]
        return self.arithmetic.prepared(self.k, self.isa, numbers), products

    def _add(self, g: int, record: Ptr, done: list[tuple[Numbers, list[list[Vec]]]], sums: list[list[Sums]]) -> None:
        for (numbers, products), row in zip(done, sums, strict=True):
            for c, (some, one) in enumerate(zip(products, row, strict=True)):
                x = Column(record[g * self.record.bytes], self.record, c)
                self.arithmetic.add_products(self.k, self.isa, numbers, some, x, one)
                self.arithmetic.add_minima(self.k, self.isa, numbers, x, one)

    def _dots(self, group: int, x: list[Column], n: int) -> list[list[Dot]]:
        """Of a group's columns, for n registers of rows and each column of x."""
        size, isa = self.tile.group, self.isa
        meaning = self.tile.codes(isa, group * size, in_place=True)
        starts = [one.sums(size, group * size % GROUP) for one in x]
        return [[isa.dot(self.k, meaning, size // 4, one) for one in starts] for _ in range(n)]

    def _four(self, places: Sequence[Place], column: int, x: list[Column], dots: list[list[Dot]]) -> None:
        """Adds the products of four columns; what is loaded of x serves all rows."""
        group = column // self.tile.group * self.tile.group
        meaning = self.tile.codes(self.isa, group, in_place=True)
        fours = [one.code(column % GROUP // 4).splat(self.isa.rows) for one in x]
        for place, row in zip(places, dots, strict=True):
            place.recent.next()
            codes = self.tile.read_codes(self.k, self.isa, place, column, meaning)
            for dot, four in zip(row, fours, strict=True):
                dot.add(codes, four)
                if self.columns <= 2:  # sums of more columns leave no registers anyway
                    dot.hold()

    def _place(self, part: Vec | int, column: int, what: int) -> Ptr:
        return self.memory[part * (self.columns * 12 * self.isa.rows)][(column * 3 + what) * (4 * self.isa.rows)]

    def _load(self, part: Vec | int, column: int) -> Sums:
        return Sums(*(self.k.var(self._place(part, column, i).load(self.kind, 4)) for i in range(3)))

    def _save(self, part: Vec | int, column: int, sums: Sums) -> None:
        """Of what a form has no use for nothing is written."""
        used = [sums.total, sums.a, sums.m][
            : 1 if self.arithmetic.flat else 2 if self.arithmetic.parts.dmin is None else 3
        ]
        for i, one in enumerate(used):
            self._place(part, column, i).store(one.get(), 4)
