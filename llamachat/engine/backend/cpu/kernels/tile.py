"""A block format, transposed: one tile holds the same block of as many rows as a register has 32-bit lanes.

Every field of the block is cut into units of 4 bytes (2 where its size is odd to 4), and a unit of all rows lies
together: so a register load gives four neighbouring columns of every row, a tile is as large as the file's blocks,
packing is a copy of dwords for every format, and the format's own expression tree unpacks it in registers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I8, I16, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.panel import GROUP
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.quants.trees import Bits, Expr, Num, Op, leaves
from llamachat.errors import Unsupported


@dataclass(frozen=True)
class Field:
    """One field of a block and where its units of `unit` bytes go in the tile."""

    name: str
    offset: int
    n_bytes: int
    unit: int
    position: int


@dataclass(frozen=True)
class Tile:
    """The layout of `rows` transposed blocks of a format."""

    format: BlockFormat
    rows: int

    @property
    def bytes(self) -> int:
        """Size of a tile."""
        return self.rows * self.format.layout.itemsize

    @property
    def group(self) -> int:
        """Columns that are multiplied as integers before a scale is applied."""
        return min(self.format.group, GROUP)

    @cached_property
    def fields(self) -> dict[str, Field]:
        """The block's fields, those with units of 4 bytes first, so that their registers are aligned."""
        assert self.format.layout.fields is not None
        sizes = {name: (entry[1], entry[0].itemsize) for name, entry in self.format.layout.fields.items()}
        unit = {name: next(u for u in (4, 2, 1) if size % u == 0) for name, (_, size) in sizes.items()}
        fields, position = {}, 0
        for name in sorted(sizes, key=lambda name: -unit[name]):
            fields[name] = Field(name, *sizes[name], unit[name], position)
            position += self.rows * sizes[name][1]
        return fields

    @cached_property
    def codes(self) -> tuple[Expr, int]:
        """q as unsigned codes and the constant to add to them: Q6_K is (ql | qh << 4, -32)."""
        q = self.format.q
        if isinstance(q, Op) and q.op == "-" and isinstance(q.b, int):
            return q.a, -q.b
        return (q, -128) if isinstance(q, Num) else (q, 0)

    @cached_property
    def code_bits(self) -> int:
        """The bits of the largest code."""
        return int(
            self.codes[0].at(0, lambda leaf, _: (1 << leaf.bits) - 1 if isinstance(leaf, Bits) else 255)
        ).bit_length()

    @cached_property
    def scattered(self) -> tuple[Bits, ...]:
        """Bit planes whose neighbours are bits of one byte; the packer makes bytes of neighbours."""
        return tuple(leaf for leaf in leaves(self.codes[0]) if isinstance(leaf, Bits) and leaf.run < 4)

    def read_codes(self, k: Kernel, tile: Ptr, column: int) -> Vec:
        """Unsigned bytes: columns column .. column + 3 of every row."""
        return self.codes[0].at(column, lambda leaf, i: self._bytes_of(k, tile, leaf, i))

    def read_scale(self, k: Kernel, isa: Generic, tile: Ptr, group: int) -> Vec:
        """float32 scale of every row for a group of columns."""
        return self._group_value(k, isa, tile, self.format.scale, group)

    def read_offset(self, k: Kernel, isa: Generic, tile: Ptr, group: int, scale: Vec) -> Vec | None:
        """float32 offset of every row for a group, with the codes' constant in it; None where it is always zero."""
        bias = self.codes[1]
        own = self._group_value(k, isa, tile, self.format.offset, group) if self.format.offset is not None else None
        if own is None:
            return scale * float(bias) if bias else None
        return own + scale * float(bias) if bias else own

    def _bytes_of(self, k: Kernel, tile: Ptr, leaf: Expr, i: int) -> Vec:
        kind = lanes(I8, 4 * self.rows)
        if isinstance(leaf, Num):
            return self._unit(tile, leaf.field, i, kind) ^ -128
        assert isinstance(leaf, Bits)
        stored = Bits(leaf.field, leaf.bits, 4) if leaf in self.scattered else leaf
        word, bit = stored.place(i)
        register = self._unit(tile, leaf.field, word, kind)
        if bit:
            register = (register.as_(lanes(I16, 2 * self.rows)) >> bit).as_(kind)
        return register & ((1 << leaf.bits) - 1) if bit or leaf.bits < 8 else register

    def _group_value(self, k: Kernel, isa: Generic, tile: Ptr, tree: Expr, group: int) -> Vec:
        count = self.format.block // self.format.group
        value: Vec = tree.at(group % count, lambda leaf, i: self._number(k, isa, tile, leaf, i))
        return value if value.floating else value.to_float()

    def _number(self, k: Kernel, isa: Generic, tile: Ptr, leaf: Expr, i: int) -> Vec:
        """Number i of a leaf for every row: halves as float32, integers as i32."""
        assert isinstance(leaf, (Bits, Num))
        assert self.format.layout.fields is not None
        word = self.format.layout.fields[leaf.field][0].base
        if word.kind == "f":
            one = i if self.format.layout.fields[leaf.field][0].shape else 0
            if word.itemsize == 4:
                return self._unit(tile, leaf.field, 4 * one, lanes(F32, self.rows))
            return isa.widen_half(k, self._unit(tile, leaf.field, 2 * one, lanes(I16, self.rows)))
        index, bit = leaf.place(i) if isinstance(leaf, Bits) else (i, 0)
        at = index * word.itemsize
        field = self.fields[leaf.field]
        assert field.unit == 4, f"{self.format.name}: {leaf.field} needs units of 4 bytes"
        value = self._unit(tile, leaf.field, at - at % 4, lanes(I32, self.rows))
        shift, bits = 8 * (at % 4) + bit, leaf.bits if isinstance(leaf, Bits) else 8 * word.itemsize
        if isinstance(leaf, Num) and word.kind == "i":
            return (value << (32 - shift - bits)).shift_signed(32 - bits)
        return (value >> shift) & ((1 << bits) - 1)

    def _unit(self, tile: Ptr, field: str, at: int, kind: object) -> Vec:
        """The unit that begins at byte `at` of a field, of every row."""
        f = self.fields[field]
        assert at % f.unit == 0, f"{self.format.name}: {field} byte {at} is not the start of a unit of {f.unit}"
        return tile[f.position + at * self.rows].load(kind, align=2)


def check_kernels(fmt: BlockFormat) -> None:
    """Raises Unsupported for a description that decodes, but that kernels cannot be written for."""
    q, words = fmt.q.a if isinstance(fmt.q, Op) and isinstance(fmt.q.b, int) else fmt.q, _words(fmt)
    numbers = [leaf for part in (fmt.scale, fmt.offset) if part is not None for leaf in leaves(part)]
    for is_so, sentence in (
        (fmt.block % GROUP == 0, f"blocks must be multiples of {GROUP} weights, not {fmt.block}"),
        (fmt.group in (16, *range(GROUP, fmt.block + 1, GROUP)), f"a scale serves 16 or a multiple of {GROUP} weights"),
        (all(_is_code(leaf, words) for leaf in leaves(q)), "codes are signed bytes, or bits of bytes in runs of 4"),
        (all(_is_number(leaf, words) for leaf in numbers), "scales are floats, or integers in fields of whole dwords"),
    ):
        if not is_so:
            raise Unsupported(f"block type {fmt.name} cannot be computed with: {sentence}")


def _words(fmt: BlockFormat) -> dict[str, np.dtype[Any]]:
    """The types of the block's fields."""
    assert fmt.layout.fields is not None
    return {name: entry[0] for name, entry in fmt.layout.fields.items()}


def _is_code(leaf: Expr, words: Mapping[str, np.dtype[Any]]) -> bool:
    """Whether `Tile.read_codes` can read a leaf of q."""
    if isinstance(leaf, Num):
        return words[leaf.field].base == np.int8
    if not isinstance(leaf, Bits) or words[leaf.field].base != np.uint8 or words[leaf.field].itemsize % 4:
        return False
    return leaf.run % 4 == 0 or (leaf.bits, leaf.run) == (1, 1)


def _is_number(leaf: Expr, words: Mapping[str, np.dtype[Any]]) -> bool:
    """Whether `Tile.read_scale` can read a leaf of a scale or an offset."""
    if not isinstance(leaf, (Bits, Num)):
        return False
    word = words[leaf.field]
    return word.base in (np.float16, np.float32) if word.base.kind == "f" else word.itemsize % 4 == 0


def tile_rows(n_rows: int, rows: int, unit: int) -> int:
    """Tile rows of a matrix, rounded up to a multiple of `unit`."""
    return -(-n_rows // (rows * unit)) * unit
