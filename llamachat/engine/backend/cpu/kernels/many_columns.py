"""Products with many columns (prefill): rows are unpacked once, into scratch memory, and then multiplied."""

from __future__ import annotations

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I8, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.groups import Arithmetic, Column, Numbers, Sums
from llamachat.engine.backend.cpu.kernels.panel import GROUP, Record
from llamachat.engine.backend.cpu.kernels.rows import ROWS, finish, parts_of
from llamachat.engine.backend.cpu.kernels.tile import Place, Tile
from llamachat.engine.quants import STORED

# Registers behind the codes of 32 columns: at most two scales, two minima, and two floats of each kind.
_NUMBERS = 8


def scratch_bytes(format_name: str, width: int) -> int:
    """What one thread needs to unpack a unit of rows of `width` columns."""
    form = STORED[format_name].format
    blocks = width // form.block
    return ROWS * (width + 4 * _NUMBERS * (width // GROUP + blocks))


class _Unpacked:
    """The scratch layout of a block of one register of rows: groups of 32 columns (codes, numbers), the block's own."""

    def __init__(self, tile: Tile) -> None:
        self.rows, self.groups = tile.rows, tile.form.block // GROUP
        self.numbers_bytes = 4 * tile.rows * _NUMBERS
        self.group_bytes = GROUP * tile.rows + self.numbers_bytes
        self.bytes = self.groups * self.group_bytes + self.numbers_bytes

    def code(self, quad: int) -> int:
        return quad * 4 * self.rows

    def write(self, at: Ptr, numbers: Numbers) -> None:
        for i, value in enumerate(numbers.all):
            at[4 * self.rows * i].store(value, align=16)

    def read(self, at: Ptr, numbers: Numbers) -> Numbers:
        """The numbers there, of the kinds that these are."""
        return numbers.with_values([at[4 * self.rows * i].load(v.type, 16) for i, v in enumerate(numbers.all)])


def many_columns(columns: int, k: Kernel, isa: Generic, tile: Tile, unit: Vec) -> None:
    """Unpacks the rows once, then multiplies them with every panel."""
    _ManyColumns(columns, k, isa, tile).rows(unit)


class _ManyColumns:
    """The product of one unit of rows."""

    def __init__(self, columns: int, k: Kernel, isa: Generic, tile: Tile) -> None:
        self.k, self.isa, self.tile, self.columns = k, isa, tile, columns
        self.arithmetic, self.record, self.layout = Arithmetic(tile), Record(columns), _Unpacked(tile)
        self.parts = parts_of(isa)
        self.of_group = self.of_block = Numbers()
        self.codes = tile.codes(isa, 0, in_place=False)

    def rows(self, unit: Vec) -> None:
        """Unpacks the rows, then multiplies panel after panel, register after register of rows."""
        k, layout, record = self.k, self.layout, self.record
        scratch = k.pointer("scratch")[k.thread * k.args.room]
        self._unpack(unit, scratch)
        zero = k.zeros(lanes(F32, self.isa.rows))
        with k.loop(0, (k.count() + (self.columns - 1)) // self.columns) as panel:
            x = k.pointer("x")[panel * k.args.blocks * (layout.groups * record.bytes)]
            totals = []
            for part in range(self.parts):
                sums = [Sums(*(k.var(zero) for _ in range(3))) for _ in range(self.columns)]
                with k.loop(0, k.args.blocks) as block:
                    at = scratch[(block * self.parts + part) * layout.bytes]
                    with k.loop(0, layout.groups) as g:
                        here = x[(block * layout.groups + g) * record.bytes]
                        self._group(at[g * layout.group_bytes], here, sums)
                    numbers = layout.read(at[layout.groups * layout.group_bytes], self.of_block)
                    for one in sums:
                        self.arithmetic.end_block(k, self.isa, numbers, one)
                totals.append([one.total.get() for one in sums])
            finish(k, self.isa, unit, panel * self.columns, totals)

    def _unpack(self, unit: Vec, scratch: Ptr) -> None:
        """Writes codes and numbers of a unit of rows to the scratch."""
        k, isa, tile, layout = self.k, self.isa, self.tile, self.layout
        with k.loop(0, k.args.blocks) as block, k.loop(0, self.parts) as part:
            at = Place(k.pointer("tiles")[(unit * k.args.blocks + block) * tile.bytes], part)
            to = scratch[(block * self.parts + part) * layout.bytes]
            for g in range(layout.groups):
                group = to[g * layout.group_bytes]
                for quad in range(GROUP // 4):
                    codes = tile.read_codes(k, isa, at, g * GROUP + 4 * quad, self.codes)
                    group[layout.code(quad)].store(codes, align=16)
                self.of_group = self.arithmetic.read_group(k, isa, at, g)
                layout.write(group[GROUP * isa.rows], self.of_group)
            self.of_block = self.arithmetic.read_block(k, isa, at)
            layout.write(to[layout.groups * layout.group_bytes], self.of_block)

    def _group(self, at: Ptr, record: Ptr, sums: list[Sums]) -> None:
        """Adds the products of 32 columns of a register of rows with a panel's activations."""
        k, isa, group = self.k, self.isa, self.tile.group
        x = [Column(record, self.record, c) for c in range(self.columns)]
        numbers = self.layout.read(at[GROUP * isa.rows], self.of_group)
        dots = []
        for first in range(0, GROUP, group):
            row = [isa.dot(k, self.codes, group // 4, one.sums(group, first)) for one in x]
            for quad in range(first // 4, (first + group) // 4):
                codes = at[self.layout.code(quad)].load(lanes(I8, 4 * isa.rows), 16)
                for dot, one in zip(row, x, strict=True):
                    dot.add(codes, one.code(quad).splat(isa.rows))
            dots.append(row)
        for c, (column, into) in enumerate(zip(x, sums, strict=True)):
            self.arithmetic.add_group(k, isa, numbers, [row[c] for row in dots], column, into)
