"""The parts of a block's description: trees over its bytes, made of frozen records.

Two readers fold a tree: `BlockFormat.decode` over NumPy arrays (`of`: all numbers at once), native code over registers
(`at`: number i). The nodes Op, Pick and Join are folded here. All others are leaves: the reader says what they mean.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llamachat.engine.arrays import NDArray

APPLY: dict[str, Callable[[Any, Any], Any]] = {
    "|": operator.or_,
    "&": operator.and_,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}
"""What the operators of `Op` do."""


class Expr:
    """A row of numbers in a block. Operators build a tree."""

    def of(self, read: Callable[[Expr], Any]) -> Any:
        """The tree folded over whole rows: `read(leaf)` returns all numbers of a leaf."""
        return read(self)

    def at(self, i: int, read: Callable[[Expr, int], Any]) -> Any:
        """The tree folded for number i alone: `read(leaf, i)` returns number i of a leaf."""
        return read(self, i)

    def children(self) -> tuple[Expr, ...]:
        """The trees that it is made of."""
        return ()

    def __or__(self, other: Expr | int) -> Op:
        return Op("|", self, other)

    def __and__(self, mask: int) -> Op:
        return Op("&", self, mask)

    def __lshift__(self, n: int) -> Op:
        return Op("<<", self, n)

    def __rshift__(self, n: int) -> Op:
        return Op(">>", self, n)

    def __add__(self, other: Expr | float) -> Op:
        return Op("+", self, other)

    def __sub__(self, other: Expr | float) -> Op:
        return Op("-", self, other)

    def __mul__(self, other: Expr | float) -> Op:
        return Op("*", self, other)

    def __getitem__(self, part: slice | Iterable[int]) -> Pick:
        numbers = range(part.start, part.stop) if isinstance(part, slice) else part
        return Pick(self, tuple(numbers))


@dataclass(frozen=True)
class Op(Expr):
    """Two rows, or a row and a number, combined."""

    op: str
    a: Expr
    b: Expr | float

    def of(self, read: Callable[[Expr], Any]) -> Any:
        """Both sides folded and combined."""
        return APPLY[self.op](self.a.of(read), self.b.of(read) if isinstance(self.b, Expr) else self.b)

    def at(self, i: int, read: Callable[[Expr, int], Any]) -> Any:
        """Both sides' number i combined."""
        return APPLY[self.op](self.a.at(i, read), self.b.at(i, read) if isinstance(self.b, Expr) else self.b)

    def children(self) -> tuple[Expr, ...]:
        """The sides that are trees."""
        return (self.a, self.b) if isinstance(self.b, Expr) else (self.a,)


@dataclass(frozen=True)
class Pick(Expr):
    """Some numbers of a row, in any order and as often as one likes."""

    whole: Expr
    numbers: tuple[int, ...]

    def of(self, read: Callable[[Expr], Any]) -> Any:
        """Those columns of the whole."""
        return self.whole.of(read)[:, self.numbers]

    def at(self, i: int, read: Callable[[Expr, int], Any]) -> Any:
        """The number of the whole that stands at place i."""
        return self.whole.at(self.numbers[i], read)

    def children(self) -> tuple[Expr, ...]:
        """The whole."""
        return (self.whole,)


@dataclass(frozen=True)
class Join(Expr):
    """The first n numbers of `a`, then those of `b`."""

    a: Expr
    b: Expr
    n: int

    def of(self, read: Callable[[Expr], Any]) -> Any:
        """Both, side by side."""
        return np.concatenate([self.a.of(read), self.b.of(read)], axis=1)

    def at(self, i: int, read: Callable[[Expr, int], Any]) -> Any:
        """From the side that holds number i."""
        return self.a.at(i, read) if i < self.n else self.b.at(i - self.n, read)

    def children(self) -> tuple[Expr, ...]:
        """Both."""
        return (self.a, self.b)


@dataclass(frozen=True)
class Num(Expr):
    """A field read as numbers: float16 or float32, integers of 8 or 16 bits."""

    field: str


@dataclass(frozen=True)
class Float(Expr):
    """A field of floats that NumPy lacks: `kind` is one of FLOAT_KINDS."""

    field: str
    kind: str


FLOAT_KINDS = ("bf16", "e8m0", "ue4m3", "e4m3")
"""bf16: the upper half of a float32. e8m0: 2^(byte - 128), half of what the Open Compute Project's MX scale is.
ue4m3: 4 bits of exponent (bias 8), 3 of mantissa, half of NVIDIA's; 0x7f is zero, bit 7 has no meaning otherwise.
e4m3: the same without the exception and without a bit 7.
Both are halved because ggml doubles the fractional values of 4-bit floats to integers."""


@dataclass(frozen=True)
class Half(Expr):
    """The bits of a float16, which stands for a whole row."""

    bits: Expr

    def children(self) -> tuple[Expr, ...]:
        """The integers."""
        return (self.bits,)


@dataclass(frozen=True)
class Bits(Expr):
    """Unsigned integers of `bits` bits in words of 8, 16 or 32; `run` neighbours lie in neighbouring words.

    Number i is in word i // (run * per) * run + i % run, at bit bits * (i // run % per); per = numbers in a word,
    as many as fit in a byte where `in_word` does not say another count.
    """

    field: str
    bits: int
    run: int = 1
    in_word: int = 0

    @property
    def per(self) -> int:
        """Numbers in a word."""
        return self.in_word or 8 // self.bits

    def place(self, i: int) -> tuple[int, int]:
        """(word of the field, lowest bit in the word) of number i."""
        return i // (self.run * self.per) * self.run + i % self.run, self.bits * (i // self.run % self.per)


@dataclass(frozen=True)
class Trits(Expr):
    """Digits 0, 1, 2: `per` in a byte, which is 256/243 of their number in base 3, rounded up; the first is highest.

    Number i is digit i // run % per of byte i // (run * per) * run + i % run. Digit n is (byte * 3^n % 256) * 3 >> 8.
    """

    field: str
    run: int
    per: int

    def place(self, i: int) -> tuple[int, int]:
        """(byte of the field, its digit) of number i."""
        return i // (self.run * self.per) * self.run + i % self.run, i // self.run % self.per


@dataclass(frozen=True)
class Table:
    """Integers [entries, n] under a name, by which tables are compared."""

    name: str
    entries: NDArray[np.int16] = field(compare=False, repr=False)

    @classmethod
    def of(cls, name: str, values: Iterable[int]) -> Table:
        """A table of single numbers."""
        return cls(name, np.array(list(values), np.int16)[:, None])

    @property
    def n(self) -> int:
        """Numbers of an entry."""
        return int(self.entries.shape[1])


@dataclass(frozen=True)
class Lookup(Expr):
    """Entries of a table, one after the other: number i is number i % n of entry index[i // n]."""

    index: Expr
    table: Table

    def children(self) -> tuple[Expr, ...]:
        """The index."""
        return (self.index,)


def bits_at(tree: Expr, i: int) -> tuple[Bits, int] | None:
    """The bits that number i of a tree is, as they are: the leaf and the number there; None where it is no such."""
    if isinstance(tree, Pick):
        return bits_at(tree.whole, tree.numbers[i])
    if isinstance(tree, Join):
        return bits_at(tree.a, i) if i < tree.n else bits_at(tree.b, i - tree.n)
    return (tree, i) if isinstance(tree, Bits) else None


def leaves(tree: Expr) -> Iterator[Expr]:
    """The fields that a tree reads, from left to right."""
    if isinstance(tree, Num | Float | Bits | Trits):
        yield tree
    for child in tree.children():
        yield from leaves(child)


def field_of(leaf: Expr) -> str:
    """The field that a leaf reads."""
    assert isinstance(leaf, Num | Float | Bits | Trits)
    return leaf.field
