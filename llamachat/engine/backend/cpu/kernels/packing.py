"""Weights from the file's layout into tiles: a transposition of dwords that is the same for every format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import I8, I16, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.of_format import FormatKernel
from llamachat.engine.backend.cpu.kernels.rows import UNIT
from llamachat.engine.backend.cpu.kernels.tile import Field, Tile
from llamachat.engine.quants import BLOCK_FORMATS

PACK_ARGUMENTS = ("source", "tiles", "rows", "blocks", "units")
"""What a packing kernel is given, by `Load` above all: it knows no others."""

_UNITS = {1: I8, 2: I16, 4: I32}


@dataclass(frozen=True)
class Pack(FormatKernel):
    """source: rows of blocks as in the file; tiles: zeroed; rows, blocks: the matrix; units: pairs of tile rows."""

    arguments: ClassVar = PACK_ARGUMENTS
    split: ClassVar = Shares("", ("units",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Unit by unit, each UNIT tile rows; matrices are packed apart, so that nothing is shared."""
        tile = Tile(BLOCK_FORMATS[self.format], isa.rows)
        size, args = tile.format.layout.itemsize, k.args
        first, last = self.split.share(k)
        with k.loop(first, last) as unit, k.loop(0, args.blocks) as block:
            for r in range(UNIT):
                row = (unit * UNIT + r) * isa.rows
                to = k.pointer("tiles")[((unit * args.blocks + block) * UNIT + r) * tile.bytes]
                with k.loop(0, (args.rows - row).min(isa.rows)) as i:
                    source = k.pointer("source")[((row + i) * args.blocks + block) * size]
                    for field in tile.fields.values():
                        _copy(tile, field, source, to, i)
                for leaf in tile.scattered:
                    _transpose_bits(k, tile, tile.fields[leaf.field], to)


def _copy(tile: Tile, field: Field, source: Ptr, to: Ptr, row: Vec) -> None:
    for at in range(0, field.n_bytes, field.unit):
        value = source[field.offset + at].load(_UNITS[field.unit], 1)
        to[field.position + at * tile.rows][row * field.unit].store(value, field.unit)


def _transpose_bits(k: Kernel, tile: Tile, field: Field, to: Ptr) -> None:
    """Bit 4s + c of a dword (column 4s + c) becomes bit s of byte c, so that four columns are four bytes."""
    for at in range(0, field.n_bytes, 4):
        register = to[field.position + at * tile.rows]
        x = register.load(lanes(I32, tile.rows), 4)
        transposed = k.zeros(x.type)
        for c in range(4):
            bits = (x >> c) & 0x11111111
            for shift, mask in ((3, 0x03030303), (6, 0x000F000F), (12, 0x000000FF)):
                bits = (bits | (bits >> shift)) & mask
            transposed = transposed | (bits << (8 * c))
        register.store(transposed, 4)


@dataclass(frozen=True)
class PackFloats(KernelSpec):
    """The same for F32, F16 and BF16: tiles are [unit][column][UNIT][rows] values of `item` bytes."""

    item: int
    arguments: ClassVar = PACK_ARGUMENTS
    split: ClassVar = Pack.split

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Unit by unit."""
        args, item = k.args, self.item
        first, last = self.split.share(k)
        with k.loop(first, last) as unit:
            row = unit * (UNIT * isa.rows)
            with k.loop(0, (args.rows - row).min(UNIT * isa.rows)) as i:
                source = k.pointer("source")[(row + i) * args.blocks * item]
                to = k.pointer("tiles")[unit * args.blocks * (UNIT * isa.rows * item) + i * item]
                with k.loop(0, args.blocks) as column:
                    value = source[column * item].load(_UNITS[item], 1)
                    to[column * (UNIT * isa.rows * item)].store(value, item)
