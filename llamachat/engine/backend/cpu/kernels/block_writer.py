"""Numbers into the bytes of a block through the trees that read them: the inverse of `reader.py`, written out.

`engine/quants/writer.py: Writer` does the same in NumPy. Which bits of which number go to which word is known when the
kernel is written, so that nothing is decided while it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import I8, I16, I32, Ptr, Vec
from llamachat.engine.quants.trees import Bits, Expr, Half, Join, Lookup, Num, Op, Pick

_WORDS = {1: I8, 2: I16, 4: I32}
_UNDO: dict[str, Callable[[Vec, int], Vec]] = {
    "+": lambda numbers, n: numbers - n,
    "-": lambda numbers, n: numbers + n,
    "<<": lambda numbers, n: numbers.shift_signed(n),
    ">>": lambda numbers, n: numbers << n,
    "|": lambda numbers, n: numbers & ~n,
    "&": lambda numbers, n: numbers & n,
}

Numbered = Callable[[], Vec]
"""A number of a row, loaded where it is used: i32, or float32 for a tree of floats."""


class BlockWriter:
    """One block. `put` collects what goes where, `end` writes every word that got something, once."""

    def __init__(self, k: Kernel, isa: Generic, layout: np.dtype[np.void], out: Ptr) -> None:
        self._k, self._isa, self._layout, self._out = k, isa, layout, out
        self._words: dict[tuple[str, int], list[Callable[[], Vec]]] = {}

    def put(self, tree: Expr, numbers: Iterable[tuple[int, Numbered]]) -> None:
        """The numbers that the tree is to read, each with its place in the row.

        Of two trees combined by | each gets the bits that it can hold; of a look-up the numbers are its indices.
        """
        if isinstance(tree, Op):
            self._put_op(tree, numbers)
        elif isinstance(tree, Join):
            rows = list(numbers)
            self.put(tree.a, [(i, number) for i, number in rows if i < tree.n])
            self.put(tree.b, [(i - tree.n, number) for i, number in rows if i >= tree.n])
        elif isinstance(tree, Pick):
            self.put(tree.whole, [(tree.numbers[i], number) for i, number in numbers])
        elif isinstance(tree, Lookup):
            self.put(tree.index, numbers)
        elif isinstance(tree, Half):
            self.put(tree.bits, [(i, self._half(number)) for i, number in numbers])
        else:
            self._put_leaf(tree, numbers)

    def end(self) -> None:
        """Writes the words."""
        fields = self._layout.fields
        assert fields is not None
        for (name, word), parts in self._words.items():
            kind, offset = fields[name][:2]
            size = kind.base.itemsize
            value = parts[0]()
            for part in parts[1:]:
                value = value | part()
            self._out[offset + word * size].store(value if size == 4 else value.cut(_WORDS[size]))

    def _put_op(self, tree: Op, numbers: Iterable[tuple[int, Numbered]]) -> None:
        if isinstance(tree.b, Expr):
            assert tree.op == "|", f"{tree} cannot be written"
            rows = list(numbers)
            self.put(tree.a, rows)
            self.put(tree.b, rows)
        elif tree.op == "*":
            assert tree.b == -1, f"{tree} cannot be written"
            self.put(tree.a, [(i, _negative(number)) for i, number in numbers])
        else:
            undo, n = _UNDO[tree.op], int(tree.b)
            self.put(tree.a, [(i, _changed(number, undo, n)) for i, number in numbers])

    def _put_leaf(self, leaf: Expr, numbers: Iterable[tuple[int, Numbered]]) -> None:
        assert isinstance(leaf, Num | Bits), f"{leaf} cannot be written"
        is_half = self._layout[leaf.field].base.kind == "f"
        for i, number in numbers:
            if isinstance(leaf, Bits):
                word, shift = leaf.place(i)
                part = _bits(number, (1 << leaf.bits) - 1, shift)
            else:
                word, part = i, self._half(number) if is_half else number
            self._words.setdefault((leaf.field, word), []).append(part)

    def _half(self, number: Numbered) -> Numbered:
        return lambda: self._isa.narrow_half(self._k, number()).unsigned(I32)


def numbers_at(memory: Ptr, count: int, kind: Any = I32) -> list[tuple[int, Numbered]]:
    """`count` numbers of 4 bytes that lie in memory, as `put` takes them."""
    return [(i, lambda at=memory[4 * i]: at.load(kind, 4)) for i in range(count)]  # type: ignore[misc]


def _negative(number: Numbered) -> Numbered:
    return lambda: 0 - number()


def _changed(number: Numbered, undo: Callable[[Vec, int], Vec], n: int) -> Numbered:
    return lambda: undo(number(), n)


def _bits(number: Numbered, mask: int, shift: int) -> Numbered:
    def part() -> Vec:
        low = number() & mask
        return low << shift if shift else low

    return part
