"""Weights from the file's layout into tiles of their stored form: a transposition of units, after what is re-coded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import I8, I16, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.of_format import FormatKernel
from llamachat.engine.backend.cpu.kernels.reader import WIDTH, RowReader
from llamachat.engine.backend.cpu.kernels.rows import ROWS
from llamachat.engine.backend.cpu.kernels.tile import Tile
from llamachat.engine.quants import STORED
from llamachat.engine.quants.stored import Put
from llamachat.engine.quants.trees import Bits, Float, Trits, field_of

PACK_ARGUMENTS = ("source", "tiles", "rows", "blocks", "units")
"""What a packing kernel is given, by `Load` above all: it knows no others."""

_UNITS = {1: I8, 2: I16, 4: I32}
_SQUARE = 4  # units of as many rows that change places at once


@dataclass(frozen=True)
class Pack(FormatKernel):
    """source: rows of blocks as in the file; tiles: where they go; rows, blocks: the matrix; units: of 32 rows.

    Rows that fill the last unit are copies of the last one.
    """

    arguments: ClassVar = PACK_ARGUMENTS
    split: ClassVar = Shares("", ("units",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Unit by unit, block by block; matrices are packed apart, so that nothing is shared."""
        stored, args = STORED[self.format], k.args
        source_bytes, tile_bytes = stored.source.layout.itemsize, ROWS * stored.format.layout.itemsize
        tile, in_file = Tile(stored.format, isa.rows), stored.source.layout.fields
        assert in_file is not None
        made_bytes = stored.format.layout.itemsize
        made = k.memory(I8, made_bytes * ROWS)  # what is put, row by row
        first, last = self.split.share(k)
        with k.loop(first, last) as unit, k.loop(0, args.blocks) as block:
            to = k.pointer("tiles")[(unit * args.blocks + block) * tile_bytes]
            rows = _Rows(k.pointer("source")[block * source_bytes], args.blocks * source_bytes, unit * ROWS, args.rows)
            if stored.puts:
                with k.loop(0, ROWS) as row:
                    at = made[row * made_bytes]
                    put_fields(RowReader(k, isa, stored.source, rows.row(row)), stored.puts, stored.format.layout, at)
            with k.loop(0, ROWS, _SQUARE) as row:
                for field in tile.fields.values():
                    offset = in_file[field.name][1] if field.name in stored.copied else field.offset
                    if field.name in stored.copied:
                        squares = [rows.row(row + i)[offset] for i in range(_SQUARE)]
                    else:
                        squares = [made[(row + i) * made_bytes + offset] for i in range(_SQUARE)]
                    units = [to[tile.positions[field.name, byte]] for byte in range(0, field.n_bytes, field.unit)]
                    transpose(squares, [unit[row * field.unit] for unit in units], field.unit)


@dataclass(frozen=True)
class _Rows:
    """The same block of the rows of a unit, from `first` on, `stride` bytes apart; the matrix has `count` rows."""

    block: Ptr
    stride: Vec
    first: Vec
    count: Vec

    def row(self, i: Vec) -> Ptr:
        """That of row i, or of the last row."""
        return self.block[(self.first + i).min(self.count - 1) * self.stride]


def transpose(rows: list[Ptr], to: list[Ptr], unit: int) -> None:
    """Units of a field of neighbouring rows: each of all of them goes to its own place."""
    kind, n = _UNITS[unit], len(rows)
    whole = len(to) // n * n
    for at in range(0, whole, n):
        square = [row[at * unit].load(lanes(kind, n), 1) for row in rows]
        for column, place in zip(_turned(square), to[at : at + n], strict=True):
            place.store(column, unit)
    for at in range(whole, len(to)):
        for i, row in enumerate(rows):
            to[at][i * unit].store(row[at * unit].load(kind, 1), unit)


def _turned(square: list[Vec]) -> list[Vec]:
    """Four registers of four: the i-th numbers of all in register i."""
    a, b, c, d = square
    low, high = (a.merge(b, order) for order in ([0, 4, 1, 5], [2, 6, 3, 7]))
    low2, high2 = (c.merge(d, order) for order in ([0, 4, 1, 5], [2, 6, 3, 7]))
    pairs = ([0, 1, 4, 5], [2, 3, 6, 7])
    return [one.merge(two, order) for one, two in ((low, low2), (high, high2)) for order in pairs]


def put_fields(reader: RowReader, puts: tuple[Put, ...], layout: object, to: Ptr) -> None:
    """Writes the fields of a stored block that are made of a block of the file."""
    seen: set[str] = set()
    for put in puts:
        name = field_of(put.to)
        kind, offset = layout.fields[name][:2]  # type: ignore[attr-defined]
        _put_one(reader, put, kind, to[offset], add=name in seen)
        seen.add(name)


def _put_one(reader: RowReader, put: Put, kind: object, to: Ptr, *, add: bool) -> None:
    """A field of a stored block, or its bits that another put has left."""
    base = kind.base  # type: ignore[attr-defined]
    count, word = kind.itemsize // base.itemsize, base.itemsize  # type: ignore[attr-defined]
    run = put.to.run if isinstance(put.to, Bits | Trits) else count
    step = next(n for n in (WIDTH, 8, 4, 2, 1) if run % n == 0 and count % n == 0)
    for first in range(0, count, step):
        value = _words(reader, put, first, step)
        at = to[first * word]
        element = lanes(_UNITS[word], step)
        if not value.floating:
            value = value if word == 4 else value.cut(_UNITS[word])
        elif base.kind == "f" and word == 2:
            value = reader.isa.narrow_half(reader.k, value)
        at.store(at.load(element, 1) | value if add else value, 1)


def _words(reader: RowReader, put: Put, first: int, n: int) -> Vec:
    """n neighbouring words of a field, as i32 or float32."""
    to = put.to
    if isinstance(to, Float):
        return reader.row(put.numbers, first, n).as_(lanes(I32, n)) >> 16
    if not isinstance(to, Bits | Trits):
        return reader.row(put.numbers, first, n)
    total = None
    for digit in range(to.per):
        number = first // to.run * to.run * to.per + digit * to.run + first % to.run
        part = reader.row(put.numbers, number, n)
        part = _digit(to, part, digit)
        total = part if total is None else total + part
    assert total is not None
    return (total * 256 + 242) // 243 if isinstance(to, Trits) else total


def _digit(to: Bits | Trits, number: Vec, digit: int) -> Vec:
    """A number at its place among those of a word."""
    if isinstance(to, Trits):
        return number * 3 ** (4 - digit)
    return (number & ((1 << to.bits) - 1)) << (to.bits * digit)


@dataclass(frozen=True)
class PackFloats(KernelSpec):
    """The same for F32, F16 and BF16: tiles are [unit][column][32 rows] values of `item` bytes."""

    item: int
    arguments: ClassVar = PACK_ARGUMENTS
    split: ClassVar = Pack.split

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Unit by unit, squares of rows and columns, and the columns that are left."""
        args, item = k.args, self.item
        first, last = self.split.share(k)
        whole = args.blocks // _SQUARE * _SQUARE
        with k.loop(first, last) as unit, k.loop(0, ROWS, _SQUARE) as row:
            rows = _Rows(k.pointer("source"), args.blocks * item, unit * ROWS, args.rows)
            to = k.pointer("tiles")[unit * args.blocks * (ROWS * item)][row * item]
            sources = [rows.row(row + i) for i in range(_SQUARE)]
            for start, stop, n in ((k.number(0), whole, _SQUARE), (whole, args.blocks, 1)):
                with k.loop(start, stop, n) as column:
                    at = [source[column * item] for source in sources]
                    transpose(at, [to[(column + i) * (ROWS * item)] for i in range(n)], item)
