"""Numbers written into blocks through the trees that read them: the inverse of `reader.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.quants.trees import Bits, Expr, Float, Half, Join, Lookup, Num, Op, Pick, Trits

_UNDO: dict[str, Callable[[NDArray[Any], int], NDArray[Any]]] = {
    "+": lambda numbers, n: numbers - n,
    "-": lambda numbers, n: numbers + n,
    "<<": lambda numbers, n: numbers >> n,
    ">>": lambda numbers, n: numbers << n,
    "|": lambda numbers, n: numbers & ~n,
    "&": lambda numbers, n: numbers & n,
    "*": lambda numbers, n: numbers // n,
}


class Writer:
    """Blocks that are all zero, uint8 of a layout, and get numbers tree by tree; bits of one field come together."""

    def __init__(self, layout: np.dtype[np.void], n_blocks: int) -> None:
        self.blocks = np.zeros(n_blocks, layout)

    def put(self, tree: Expr, numbers: NDArray[Any]) -> None:
        """Writes the numbers [n_blocks, count] that the tree is to read.

        Of two trees combined by | each gets the bits that it can hold. Of a look-up the numbers are its indices. What a
        tree of floats cannot hold is rounded.
        """
        if isinstance(tree, Op):
            self._put_op(tree, numbers)
        elif isinstance(tree, Join):
            self.put(tree.a, numbers[:, : tree.n])
            self.put(tree.b, numbers[:, tree.n :])
        elif isinstance(tree, Pick):
            whole = np.zeros((len(numbers), self._count(tree.whole)), numbers.dtype)
            whole[:, tree.numbers] = numbers
            self.put(tree.whole, whole)
        elif isinstance(tree, Lookup):
            self.put(tree.index, numbers)
        elif isinstance(tree, Half):
            self.put(tree.bits, numbers.astype(np.float16).view(np.uint16).astype(np.int64))
        else:
            self._put_leaf(tree, numbers)

    def _put_op(self, tree: Op, numbers: NDArray[Any]) -> None:
        if not isinstance(tree.b, Expr):
            assert isinstance(tree.b, int), f"{tree} cannot be written"
            self.put(tree.a, _UNDO[tree.op](numbers, tree.b))
            return
        assert tree.op == "|", f"{tree} cannot be written"
        self.put(tree.a, numbers)
        self.put(tree.b, numbers)

    def _put_leaf(self, leaf: Expr, numbers: NDArray[Any]) -> None:
        assert isinstance(leaf, Num | Float | Bits | Trits)
        kind = self.blocks.dtype[leaf.field]
        if isinstance(leaf, Trits):
            numbers = _trits(leaf, numbers)
        elif isinstance(leaf, Bits):
            numbers = packed(leaf, numbers)
        elif isinstance(leaf, Num) and kind.base.kind == "u":
            numbers = numbers & ((1 << 8 * kind.base.itemsize) - 1)
        words = numbers.reshape(self.blocks[leaf.field].shape).astype(kind.base)
        is_shared = isinstance(leaf, Bits) or kind.base.kind == "u"
        self.blocks[leaf.field] = self.blocks[leaf.field] | words if is_shared else words

    def _count(self, tree: Expr) -> int:
        """How many numbers a tree has."""
        if isinstance(tree, Bits | Trits):
            return int(np.prod(self.blocks.dtype[tree.field].shape, dtype=int)) * tree.per
        if isinstance(tree, Num):
            return int(np.prod(self.blocks.dtype[tree.field].shape, dtype=int))
        if isinstance(tree, Pick):
            return len(tree.numbers)
        assert isinstance(tree, Op), tree
        return self._count(tree.a)


def packed(to: Bits, numbers: NDArray[Any]) -> NDArray[Any]:
    """The lowest bits of numbers [n_blocks, count] in words, in an arrangement."""
    digits = numbers.astype(np.int64).reshape(len(numbers), -1, to.per, to.run) & ((1 << to.bits) - 1)
    shifts = (np.arange(to.per) * to.bits).reshape(1, 1, -1, 1)
    words: NDArray[Any] = np.bitwise_or.reduce(digits << shifts, axis=2)
    return words


def _trits(to: Trits, numbers: NDArray[Any]) -> NDArray[Any]:
    """Digits as 256/243 of their number in base 3, rounded up."""
    powers = (3 ** np.arange(4, 4 - to.per, -1)).reshape(1, 1, -1, 1)
    values = (numbers.reshape(len(numbers), -1, to.per, to.run) * powers).sum(axis=2)
    found: NDArray[Any] = (values * 256 + 242) // 243
    return found
