"""How a format lies in packed memory: blocks of other fields, from which kernels get their numbers cheaply.

A field of the stored block is either copied from the file's field of the same name, or numbers are put into it.
What is costly to decode in registers (look-ups in large tables, digits of base 3, scales packed in 6 bits) is so
re-coded once, when a matrix is packed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.quants.format import BlockFormat, Bytes
from llamachat.engine.quants.trees import Bits, Expr, Float, Join, Lookup, Num, Op, Pick, Trits, field_of, leaves
from llamachat.engine.quants.writer import packed

QUAD = 4
"""Columns in a unit of codes that kernels read at once."""


@dataclass(frozen=True)
class Put:
    """Numbers of the file's block, and the leaf that reads them from the stored one.

    to: Bits: the numbers' lowest bits in that arrangement. Num: integers, or floats that the field can hold exactly.
    Float("bf16"): the upper halves of float32. Trits: digits, which only encoders put.
    """

    to: Bits | Num | Float | Trits
    numbers: Expr


@dataclass(frozen=True)
class Stored:
    """The stored form of a format: blocks of as many weights in groups of the same size."""

    source: BlockFormat
    format: BlockFormat
    puts: tuple[Put, ...] = ()

    def __post_init__(self) -> None:
        """Checks that every field is filled, and that numbers fit in their fields."""
        names, have = self.format.layout.names or (), self.source.layout.fields
        assert have is not None
        put = {field_of(one.to) for one in self.puts}
        for name in set(names) - put:
            assert name in have, f"{self.source.name}: nothing fills {name}"
            assert have[name][0] == self.format.layout[name], f"{self.source.name}: {name} is not as in the file"
        same = (self.format.block, self.format.group) == (self.source.block, self.source.group)
        assert same, f"{self.source.name}: stored blocks or groups have another size"
        assert len(self.repack(np.zeros(self.source.layout.itemsize, np.uint8))) == self.format.layout.itemsize

    @cached_property
    def copied(self) -> tuple[str, ...]:
        """The fields that are the file's."""
        put = {field_of(one.to) for one in self.puts}
        return tuple(name for name in self.format.layout.names or () if name not in put)

    def repack(self, data: Bytes) -> Bytes:
        """Blocks of the file as stored blocks: uint8 [n_blocks * stored size]."""
        blocks = np.ascontiguousarray(data).ravel().view(self.source.layout)
        out = np.zeros(len(blocks), self.format.layout)
        for name in self.copied:
            out[name] = blocks[name]
        for put in self.puts:
            name = field_of(put.to)
            numbers = _as_words(put.to, self.source.values(put.numbers, data)).reshape(out[name].shape)
            numbers = numbers.astype(out.dtype[name].base)
            out[name] = out[name] | numbers if isinstance(put.to, Bits) else numbers
        return out.view(np.uint8)


def _as_words(to: Bits | Num | Float | Trits, numbers: NDArray[Any]) -> NDArray[Any]:
    """Numbers [n_blocks, count] as what lies in a field."""
    if isinstance(to, Float):
        assert to.kind == "bf16", f"{to.kind} is not written"
        return np.ascontiguousarray(numbers, np.float32).view(np.uint32) >> 16
    assert not isinstance(to, Trits), "packed memory has none"
    return numbers if isinstance(to, Num) else packed(to, numbers)


def stored_as(source: BlockFormat, layout: list[tuple[Any, ...]], *puts: Put, **parts: Any) -> Stored:
    """A stored form from its fields; `parts` are those of q, scale and offset that it reads in another way."""
    return Stored(source, replace(source, layout=np.dtype(layout), in_file=False, **parts), puts)


def as_in_file(source: BlockFormat) -> Stored:
    """The file's block, but for codes of neighbours in one byte: they get into neighbouring bytes, QUAD by QUAD."""
    scattered = {leaf for leaf in leaves(source.q) if isinstance(leaf, Bits) and leaf.run % QUAD}
    apart = {leaf: replace(leaf, run=QUAD) for leaf in scattered}
    q = _replaced(source.q, apart)
    puts = tuple(Put(to, leaf) for leaf, to in sorted(apart.items(), key=lambda pair: pair[0].field))
    return Stored(source, replace(source, q=q, in_file=False), puts)


def _replaced(tree: Expr, by: dict[Bits, Bits]) -> Expr:
    """The tree with other leaves."""
    if isinstance(tree, Bits):
        return by.get(tree, tree)
    if isinstance(tree, Op):
        return Op(tree.op, _replaced(tree.a, by), _replaced(tree.b, by) if isinstance(tree.b, Expr) else tree.b)
    if isinstance(tree, Join):
        return Join(_replaced(tree.a, by), _replaced(tree.b, by), tree.n)
    if isinstance(tree, Pick):
        return Pick(_replaced(tree.whole, by), tree.numbers)
    return Lookup(_replaced(tree.index, by), tree.table) if isinstance(tree, Lookup) else tree
