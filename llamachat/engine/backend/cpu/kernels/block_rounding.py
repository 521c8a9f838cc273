"""What rounding a block of 32 numbers asks of them, which lie in two registers."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

from llamachat.engine.backend.cpu.jit.values import I32, Vec


def extremes(x: list[Vec]) -> tuple[Vec, Vec]:
    """The smallest and the largest number."""
    low, high = (getattr(x[0], name)(x[1]) for name in ("min", "max"))
    return low.reduce(lambda a, b: a.min(b)), high.reduce(lambda a, b: a.max(b))


def zero_or_nan(x: list[Vec]) -> Vec:
    """0, or NaN where one of the numbers is: what compares them may lose it."""
    numbers = [one.equals(one).select(one.like(0.0), one) for one in x]
    return (numbers[0] + numbers[1]).reduce(lambda a, b: a + b)


def signed_largest(low: Vec, high: Vec, zero: Vec) -> Vec:
    """The number of the largest magnitude, with its sign."""
    return ((zero - low) > high).select(low, high)


def nearest_entry(x: Vec, table: tuple[int, ...]) -> Vec:
    """The number of the entry that is nearest, of a rising table."""
    beyond = [(x > (low + high) / 2).unsigned(I32) for low, high in pairwise(table)]
    return reduce(lambda a, b: a + b, beyond)


def total(x: list[Vec]) -> Vec:
    """The sum, in an order that no instruction set changes."""
    return (x[0] + x[1]).reduce(lambda a, b: a + b)
