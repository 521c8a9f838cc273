"""Products with many columns (prompts): rows are unpacked once, into scratch memory, and multiplied from there.

A stretch is some neighbouring blocks, about STRETCH columns of a unit of rows: unpacked it fits the nearest cache. It
is multiplied with every panel before the next one is unpacked; y holds the totals meanwhile.

Where an instruction set multiplies words faster than bytes of so many bits (`Generic.words_pay`), rows are unpacked as
words, each a code times its integer scale, and x is widened to words, a stretch of a panel at a time. Of the columns of
a sum the words of columns 0 and 2 of all fours come first, then those of columns 1 and 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from llamachat.engine.backend.cpu.jit.isa.blocks import MOST_COLUMNS, Operands, Shape, block_of_words
from llamachat.engine.backend.cpu.jit.isa.dots import MOST_X, Codes
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I8, I16, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.groups import Arithmetic, Column, Numbers, Sums
from llamachat.engine.backend.cpu.kernels.panel import GROUP, Record
from llamachat.engine.backend.cpu.kernels.ranges import limits_of
from llamachat.engine.backend.cpu.kernels.rows import ROWS, Task, ask_for, complete, parts_of
from llamachat.engine.backend.cpu.kernels.tile import Place, Tile
from llamachat.engine.quants import STORED

STRETCH = 512
MOST_STRETCH = 2 * STRETCH  # 767 columns are one stretch, and stretches are whole blocks

# Registers of rows that are multiplied at once: so each byte of x that is read is used twice.
AT_ONCE = 2

_FOURS = GROUP // 4
_PLANES = 2  # at most
_NUMBERS = 6  # behind the codes of 32 columns, at most: two scales, and two floats of each kind


def scratch_bytes(format_name: str, width: int) -> int:
    """What one thread needs to unpack a stretch of a unit of rows."""
    block = STORED[format_name].format.block
    columns = min(width, max(block, MOST_STRETCH))
    rows = ROWS * (_PLANES * columns + 4 * _NUMBERS * (columns // GROUP + columns // block))
    return rows + 2 * MOST_COLUMNS * columns


def _stretch(blocks: Vec, block: int) -> Vec:
    """Blocks of a stretch, so that all of a row are nearly equal: 576 columns are one stretch, not 512 and 64."""
    n = ((blocks * block + STRETCH // 2) // STRETCH).max(1)
    return (blocks + (n - 1)) // n


def many_columns(columns: int, k: Kernel, isa: Generic, tile: Tile, task: Task, unit: Vec) -> None:
    """Unpacks the rows, stretch by stretch, and multiplies them with every panel."""
    _ManyColumns(columns, k, isa, tile).rows(task, unit)


@dataclass(frozen=True)
class _Panel:
    """Where a stretch of a panel begins: its records, and its words where x is widened."""

    records: Ptr
    words: Ptr


class _ManyColumns:
    """The product of one unit of rows.

    Scratch: for each block and register of rows, its groups of 32 columns (planes of codes, then numbers), and the
    block's own numbers. Behind them x as words, where it is widened.
    """

    def __init__(self, columns: int, k: Kernel, isa: Generic, tile: Tile) -> None:
        self.k, self.isa, self.tile, self.columns = k, isa, tile, columns
        self.arithmetic, self.record = Arithmetic(tile), Record(columns)
        self.parts, self.groups = parts_of(isa), tile.form.block // GROUP
        self.codes = tile.codes(isa, 0, in_place=False)
        self.products = self._products() if isa.codes_may_stay else None
        self.words = isa.words_pay(self.codes) and self._fits_words
        self.group = GROUP if self.products or (self.words and not self.arithmetic.per_group) else tile.group
        self.shape = Shape(self.group // 4, columns)
        self.planes = isa.planes(self.products or self.codes, self.shape)
        self.plane_bytes, of_group = GROUP * isa.rows, self.arithmetic.group_numbers(scales=not self._absorbed)
        self.codes_bytes = (2 if self.words else len(self.planes)) * self.plane_bytes
        self.group_bytes = self.codes_bytes + 4 * isa.rows * of_group
        self.block_bytes = self.groups * self.group_bytes + 4 * isa.rows * self.arithmetic.block_numbers
        self.memory = k.memory(lanes(F32, isa.rows), 3 * AT_ONCE * columns)
        # With few registers either these sums or those of the minima fit; and then totals stay in y.
        self.apart = columns <= MOST_COLUMNS and isa.registers <= 16 and self.arithmetic.has_own_minima
        self.of_group = self.of_block = Numbers()  # what there is, known when rows have been unpacked

    def _products(self) -> Codes | None:
        """What codes times integer scales mean, where they fit a byte: then 32 columns are one sum."""
        parts = self.tile.form.parts
        if parts.scale is None or self.arithmetic.per_group or self.codes.signed:
            return None
        low, high = self._scale_limits
        ends = [scale * code for scale in (low, high) for code in (parts.bias, parts.largest + parts.bias)]
        return Codes(8, min(ends)) if max(ends) - min(ends) < 256 else None

    @property
    def _absorbed(self) -> bool:
        """Whether integer scales are in the unpacked codes."""
        return self.words or self.products is not None

    @property
    def _fits_words(self) -> bool:
        """Whether codes times the file's integer scales fit 16 bits."""
        return self.codes.largest * max(abs(end) for end in self._scale_limits) < 1 << 15

    @property
    def _most(self) -> int:
        """What no sum of 32 columns times its scales exceeds."""
        return GROUP * MOST_X * self.codes.largest * max(abs(end) for end in self._scale_limits)

    @property
    def _scale_limits(self) -> tuple[int, int]:
        """Those of the file's integers, which may have fewer bits than stored ones."""
        source = STORED[self.tile.form.name].source
        return (1, 1) if source.parts.scale is None else limits_of(source.parts.scale, source)

    def rows(self, task: Task, unit: Vec) -> None:
        """Stretch by stretch, then panel by panel."""
        k, blocks = self.k, self.k.args.blocks
        scratch = k.pointer("scratch")[k.thread * k.args.room]
        step = _stretch(blocks, self.tile.form.block)
        self.isa.begin_blocks(k, self.shape)
        with k.loop(0, blocks, step) as first:
            count = (blocks - first).min(step)
            self._unpack(task.tiles[(unit * blocks + first) * self.tile.bytes], count, scratch)
            with k.loop(0, task.panels) as panel:
                records = k.pointer("x")[(task.panel(panel) * blocks + first) * (self.groups * self.record.bytes)]
                x = _Panel(records, scratch[step * (self.parts * self.block_bytes)])
                last = first + step >= blocks
                following = (panel + 1) * self.columns
                with k.when(panel + 1 < task.panels):
                    ask_for(k, task, "y", unit, following, self.columns)
                with k.when(last), k.when(k.args.mode > 0):
                    ask_for(k, task, "other", unit, panel * self.columns, self.columns)
                if self.words:
                    self._widen(x, count)
                rows = [task.row(panel * self.columns + c) + unit * (4 * ROWS) for c in range(self.columns)]
                with k.loop(0, self.parts, min(AT_ONCE, self.parts)) as part:
                    y = [k.pointer("y")[row + part * (4 * self.isa.rows)] for row in rows]
                    self._multiply(scratch[part * self.block_bytes], x, y, count, begins=first.equals(0))
                with k.when((task.bias | k.args.mode) > 0), k.when(last):
                    complete(k, self.isa, task, unit, panel * self.columns, self.columns)
        self.isa.end_blocks(k, self.shape)

    def _unpack(self, tiles: Ptr, count: Vec, scratch: Ptr) -> None:
        """Writes codes and numbers of some blocks to the scratch."""
        k, isa, tile = self.k, self.isa, self.tile
        with k.loop(0, count) as block, k.loop(0, self.parts) as part:
            at, to = Place(tiles[block * tile.bytes], part), scratch[(block * self.parts + part) * self.block_bytes]
            for g in range(self.groups):
                group = to[g * self.group_bytes]
                for four in range(_FOURS):
                    self._unpack_four(at, g * GROUP, four, group)
                numbers = self.arithmetic.prepared(k, isa, self.arithmetic.read_group(k, isa, at, g))
                scales = () if self._absorbed else tuple(isa.block_scales(k, s, self._most) for s in numbers.scales)
                self.of_group = replace(numbers, scales=scales)
                self._write(group[self.codes_bytes], self.of_group)
            self.of_block = self.arithmetic.read_block(k, isa, at)
            self._write(to[self.groups * self.group_bytes], self.of_block)

    def _unpack_four(self, at: Place, start: int, four: int, group: Ptr) -> None:
        """Writes a four of the 32 columns from `start` on to the group's planes."""
        k, isa, size = self.k, self.isa, 4 * self.isa.rows
        column = start + 4 * four
        codes = self.tile.read_codes(k, isa, at, column, self.codes)
        if self.words:
            fours = self.shape.fours
            first = four // fours * 2 * fours + four % fours
            for place, half in zip((first, first + fours), self._times_scale(at, column, codes), strict=True):
                group[place * size].store(half, align=16)
            return
        if self.products:
            bias = self.products.bias
            low, high = ((half - bias) & 255 for half in self._times_scale(at, column, codes))
            codes = (low | (high << 8)).as_(codes.type)
        for i, plane in enumerate(isa.to_planes(k, self.products or self.codes, self.shape, codes)):
            group[i * self.plane_bytes + four * size].store(plane, align=16)

    def _times_scale(self, at: Place, column: int, codes: Vec) -> tuple[Vec, Vec]:
        """(code + bias) * scale as words, of columns 0 and 2 of a four, and of 1 and 3."""
        k, tile, words = self.k, self.tile, lanes(I16, 2 * self.isa.rows)
        scale, meaning = tile.form.parts.scale, self.codes
        low, high = _words(codes.as_(words), signed=meaning.signed)
        if scale is None:
            return low + meaning.bias, high + meaning.bias
        number = tile.read_numbers(k, self.isa, at, scale, column // tile.form.group)
        factor = ((number & 0xFFFF) | (number << 16)).as_(words)
        start = factor * meaning.bias
        return low * factor + start, high * factor + start

    def _widen(self, x: _Panel, count: Vec) -> None:
        """Writes the codes of x of some blocks as words."""
        k, fours = self.k, self.shape.fours * self.columns
        n = next(n for n in (16, 8, 4) if n <= self.isa.rows and fours % n == 0)
        with k.loop(0, count * self.groups) as g:
            record, to = x.records[g * self.record.bytes], x.words[g * (2 * GROUP * self.columns)]
            for part in range(GROUP // self.group):
                for i in range(0, fours, n):
                    codes = record[4 * (part * fours + i)].load(lanes(I16, 2 * n), 4)
                    for half, word in enumerate(_words(codes, signed=True)):
                        to[4 * ((2 * part + half) * fours + i)].store(word, 16)

    def _write(self, at: Ptr, numbers: Numbers) -> None:
        for i, value in enumerate(numbers.all):
            at[4 * self.isa.rows * i].store(value, align=16)

    def _read(self, at: Ptr, numbers: Numbers) -> Numbers:
        """The numbers there, of the kinds that these are."""
        return numbers.with_values([at[4 * self.isa.rows * i].load(v.type, 16) for i, v in enumerate(numbers.all)])

    def _multiply(self, scratch: Ptr, x: _Panel, y: list[Ptr], count: Vec, *, begins: Vec) -> None:
        """Adds the products of some registers of rows with one panel to y, or puts them there where they are first.

        y: of each column.
        """
        k, n_rows = self.k, min(AT_ONCE, self.parts)
        places = [[column[4 * self.isa.rows * r] for column in y] for r in range(n_rows)]
        numbered = [list(enumerate(row, r * self.columns)) for r, row in enumerate(places)]
        sums = [[self._sums(i, place) for i, place in row] for row in numbered]
        self._begin(sums, places, begins)
        with k.loop(0, count) as block:
            at = [scratch[(block * self.parts + r) * self.block_bytes] for r in range(n_rows)]
            with k.loop(0, self.groups) as g:
                number = block * self.groups + g
                words = x.words[number * (2 * GROUP * self.columns)]
                here = _Panel(x.records[number * self.record.bytes], words)
                self._group([one[g * self.group_bytes] for one in at], here, sums)
            ended = self._minima(block, at, x, sums) if self.apart else sums
            for row, place in zip(ended, at, strict=True):
                numbers = self._read(place[self.groups * self.group_bytes], self.of_block)
                for some in row:
                    self.arithmetic.end_block(k, self.isa, numbers, some)
        if not self.apart:
            for row, to in zip(sums, places, strict=True):
                for one, place in zip(row, to, strict=True):
                    place.store(one.total.get(), 4)

    def _begin(self, sums: list[list[Sums]], places: list[list[Ptr]], begins: Vec) -> None:
        """Totals are zero with a row's first stretch, else what y holds."""
        zero = self.k.zeros(lanes(F32, self.isa.rows))
        with self.k.when(begins if self.apart else begins.equals(0)):
            for row, at in zip(sums, places, strict=True):
                for one, place in zip(row, at, strict=True):
                    one.total.set(zero if self.apart else place.load(zero.type, 4))

    def _minima(self, block: Vec, at: list[Ptr], x: _Panel, sums: list[list[Sums]]) -> list[list[Sums]]:
        """The sums, with those of a block's minima: apart, because both do not fit the registers."""
        k = self.k
        minima = [[replace(one, m=k.var(k.zeros(lanes(F32, self.isa.rows)))) for one in row] for row in sums]
        with k.loop(0, self.groups) as g:
            record = x.records[(block * self.groups + g) * self.record.bytes]
            numbers = [self._read(one[g * self.group_bytes + self.codes_bytes], self.of_group) for one in at]
            for c in range(self.columns):
                column = Column(record, self.record, c)
                for r, row in enumerate(minima):
                    self.arithmetic.add_minima(k, self.isa, numbers[r], column, row[c])
        return minima

    def _sums(self, i: int, y: Ptr) -> Sums:
        """Zero, and the total in y or zero: of place i among the registers of rows and columns."""
        zero = self.k.zeros(lanes(F32, self.isa.rows))
        if self.columns <= MOST_COLUMNS and not self.apart:
            return Sums(*(self.k.var(zero) for _ in range(3)))
        places = [self.memory[(3 * i + j) * 4 * self.isa.rows] for j in range(3)]
        for place in places:
            place.store(zero, 4 * self.isa.rows)
        total, a, m = (place.var(zero.type) for place in places)
        return Sums(y.var(zero.type, 4) if self.apart else total, a, m)

    def _group(self, at: list[Ptr], here: _Panel, sums: list[list[Sums]]) -> None:
        """Adds the products of 32 columns."""
        step = self.isa.block_columns(self.shape)
        for c in range(0, self.columns, step):
            x = [Column(here.records, self.record, c + i) for i in range(min(step, self.columns - c))]
            some = [row[c : c + step] for row in sums]
            products = self._of_words(at, here.words, c, len(x)) if self.words else self._of_bytes(at, x)
            numbers = [self._read(one[self.codes_bytes], self.of_group) for one in at]
            for i in range(len(x)):
                for r, one in enumerate(row[i] for row in some):
                    of_row = [block[r][i] for block in products]
                    self.arithmetic.add_products(self.k, self.isa, numbers[r], of_row, x[i], one)
                    if not self.apart:
                        self.arithmetic.add_minima(self.k, self.isa, numbers[r], x[i], one)

    def _of_bytes(self, at: list[Ptr], x: list[Column]) -> list[list[list[Vec]]]:
        """Sums for some columns of the panel, one for each scale: by register of rows and column."""
        k, isa, group = self.k, self.isa, self.group
        blocks: list[list[list[Vec]]] = []
        for i, first in enumerate(range(0, GROUP, group)):
            operands = Operands(
                *(len(at), group // 4, self._codes(at, first // 4)),
                partial(_code, x, first // 4),
                [one.sums(group, first) for one in x],
                partial(self._scales, at, i),
                blocks.pop() if blocks and not self.arithmetic.per_group else None,
                [one[first * isa.rows] for one in at],
                x[0].record[self.record.code(first // 4, x[0].column)],
                written_out=self.apart,
            )
            blocks.append(isa.block_of_dots(k, self.planes, operands))
        return blocks

    def _scales(self, at: list[Ptr], i: int) -> list[Vec]:
        """Those of the i-th sum of 32 columns, of each register of rows."""
        numbers = [self._read(one[self.codes_bytes], self.of_group) for one in at]
        return [one.scales[i] for one in numbers if one.scales]

    def _of_words(self, at: list[Ptr], x: Ptr, column: int, count: int) -> list[list[list[Vec]]]:
        """The same from words, for `count` columns."""
        size, pairs = 4 * self.isa.rows, 2 * self.shape.fours

        def sums(first: int) -> list[list[Vec]]:
            def codes(pair: Vec | int) -> list[Vec]:
                return [one[(pair + first) * size].load(lanes(I32, self.isa.rows), 16) for one in at]

            def of_x(pair: Vec | int, c: int) -> Vec:
                return x[(pair + first) * (4 * self.columns) + 4 * (column + c)].load(I32, 4)

            return block_of_words(self.isa, self.k, (len(at), count, pairs), codes, of_x)

        return [sums(first) for first in range(0, 2 * _FOURS, pairs)]

    def _codes(self, at: list[Ptr], first: int) -> Callable[[int, Vec | int], list[Vec]]:
        kind, size = lanes(I8, 4 * self.isa.rows), 4 * self.isa.rows

        def read(plane: int, four: Vec | int) -> list[Vec]:
            offset = (four + first) * size + plane * self.plane_bytes
            return [one[offset].load(kind, 16) for one in at]

        return read


def _words(values: Vec, *, signed: bool) -> tuple[Vec, Vec]:
    """The lower and the upper bytes of words, as words."""
    if signed:
        return (values << 8).shift_signed(8), values.shift_signed(8)
    return values & 255, values >> 8


def _code(x: list[Column], first: int, four: Vec | int, column: int) -> Vec:
    """Four codes of a column, counted from `first` on."""
    return x[column].code(four + first)
