"""The best scale of a group, or the best scale and offset, for codes that are an even range or a table.

Scales are tried at which the largest weight gets one of several values near the end of the range. Of the codes that
each of them gives, the scale (and offset) of the least weighted squared error is known by least squares; the best one
counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llamachat.engine.backend.cpu.jit.values import Vec
from llamachat.engine.backend.cpu.kernels.search import Levels, Numbers, Search


@dataclass(frozen=True)
class Sums:
    """Of codes q: sums of counts * x * q and counts * q * q; with an offset also counts * q."""

    xq: Vec
    qq: Vec
    q: Vec


def fractions(most: float, n: int) -> list[float]:
    """Of the scale at which nothing is clipped: those worth a try for codes up to `most`."""
    low, high = (0.3, 1.3) if most <= 2 else (max(0.5, 1 - 2 / most), 1 + 1 / most)
    return [low + (high - low) * i / (n - 1) for i in range(n)]


def scale_sums(s: Search, numbers: Numbers, levels: Levels, inverse: Vec) -> tuple[Vec, Vec]:
    """(counts x q, counts q q) for the codes nearest to x * inverse."""

    def terms(x: Vec, counts: Vec | None) -> Sequence[tuple[Vec, Vec]]:
        q = levels.value(x * inverse)
        weighted = q if counts is None else q * counts
        return [(weighted, x), (weighted, q)]

    xq, qq = s.sums(numbers, terms, 2)
    return xq, qq


def best_scale(
    s: Search, numbers: Numbers, levels: Levels, ends: Sequence[float], tries: Sequence[float], *, signed: bool
) -> Vec:
    """The scale of the least error. ends: values that the largest weight may get; signed: it may be negative."""
    top = s.largest(numbers)
    inverse = s.inverse(top if signed else s.abs(top))
    gain, scale = s.variables(0, 0)

    def consider(one: Vec) -> None:
        xq, qq = scale_sums(s, numbers, levels, one)
        value = s.quotient(xq * xq, qq)
        if not signed:
            value = (xq > 0.0).select(value, 0.0)
        s.take(value > gain.get(), (gain, value), (scale, s.quotient(xq, qq)))

    with s.candidates([end / fraction for end in ends for fraction in tries]) as factor:
        consider(inverse * factor)
    consider(s.inverse(scale.get()))
    return scale.get()


def affine_sums(s: Search, numbers: Numbers, levels: Levels, inverse: Vec, base: Vec) -> Sums:
    """For the codes nearest to (x - base) * inverse."""
    shift = s.number(0) - base * inverse

    def terms(x: Vec, counts: Vec | None) -> Sequence[tuple[Vec, Vec]]:
        q = levels.value(s.isa.fma(s.k, x, inverse, shift))
        weighted = q if counts is None else q * counts
        return [(weighted, x), (weighted, q), (q, s.number(1) if counts is None else counts)]

    return Sums(*s.sums(numbers, terms, 3))


def moments(s: Search, numbers: Numbers) -> tuple[Vec, Vec]:
    """(counts, counts * x)."""
    if numbers.counts is None:
        (total,) = s.sums(numbers, lambda x, _: [(x, s.number(1))], 1)
        return s.number(numbers.n), total

    def terms(x: Vec, counts: Vec | None) -> Sequence[tuple[Vec, Vec]]:
        assert counts is not None
        return [(counts, s.number(1)), (counts, x)]

    count, total = s.sums(numbers, terms, 2)
    return count, total


def affine_gain(found: Sums, count: Vec, total: Vec, scale: Vec, base: Vec) -> Vec:
    """How much less the squared error of scale * q + base is than that of 0."""
    return (
        scale * (found.xq + found.xq - scale * found.qq)
        + base * (total + total - base * count)
        - (scale * base) * (found.q + found.q)
    )


def _line(s: Search, found: Sums, count: Vec, total: Vec, *, below_zero: bool) -> tuple[Vec, Vec]:
    """(scale, base) by least squares; below_zero: the base is not above 0."""
    determinant = count * found.qq - found.q * found.q
    scale = s.quotient(count * found.xq - found.q * total, determinant)
    base = s.quotient(total - scale * found.q, count)
    if not below_zero:
        return scale, base
    above = base > 0.0
    return above.select(s.quotient(found.xq, found.qq), scale), above.select(s.number(0), base)


def best_line(
    s: Search, numbers: Numbers, levels: Levels, most: float, tries: Sequence[float], *, below_zero: bool
) -> tuple[Vec, Vec]:
    """(scale, base) of the least error of scale * q + base, q from 0 to `most`. below_zero: the base is not above 0."""
    low, high = s.variables(0 if below_zero else 4, -4)

    def compare(_: Vec, x: Vec, counts: Vec | None) -> None:
        x = s.counting(x, counts)
        low.set(x.min(low.get()))
        high.set(x.max(high.get()))

    s.each(numbers, compare)
    count, total = moments(s, numbers)
    least, room = low.get(), high.get() - low.get()
    inverse = (room > 0.0).select(s.inverse(room), s.number(0))
    gain, scale, base = s.variables(0, 0, 0)
    base.set(least)
    gain.set(least * (total + total - least * count))

    def consider(one: Vec, start: Vec) -> None:
        found = affine_sums(s, numbers, levels, one, start)
        a, b = _line(s, found, count, total, below_zero=below_zero)
        value = affine_gain(found, count, total, a, b)
        s.take((value > gain.get()) & (a > 0.0), (gain, value), (scale, a), (base, b))

    with s.candidates([most / fraction for fraction in tries]) as factor:
        consider(inverse * factor, least)
    for _ in range(2):
        consider(s.inverse(scale.get()), base.get())
    return scale.get(), base.get()
