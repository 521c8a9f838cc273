"""A stored block, transposed: one tile holds the same block of 32 rows.

Every field of the stored form is cut into units of 4 bytes (fewer where its size is odd to 4), and a unit of all rows
lies together. So a register load gives four neighbouring columns of each of its rows, tiles do not depend on the
instruction set, and the form's own expression trees unpack them in registers.

Units follow one another as a product of few columns first reads them: what is read in the order of its addresses
processors fetch ahead, and they lose it where reading jumps back to a line that they do not have yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from llamachat.engine.backend.cpu.jit.isa.dots import Codes
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import I8, I16, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.panel import GROUP
from llamachat.engine.backend.cpu.kernels.ranges import limits_of
from llamachat.engine.backend.cpu.kernels.real_numbers import read_real
from llamachat.engine.backend.cpu.kernels.rows import ROWS
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.quants.stored import Stored
from llamachat.engine.quants.trees import APPLY, Bits, Expr, Float, Join, Lookup, Num, Op, Pick, bits_at, leaves
from llamachat.errors import Unsupported

_KINDS = {1: I8, 2: I16, 4: I32}


@dataclass(frozen=True)
class Field:
    """One field of a stored block, and where its units of `unit` bytes go in the tile."""

    name: str
    offset: int
    n_bytes: int
    unit: int


class Recent:
    """What was read for the last four and for this one: units that neighbours share are loaded and shifted once.

    Compilers could see that, but not across `Generic.held`; and what lives longer takes registers.
    """

    def __init__(self) -> None:
        self._before: dict[tuple[str, int, int], Vec] = {}
        self._now: dict[tuple[str, int, int], Vec] = {}

    def get(self, key: tuple[str, int, int], make: Callable[[], Vec]) -> Vec:
        """The value of that key, made if it is not there."""
        found = self._now.get(key) or self._before.get(key) or make()
        self._now[key] = found
        return found

    def next(self) -> None:
        """Another four begins."""
        self._before, self._now = self._now, {}


@dataclass(frozen=True)
class Place:
    """Some rows of a tile: where it begins, and which register of its rows."""

    tile: Ptr
    part: Vec | int
    recent: Recent = field(default_factory=Recent, compare=False)


@dataclass(frozen=True)
class Tile:
    """32 transposed blocks of a stored form, read by registers of `rows` rows."""

    form: BlockFormat
    rows: int

    @property
    def bytes(self) -> int:
        """Size of a tile."""
        return ROWS * self.form.layout.itemsize

    @property
    def group(self) -> int:
        """Columns that are multiplied as integers before a scale is applied."""
        return min(self.form.group, GROUP)

    @cached_property
    def fields(self) -> dict[str, Field]:
        """The form's fields by name."""
        return fields_of(self.form)

    @cached_property
    def fours(self) -> tuple[int, ...]:
        """The first columns of all fours, in the order in which the units of the plane with most bits lie."""
        planes = [leaf for leaf in leaves(self.form.parts.codes) if isinstance(leaf, Bits)]
        fours = range(0, self.form.block, 4)
        if not planes:
            return tuple(fours)
        largest = max(planes, key=lambda leaf: leaf.bits)
        return tuple(sorted(fours, key=lambda column: largest.place(column)[0]))

    @cached_property
    def positions(self) -> dict[tuple[str, int], int]:
        """Where the unit that begins at a byte of a field lies: {(field, byte): offset}."""
        places: dict[tuple[str, int], int] = {}
        position = 0
        for name, byte in (*self._reading(), *self._all_units()):
            if (name, byte) not in places:
                places[name, byte] = position
                position += ROWS * self.fields[name].unit
        return places

    def _reading(self) -> Iterator[tuple[str, int]]:
        """Units in the order in which they are read: codes four by four, with each 32 columns their numbers."""
        parts, last = self.form.parts, {column // GROUP: column for column in self.fours}
        numbers = [tree for tree in (parts.scale, parts.minimum) if tree is not None]
        reals = [tree for tree in (parts.d, parts.dmin) if tree is not None]
        for column in self.fours:
            yield from self._units_of(parts.codes, column)
            if last[column // GROUP] == column:
                start = column - column % GROUP
                for first in range(start, start + GROUP, self.group):
                    for tree in (*numbers, *(reals if parts.floats_per_group else ())):
                        yield from self._units_of(tree, first // self.form.group)
        for tree in reals:
            yield from self._units_of(tree, 0)

    def _all_units(self) -> Iterator[tuple[str, int]]:
        for one in self.fields.values():
            for byte in range(0, one.n_bytes, one.unit):
                yield one.name, byte

    def _units_of(self, tree: Expr, i: int) -> list[tuple[str, int]]:
        """The units that number i of a tree is made of."""
        found: list[tuple[str, int]] = []

        def seen(leaf: Expr, j: int) -> int:
            assert isinstance(leaf, Bits | Num | Float)
            byte = self.byte_of(leaf, j)
            found.append((leaf.field, byte - byte % self.fields[leaf.field].unit))
            return 1

        tree.at(i, lambda leaf, j: leaf.index.at(j, seen) and 1 if isinstance(leaf, Lookup) else seen(leaf, j))
        return found

    def byte_of(self, leaf: Bits | Num | Float, i: int) -> int:
        """Where number i of a leaf, or the one for all, begins in its field."""
        size = self.form.layout[leaf.field].base.itemsize
        word = leaf.place(i)[0] if isinstance(leaf, Bits) else i
        return word * size if self.fields[leaf.field].n_bytes > size else 0

    def codes(self, isa: Generic, column: int, *, in_place: bool) -> Codes:
        """What the bytes mean that `read_codes` returns for the group that begins at a column.

        in_place: codes may stay where they are in their bytes, where that costs the instruction set nothing.
        """
        parts = self.form.parts
        if isinstance(parts.codes, Lookup):
            return isa.table_codes(_entries(parts.codes, parts.bias))[0]
        if parts.signed:
            return Codes(8, signed=True)
        shift = self._shift(isa, column) if in_place else 0
        return Codes(parts.largest.bit_length(), parts.bias, shift=shift)

    def read_codes(self, k: Kernel, isa: Generic, at: Place, column: int, codes: Codes) -> Vec:
        """Bytes: columns column .. column + 3 of every row."""
        tree = self.form.parts.codes
        if codes.shift:
            found = bits_at(tree, column)
            assert found is not None
            return self._bits(at, *found, codes.shift)
        if isinstance(tree, Lookup):
            table = isa.table_codes(_entries(tree, self.form.parts.bias))[1]
            if isinstance(tree.index, Bits) and tree.index.bits == 4:
                return isa.lookup_low(k, self._shifted(at, tree.index, column), table)
            return isa.lookup_bytes(k, self.read_bytes(at, tree.index, column), table)
        return self.read_bytes(at, tree, column)

    def read_bytes(self, at: Place, tree: Expr, i: int) -> Vec:
        """Numbers i .. i + 3 of a tree of integers of 8 bits, as the bytes of each row's dword."""
        if isinstance(tree, Pick):
            return self.read_bytes(at, tree.whole, tree.numbers[i])
        if isinstance(tree, Join):
            return self.read_bytes(at, tree.a, i) if i < tree.n else self.read_bytes(at, tree.b, i - tree.n)
        if not isinstance(tree, Op):
            return self._bytes_of(at, tree, i)
        if tree.op == "<<" and isinstance(tree.b, int) and (bits := bits_at(tree.a, i)) is not None:
            return self._bits(at, *bits, tree.b)
        other = self.read_bytes(at, tree.b, i) if isinstance(tree.b, Expr) else tree.b
        found: Vec = APPLY[tree.op](self.read_bytes(at, tree.a, i), other)
        return found

    def read_numbers(self, k: Kernel, isa: Generic, at: Place, tree: Expr, i: int) -> Vec:
        """Numbers i of a tree of integers, i32 [rows]."""
        if self._neighbours(tree, i):
            signed = limits_of(tree, self.form)[0] < 0
            return isa.byte(k, self.read_bytes(at, tree, i - i % 4).as_(lanes(I32, self.rows)), i % 4, signed=signed)
        found: Vec = tree.at(i, lambda leaf, j: self._number_of(k, isa, at, leaf, j))
        return found

    def read_pair(self, k: Kernel, isa: Generic, at: Place, tree: Expr, i: int) -> Vec:
        """Numbers i and i + 1 of a tree of integers (i even) as two i16: i32 [rows]."""
        if self._neighbours(tree, i) and limits_of(tree, self.form)[0] >= 0:
            return isa.byte_pair(k, self.read_bytes(at, tree, i - i % 4).as_(lanes(I32, self.rows)), i % 4)
        low, high = (self.read_numbers(k, isa, at, tree, j) for j in (i, i + 1))
        return (low & 0xFFFF) | (high << 16)

    def read_scales(self, k: Kernel, isa: Generic, at: Place, tree: Expr, i: int) -> Vec:
        """The same in the form that `Dot.scaled` takes."""
        if self._neighbours(tree, i):
            signed = limits_of(tree, self.form)[0] < 0
            return isa.scales(k, self.read_bytes(at, tree, i - i % 4).as_(lanes(I32, self.rows)), i % 4, signed=signed)
        return isa.pair_scales(k, self.read_numbers(k, isa, at, tree, i))

    def read_real(self, k: Kernel, isa: Generic, at: Place, tree: Expr, i: int) -> Vec:
        """Number i of a tree of floats: float32 [rows]."""
        found: Vec = tree.at(i, lambda leaf, j: read_real(k, isa, leaf, self._real_bits(k, isa, at, leaf, j)))
        return found

    def _real_bits(self, k: Kernel, isa: Generic, at: Place, leaf: Expr, i: int) -> Vec:
        assert isinstance(leaf, Num | Float)
        field, size = self.fields[leaf.field], self.form.layout[leaf.field].base.itemsize
        byte = self.byte_of(leaf, i)
        unit = self._unit(at, leaf.field, byte - byte % field.unit)
        return unit if size == field.unit else isa.byte(k, unit, byte % field.unit, signed=False)

    def _shift(self, isa: Generic, column: int) -> int:
        """How many bits higher than the lowest one the codes of a group are best read."""
        parts, places = self.form.parts, set()
        for i in range(column, column + self.group):
            found = bits_at(parts.codes, i)
            if found is None:
                return 0
            leaf, number = found
            places.add(leaf.place(number)[1])
        codes = Codes(parts.largest.bit_length(), parts.bias)
        return isa.best_shift(codes, places.pop(), self.group // 4) if len(places) == 1 else 0

    def _neighbours(self, tree: Expr, i: int) -> bool:
        """Whether i's neighbours in its four are bytes of one unit, so that they can be folded together."""
        first = i - i % 4
        if first + 4 > self.form.block // self.form.group:
            return False
        places = [self._places(tree, j) for j in range(first, first + 4)]
        return all(
            byte % 4 == 0 and self.fields[name].unit == 4 and (name, byte + n, bit) == other
            for n in range(4)
            for (name, byte, bit), other in zip(places[0], places[n], strict=True)
        )

    def _places(self, tree: Expr, i: int) -> list[tuple[str, int, int]]:
        """(field, byte, bit) of all that number i is made of; of what is no byte, another at each i."""
        places: list[tuple[str, int, int]] = []

        def seen(leaf: Expr, j: int) -> int:
            assert isinstance(leaf, Bits | Num)
            word, bit = leaf.place(j) if isinstance(leaf, Bits) else (j, 0)
            is_byte = self.form.layout[leaf.field].base.itemsize == 1 and word < self.fields[leaf.field].n_bytes
            places.append((leaf.field, word, bit) if is_byte else (leaf.field, -i, -1))
            return 0

        tree.at(i, seen)
        return places

    def _bytes_of(self, at: Place, leaf: Expr, i: int) -> Vec:
        if isinstance(leaf, Num):
            return self._unit(at, leaf.field, i).as_(lanes(I8, 4 * self.rows))
        assert isinstance(leaf, Bits)
        word, bit = leaf.place(i)
        if bit and bit + leaf.bits == 8:  # as bytes: NEON can shift them, and needs no mask
            return self._unit(at, leaf.field, word).as_(lanes(I8, 4 * self.rows)) >> bit
        return self._bits(at, leaf, i, 0)

    def _bits(self, at: Place, leaf: Bits, i: int, up: int) -> Vec:
        """Numbers i .. i + 3 of a leaf as bytes, each `up` bits higher."""
        word, bit = leaf.place(i)
        register, words = self._unit(at, leaf.field, word), lanes(I16, 2 * self.rows)
        if bit != up:
            wide, distance = register.as_(words), bit - up
            key = leaf.field, word, distance
            register = at.recent.get(key, lambda: wide >> distance if distance > 0 else wide << -distance)
        bytes_ = register.as_(lanes(I8, 4 * self.rows))
        return bytes_ & (((1 << leaf.bits) - 1) << up) if leaf.bits < 8 else bytes_

    def _shifted(self, at: Place, leaf: Bits, i: int) -> Vec:
        """Bytes whose lowest bits are numbers i .. i + 3."""
        word, bit = leaf.place(i)
        register = self._unit(at, leaf.field, word)
        if bit:
            wide = register.as_(lanes(I16, 2 * self.rows))
            register = at.recent.get((leaf.field, word, bit), lambda: wide >> bit)
        return register.as_(lanes(I8, 4 * self.rows))

    def _number_of(self, k: Kernel, isa: Generic, at: Place, leaf: Expr, i: int) -> Vec:
        """Number i of a leaf of integers for every row, i32."""
        assert isinstance(leaf, Bits | Num)
        word, field = self.form.layout[leaf.field].base, self.fields[leaf.field]
        byte, bit = self.byte_of(leaf, i), leaf.place(i)[1] if isinstance(leaf, Bits) else 0
        value = self._unit(at, leaf.field, byte - byte % field.unit)
        value = value if field.unit == 4 else value.unsigned(I32)
        shift, bits = 8 * (byte % field.unit) + bit, leaf.bits if isinstance(leaf, Bits) else 8 * word.itemsize
        if isinstance(leaf, Num) and word.kind == "i":
            return (value << (32 - shift - bits)).shift_signed(32 - bits)
        return (value >> shift) & ((1 << bits) - 1)

    def _unit(self, at: Place, name: str, byte: int) -> Vec:
        """The unit that begins at a byte of a field, of every row: integers of its size."""
        unit = self.fields[name]
        assert byte % unit.unit == 0, f"{self.form.name}: byte {byte} of {name} begins no unit of {unit.unit}"
        place = at.tile[self.positions[name, byte]][at.part * (unit.unit * self.rows)]
        kind = lanes(_KINDS[unit.unit], self.rows)
        return at.recent.get((name, byte, 0), lambda: place.load(kind, align=unit.unit))


def fields_of(form: BlockFormat) -> dict[str, Field]:
    """The fields of a stored form."""
    assert form.layout.fields is not None
    sizes = {name: (entry[1], entry[0].itemsize) for name, entry in form.layout.fields.items()}
    return {name: Field(name, *sizes[name], _unit_of(form, name)) for name in sizes}


def _unit_of(form: BlockFormat, name: str) -> int:
    """4 bytes where bytes or wider words fill them; words of 16 bits stay alone."""
    kind = form.layout[name]
    if kind.base.itemsize == 2:
        return 2
    return next(unit for unit in (4, 2, 1) if kind.itemsize % unit == 0)


def _entries(tree: Lookup, bias: int) -> list[int]:
    """The 16 entries of a table of single numbers; one that has fewer is filled up."""
    entries = [int(value) + bias for value in tree.table.entries[:, 0]]
    return entries + [entries[-1]] * (16 - len(entries))


def check_kernels(stored: Stored) -> None:
    """Raises Unsupported for a description that decodes, but that kernels cannot be written for."""
    form = stored.format
    if form.block % GROUP:
        _refuse(form, f"blocks must be multiples of {GROUP} weights, not {form.block}")
    if form.group != 16 and form.group % GROUP:
        _refuse(form, f"a scale serves 16 or a multiple of {GROUP} weights")
    if not _are_codes(form):
        _refuse(form, "codes are signed bytes, bits of bytes in runs of 4, or entries of a table of 16")
    whole = [leaf for tree in (form.parts.scale, form.parts.minimum) if tree is not None for leaf in leaves(tree)]
    if not all(_kind(form, leaf) in "ui" for leaf in whole):
        _refuse(form, "integer scales are bits, or integers of 8, 16 or 32 bits")
    for tree, bits in ((form.parts.scale, 8), (form.parts.minimum, 15)):  # times sums of codes they fit 32 bits
        low, high = (0, 0) if tree is None else limits_of(tree, form)
        if low < -(1 << bits) or high >= 1 << bits:
            _refuse(form, "integer scales must lie in -256 .. 255, integer minima in -32768 .. 32767")


def _refuse(form: BlockFormat, sentence: str) -> None:
    raise Unsupported(f"block type {form.name} cannot be computed with: {sentence}")


def _kind(form: BlockFormat, leaf: Expr) -> str:
    """What the words of a leaf's field are: f, i, u; of digits that kernels do not read, and others, nothing."""
    return form.layout[leaf.field].base.kind if isinstance(leaf, Num | Bits) else "?"


def _are_codes(form: BlockFormat) -> bool:
    """Whether `Tile.read_codes` can read a form's codes."""
    codes = form.parts.codes
    if isinstance(codes, Lookup):
        small = codes.table.n == 1 and len(codes.table.entries) <= 16 and limits_of(codes.index, form)[1] < 16
        return small and not _has_lookups(codes.index) and all(_are_bytes(form, leaf) for leaf in leaves(codes.index))
    return not _has_lookups(codes) and all(_are_bytes(form, leaf) for leaf in leaves(codes))


def _has_lookups(tree: Expr) -> bool:
    return isinstance(tree, Lookup) or any(_has_lookups(child) for child in tree.children())


def _are_bytes(form: BlockFormat, leaf: Expr) -> bool:
    """Whether four neighbours are four bytes of a unit."""
    kind = form.layout[leaf.field] if isinstance(leaf, Num | Bits) else np.dtype("f8")
    if kind.base.itemsize != 1 or kind.itemsize % 4:
        return False
    return leaf.run % 4 == 0 if isinstance(leaf, Bits) else kind.base.kind == "i"
