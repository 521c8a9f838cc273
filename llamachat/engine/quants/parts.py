"""A description taken apart into what a product does with it: w = d * scale * (codes + bias) + dmin * minimum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from llamachat.engine.quants.trees import Bits, Expr, Lookup, Num, Op, Table, Trits


@dataclass(frozen=True)
class Parts:
    """The factors of a format.

    codes: integers 0 .. largest, one for a weight; those of a `Num` are signed bytes, and largest is 127.
    bias: added to every code. d, dmin: floats, one for a block, or one for a group (`floats_per_group`).
    scale, minimum: integers, one for a group; None where it is always 1.
    """

    codes: Expr
    bias: int
    largest: int
    d: Expr
    scale: Expr | None
    dmin: Expr | None
    minimum: Expr | None
    floats_per_group: bool

    @property
    def signed(self) -> bool:
        """Whether codes are signed bytes."""
        return isinstance(self.codes, Num)


def split(q: Expr, scale: Expr, offset: Expr | None, read: Callable[[Expr], Any]) -> Parts:
    """The parts of w = scale * q + offset; read: leaves of some block."""
    codes, bias = _codes(q)
    d, factor = _factors(scale, read)
    dmin, minimum = (None, None) if offset is None else _factors(offset, read)
    assert d is not None, "a scale has a float"
    assert offset is None or dmin is not None, "an offset has a float"
    per_group = any(part is not None and part.of(read).shape[1] > 1 for part in (d, dmin))
    return Parts(codes, bias, largest(codes), d, factor, dmin, minimum, per_group)


def _codes(q: Expr) -> tuple[Expr, int]:
    """q as numbers that are not negative and what is to be added to them; signed bytes as they are."""
    if isinstance(q, Op) and q.op in "+-" and isinstance(q.b, int):
        codes, bias = _codes(q.a)
        return codes, bias + (q.b if q.op == "+" else -q.b)
    if isinstance(q, Lookup) and (least := int(q.table.entries.min())) < 0:
        table = Table(f"{q.table.name} + {-least}", q.table.entries - least)
        return Lookup(q.index, table), least
    return q, 0


def largest(codes: Expr) -> int:
    """A number that no code exceeds."""

    def most(leaf: Expr, _: int) -> int:
        if isinstance(leaf, Lookup):
            return int(leaf.table.entries.max())
        if isinstance(leaf, Bits):
            return (1 << leaf.bits) - 1
        return 2 if isinstance(leaf, Trits) else 127

    return int(codes.at(0, most))


def _factors(tree: Expr, read: Callable[[Expr], Any]) -> tuple[Expr | None, Expr | None]:
    """(the product of its floats and constants, the product of its integers)."""
    floats: list[Expr] = []
    integers: list[Expr] = []
    constant: float = 1
    for factor in _flat(tree):
        if not isinstance(factor, Expr):
            constant *= factor
        elif factor.of(read).dtype.kind == "f":
            floats.append(factor)
        else:
            integers.append(factor)
    product = _product(floats)
    return product * constant if product is not None and constant != 1 else product, _product(integers)


def _flat(tree: Expr | float) -> list[Expr | float]:
    if isinstance(tree, Op) and tree.op == "*":
        return _flat(tree.a) + _flat(tree.b)
    return [tree]


def _product(factors: list[Expr]) -> Expr | None:
    return reduce(lambda a, b: a * b, factors) if factors else None
