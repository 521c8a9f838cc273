"""Ranges of the integers that trees of a stored form may have."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Final

from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.quants.trees import Bits, Expr, Lookup, Num, Op, Trits


def limits_of(tree: Expr, form: BlockFormat) -> tuple[int, int]:
    """The smallest and the largest number that a tree of integers may have, by its fields' sizes."""
    if isinstance(tree, Lookup):
        return int(tree.table.entries.min()), int(tree.table.entries.max())
    if isinstance(tree, Bits):
        return 0, (1 << tree.bits) - 1
    if isinstance(tree, Trits):
        return 0, 2
    if isinstance(tree, Num):
        word = form.layout[tree.field].base
        bits = 8 * word.itemsize
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if word.kind == "i" else (0, (1 << bits) - 1)
    if not isinstance(tree, Op):
        found = [limits_of(child, form) for child in tree.children()]
        return min(low for low, _ in found), max(high for _, high in found)
    a, b = limits_of(tree.a, form), limits_of(tree.b, form) if isinstance(tree.b, Expr) else (int(tree.b), int(tree.b))
    return _combined(tree.op, a, b)


def _combined(op: str, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    if op == "|":  # of numbers that are not negative
        return 0, (1 << max(a[1].bit_length(), b[1].bit_length())) - 1
    ends = [_APPLY[op](x, y) for x in a for y in b]
    return (0 if op == "&" else min(ends)), max(ends)


_APPLY: Final[dict[str, Callable[[int, int], int]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "&": min,
}
