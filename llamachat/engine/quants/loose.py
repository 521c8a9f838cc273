"""A block's numbers each in a field of its own, as encoders find them, and how they get into the block of the file.

The second is the file's description read backwards: of every tree that reads the file's block, puts that write it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.quants.stored import Put
from llamachat.engine.quants.trees import Bits, Expr, Float, Join, Lookup, Num, Op, Pick, Trits

_WORDS = ("sums", "index")
_UNDO = {"+": "-", "-": "+", "<<": ">>", ">>": "<<"}


@dataclass(frozen=True)
class Loose:
    """What is written of a format.

    trees: by the names of fields, of the integers that a block has in them, the tree of the file that reads them, and
    their number. reals: of the floats of a block or of a group, the tree and the number.
    """

    fmt: BlockFormat
    trees: tuple[tuple[str, Expr, int], ...]
    reals: tuple[tuple[str, Expr, int], ...]

    @cached_property
    def layout(self) -> np.dtype[np.void]:
        """Integers are signed bytes, or words where bytes do not do; floats are float32."""
        integers = [(name, "<i2" if name in _WORDS else "i1", count) for name, _, count in self.trees]
        return np.dtype([*((name, "<f4", count) for name, _, count in self.reals), *integers])

    @cached_property
    def block(self) -> BlockFormat:
        """The block of fields, for who reads it."""
        fmt = self.fmt
        some = Num(self.trees[0][0])[(0,) * fmt.block]
        return BlockFormat(fmt.name, self.layout, fmt.block, fmt.group, some, Num("d"), in_file=False)

    @cached_property
    def puts(self) -> tuple[Put, ...]:
        """The fields of the file's block, made of these."""
        writing = [*self.reals, *self.trees]
        return tuple(put for name, tree, n in writing for put in self._undone(tree, Num(name), n))

    def offset(self, name: str) -> int:
        """Where a field lies."""
        fields = self.layout.fields
        assert fields is not None
        return int(fields[name][1])

    def _undone(self, tree: Expr, numbers: Expr, n: int) -> list[Put]:
        """What writes n numbers so that the tree reads them; of a look-up they are its indices."""
        if isinstance(tree, Op) and isinstance(tree.b, Expr):
            assert tree.op == "|", f"{tree} cannot be written"
            return [*self._undone(tree.a, numbers, n), *self._undone(tree.b, numbers, n)]
        if isinstance(tree, Op):
            return self._undone(tree.a, Op(_UNDO[tree.op], numbers, tree.b), n)
        if isinstance(tree, Join):
            ends = self._undone(tree.b, numbers[tree.n : n], n - tree.n)
            return [*self._undone(tree.a, numbers[0 : tree.n], tree.n), *ends]
        if isinstance(tree, Pick):
            return self._picked(tree, numbers, n)
        if isinstance(tree, Lookup):
            return self._undone(tree.index, numbers, n)
        if isinstance(tree, Float):
            return [Put(Num(tree.field), numbers)]
        assert isinstance(tree, Num | Bits | Trits), f"{tree} cannot be written"
        return [Put(tree, numbers)]

    def _picked(self, tree: Pick, numbers: Expr, n: int) -> list[Put]:
        """The whole, zero where nothing is picked."""
        count = self._count(tree.whole)
        if tree.numbers == tuple(range(count)):
            return self._undone(tree.whole, numbers, n)
        order = [tree.numbers.index(i) if i in tree.numbers else n for i in range(count)]
        return self._undone(tree.whole, Join(numbers, numbers & 0, n)[order], count)

    def _count(self, tree: Expr) -> int:
        """How many numbers a tree has."""
        return int(self.fmt.values(tree, np.zeros(self.fmt.layout.itemsize, np.uint8)).shape[1])


def loose(fmt: BlockFormat, codes: dict[str, Expr], **sizes: Any) -> Loose:
    """What encoders write of a format: codes by their names, d, dmin, and integers of groups where it has them.

    sizes: how many there are of the codes that are not one for a weight.
    """
    parts, groups = fmt.parts, fmt.block // fmt.group
    reals: list[tuple[str, Expr, int]] = []
    trees = [(name, tree, int(sizes.get(name, fmt.block))) for name, tree in codes.items()]
    for name, real, integers, many in (
        ("d", parts.d, parts.scale, "scale"),
        ("dmin", parts.dmin, parts.minimum, "minimum"),
    ):
        if real is None:
            continue
        bare = real.a if isinstance(real, Op) else real
        count = groups if parts.floats_per_group else 1
        if isinstance(bare, Float):
            trees.append((name, bare, count))
        else:
            reals.append((name, bare, count))
        if integers is not None:
            trees.append((many, integers, groups))
    names = fmt.layout.names or ()
    if "sums" in names:
        trees.append(("sums", Num("sums"), fmt.block // 16))
    if "s" in names:
        reals.append(("s", Num("s"), 1))
    return Loose(fmt, tuple(trees), tuple(reals))
