"""Blocks of a row as they are in the file, decoded in native code: neighbouring numbers of any tree.

The packer and the token embedding share it. Leaves whose numbers lie in neighbouring words are read as registers,
others number by number; tables of look-ups are constants of the module.
"""

from __future__ import annotations

from typing import Final

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import I8, I16, I32, I64, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.real_numbers import read_real
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.quants.trees import APPLY, Bits, Expr, Float, Half, Join, Lookup, Num, Op, Pick, Trits

WIDTH = 16
"""Columns that are decoded at once."""

_KINDS: Final = {1: I8, 2: I16, 4: I32}


class RowReader:
    """One block of a format."""

    def __init__(self, k: Kernel, isa: Generic, fmt: BlockFormat, block: Ptr) -> None:
        self.k, self.isa, self.fmt, self.block = k, isa, fmt, block

    def weights(self, column: int) -> Vec:
        """float32 of columns column .. column + WIDTH - 1: scale * q + offset, each rounded, as the decoder does."""
        group = column // self.fmt.group
        value = self._real(self.fmt.scale, group) * self._as_float(self.row(self.fmt.q, column, WIDTH))
        return value if self.fmt.offset is None else value + self._real(self.fmt.offset, group)

    def row(self, tree: Expr, first: int, n: int) -> Vec:
        """Numbers first .. first + n - 1 of a tree: i32 [n], or float32 where it has floats."""
        if isinstance(tree, Op):
            a = self.row(tree.a, first, n)
            b = self.row(tree.b, first, n) if isinstance(tree.b, Expr) else tree.b
            if (isinstance(b, Vec) and b.floating and not a.floating) or (isinstance(b, float) and not a.floating):
                a = a.to_float()
            value: Vec = APPLY[tree.op](a, b)
            return value
        if isinstance(tree, Pick):
            return self._many(tree.whole, tree.numbers[first : first + n])
        if isinstance(tree, Join):
            return self._joined(tree, first, n)
        if isinstance(tree, Half):
            return self.isa.widen_half(self.k, self.row(tree.bits, 0, 1).cut(I16)).splat(n)
        if isinstance(tree, Lookup):
            return self._entries(tree, first, n)
        return self._leaf(tree, first, n)

    def number(self, tree: Expr, i: int) -> Vec:
        """Number i of a tree; of the one that it has, where it has one for all."""
        return self.row(tree, i, 1)

    def _real(self, tree: Expr, group: int) -> Vec:
        return self._as_float(self.number(tree, group)).splat(WIDTH)

    @staticmethod
    def _as_float(value: Vec) -> Vec:
        return value if value.floating else value.to_float()

    def _many(self, tree: Expr, numbers: tuple[int, ...]) -> Vec:
        """Those numbers of a tree."""
        first, n = numbers[0], len(numbers)
        if numbers == tuple(range(first, first + n)):
            return self.row(tree, first, n)
        return self._concatenated([self.number(tree, i) for i in numbers])

    def _joined(self, tree: Join, first: int, n: int) -> Vec:
        if first + n <= tree.n:
            return self.row(tree.a, first, n)
        if first >= tree.n:
            return self.row(tree.b, first - tree.n, n)
        return self._concatenated([self.number(tree, i) for i in range(first, first + n)])

    def _entries(self, tree: Lookup, first: int, n: int) -> Vec:
        """Entries of a table: whole ones as registers."""
        table, size = tree.table, tree.table.n
        flat = [int(value) for value in table.entries.ravel()]
        wide = I8 if min(flat) >= -128 and max(flat) < 128 else I16
        memory, at_once = self.k.table(f"table {table.name}", wide, flat), min(size, n)
        parts = []
        for i in range(first, first + n, at_once):
            index = self.number(tree.index, i // size).unsigned(I64)
            at = memory[(index * size + i % size) * (wide.width // 8)]
            parts.append(at.load(lanes(wide, at_once), 1).signed(I32))
        return self._concatenated(parts)

    def _leaf(self, leaf: Expr, first: int, n: int) -> Vec:
        """Numbers of a field."""
        assert isinstance(leaf, Num | Float | Bits | Trits)
        if not isinstance(leaf, Bits | Trits):
            if not self.fmt.layout[leaf.field].shape:  # one for all
                return self._words(leaf, 0, 0, 1).splat(n)
            return self._words(leaf, first, 0, n)
        (word, digit), (last, last_digit) = leaf.place(first), leaf.place(first + n - 1)
        if (last - word, last_digit) == (n - 1, digit):
            return self._words(leaf, word, digit, n)
        if isinstance(leaf, Bits) and leaf.run == 1 and word == last:
            size = self.fmt.layout[leaf.field].base.itemsize
            bits = self._load(leaf.field, word, size, 1).splat(n)
            shifts = self.k.constant(bits.type, [digit + leaf.bits * i for i in range(n)])
            return (bits >> shifts) & ((1 << leaf.bits) - 1)
        half = n // 2
        return self._concatenated([self.row(leaf, first, half), self.row(leaf, first + half, n - half)])

    def _words(self, leaf: Expr, word: int, digit: int, n: int) -> Vec:
        """The numbers in n neighbouring words: of each the one at a bit, or one digit."""
        assert isinstance(leaf, Num | Float | Bits | Trits)
        kind = self.fmt.layout[leaf.field].base
        if isinstance(leaf, Float) or kind.kind == "f":
            raw = self._at(leaf.field, word * kind.itemsize).load(lanes(_KINDS[kind.itemsize], n), 1)
            return read_real(self.k, self.isa, leaf, raw)
        value = self._load(leaf.field, word, kind.itemsize, n, signed=kind.kind == "i")
        if isinstance(leaf, Bits):
            shifted = value >> digit if digit else value
            return shifted & ((1 << leaf.bits) - 1)
        if isinstance(leaf, Trits):
            return ((value * 3**digit & 255) * 3) >> 8
        return value

    def _load(self, field: str, word: int, size: int, n: int, *, signed: bool = False) -> Vec:
        value = self._at(field, word * size).load(lanes(_KINDS[size], n), 1)
        if size == 4:
            return value
        return value.signed(I32) if signed else value.unsigned(I32)

    def _concatenated(self, parts: list[Vec]) -> Vec:
        """Registers side by side; their number is a power of two."""
        while len(parts) > 1:
            parts = [a.beside(b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    def _at(self, field: str, offset: int) -> Ptr:
        fields = self.fmt.layout.fields
        assert fields is not None
        return self.block[fields[field][1] + offset]
