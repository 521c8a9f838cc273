"""Products with few columns (decoding): rows are unpacked in registers for every panel.

A stretch is some neighbouring blocks, about 256 columns. For each stretch a loop goes over the registers of a unit's
rows, one or two at a time, so that sums, codes and a mask fit in few registers; the rows' totals wait in memory.
"""

from __future__ import annotations

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.groups import Arithmetic, Column, Sums
from llamachat.engine.backend.cpu.kernels.panel import GROUP, Record
from llamachat.engine.backend.cpu.kernels.rows import AHEAD, finish, parts_of
from llamachat.engine.backend.cpu.kernels.tile import Place, Tile

STRETCH = 256


def few_columns(columns: int, k: Kernel, isa: Generic, tile: Tile, unit: Vec) -> None:
    """For every panel: the rows, unpacked in registers."""
    _FewColumns(columns, k, isa, tile).rows(unit)


class _FewColumns:
    """The product of one unit of rows."""

    def __init__(self, columns: int, k: Kernel, isa: Generic, tile: Tile) -> None:
        self.k, self.isa, self.tile, self.columns = k, isa, tile, columns
        self.arithmetic, self.record = Arithmetic(tile), Record(columns)
        self.n_parts = parts_of(isa)
        self.at_once = 2 if isa.registers >= 32 and columns == 1 else 1
        self.totals = k.memory(lanes(F32, isa.rows), self.n_parts * columns)

    def rows(self, unit: Vec) -> None:
        """For every panel."""
        k, columns, blocks = self.k, self.columns, self.k.args.blocks
        step = max(1, STRETCH // self.tile.form.block)
        with k.loop(0, (k.count() + (columns - 1)) // columns) as panel:
            for i in range(self.n_parts * columns):
                self._total(i).store(k.zeros(lanes(F32, self.isa.rows)), 4)
            x = k.pointer("x")[panel * blocks * (self.tile.form.block // GROUP * self.record.bytes)]
            tiles = k.pointer("tiles")[unit * blocks * self.tile.bytes]
            whole = blocks // step * step
            with k.loop(0, whole, step) as block:
                self._stretch(tiles, x, block, step)
            if step > 1:
                with k.loop(whole, blocks) as block:
                    self._stretch(tiles, x, block, 1)
            kind = lanes(F32, self.isa.rows)
            totals = [[self._total(part * columns + c).load(kind, 4) for c in range(columns)] for part in self._parts]
            finish(k, self.isa, unit, panel * columns, totals)

    @property
    def _parts(self) -> range:
        return range(self.n_parts)

    def _total(self, i: Vec | int) -> Ptr:
        return self.totals[i * (4 * self.isa.rows)]

    def _stretch(self, tiles: Ptr, x: Ptr, block: Vec, n_blocks: int) -> None:
        """Adds the products of neighbouring blocks, some registers of rows at a time."""
        k, size = self.k, self.tile.bytes
        base, record = tiles[block * size], x[block * (self.tile.form.block // GROUP * self.record.bytes)]
        share = n_blocks * size * self.at_once // self.n_parts
        with k.loop(0, self.n_parts, self.at_once) as first:
            k.prefetch(base[AHEAD][first * (share // self.at_once)], share)
            self._rows(base, record, first, n_blocks)

    def _rows(self, base: Ptr, record: Ptr, first: Vec, n_blocks: int) -> None:
        k, kind = self.k, lanes(F32, self.isa.rows)
        zero = k.zeros(kind)
        n, columns = self.columns, range(self.columns)
        places = [[self._total((first + r) * n + c) for c in columns] for r in range(self.at_once)]
        sums = [[Sums(k.var(at.load(kind, 4)), k.var(zero), k.var(zero)) for at in row] for row in places]
        per_block = self.tile.form.block // GROUP
        for b in range(n_blocks):
            at = [Place(base[b * self.tile.bytes], first + r) for r in range(self.at_once)]
            for g in range(per_block):
                here = record[(b * per_block + g) * self.record.bytes]
                for place, row in zip(at, sums, strict=True):
                    self._group(place, g, here, row)
            for place, row in zip(at, sums, strict=True):
                numbers = self.arithmetic.read_block(k, self.isa, place)
                for one in row:
                    self.arithmetic.end_block(k, self.isa, numbers, one)
        for row, to in zip(sums, places, strict=True):
            for one, total in zip(row, to, strict=True):
                total.store(one.total.get(), 4)

    def _group(self, at: Place, g: int, record: Ptr, sums: list[Sums]) -> None:
        """Adds the products of 32 columns: codes are read once for all columns of x."""
        k, isa, tile = self.k, self.isa, self.tile
        meanings = [tile.codes(isa, g * GROUP + first, in_place=True) for first in range(0, GROUP, tile.group)]
        fours = tile.group // 4
        codes = [
            tile.read_codes(k, isa, at, g * GROUP + 4 * quad, meanings[quad // fours]) for quad in range(GROUP // 4)
        ]
        numbers = self.arithmetic.read_group(k, isa, at, g)
        for c, one in enumerate(sums):
            x, dots = Column(record, self.record, c), []
            for part, meaning in enumerate(meanings):
                dot = isa.dot(k, meaning, fours, x.sums(tile.group, part * tile.group))
                for quad in range(part * fours, (part + 1) * fours):
                    dot.add(codes[quad], x.code(quad).splat(isa.rows))
                dots.append(dot)
            self.arithmetic.add_group(k, isa, numbers, dots, x, one)
