"""Sums for some registers of rows and some columns of x at once: what products with many columns keep in registers.

Codes are unpacked once and read often, so that they may take a form that costs more memory: planes. A plane's sum times
its factor, added up over the planes, is the sum of (code + bias) * x.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from llamachat.engine.backend.cpu.jit.isa.dots import Codes, fits_pairs
from llamachat.engine.backend.cpu.jit.isa.words import PairWords, Words
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import I16, I32, Ptr, Vec, lanes

Sums = list[list[Vec]]
"""By register of rows and column."""


@dataclass(frozen=True)
class Plane:
    """Codes of which each counts `factor` times."""

    codes: Codes
    factor: int = 1


MOST_COLUMNS = 8
"""Columns of x whose sums, of two registers of rows, registers can hold."""


@dataclass(frozen=True)
class Shape:
    """A block: `fours` times four columns of the weights, `columns` of x."""

    fours: int
    columns: int


@dataclass(frozen=True)
class Operands:
    """What is multiplied: `rows` registers of rows, `fours` times four columns.

    codes: (plane, four) -> bytes of each register of rows. x: (four, column) -> four bytes of x as an i32.
    x_sums: of each column, see `Dot`. scales: reads those of each register of rows, from `Generic.block_scales`, if
    there are any. before: what the result is added to; floats where scales are.
    A four is a number, or a value in a loop. codes_at: where the first four of the first plane lies, of each register
    of rows; the next ones follow. x_at: where the first four of the first column of x lies; the next ones follow.
    written_out: fours follow one another without a loop, in this order. Pays where sums have all registers.
    """

    rows: int
    fours: int
    codes: Callable[[int, Vec | int], list[Vec]]
    x: Callable[[Vec | int, int], Vec]
    x_sums: Sequence[Vec]
    scales: Callable[[], Sequence[Vec]] = tuple
    before: Sums | None = None
    codes_at: Sequence[Ptr] = ()
    x_at: Ptr | None = None
    written_out: bool = False


def block_of_dots(isa: Words, k: Kernel, planes: Sequence[Plane], operands: Operands) -> Sums:
    """The sums, times the scales, by an instruction that adds four products to a sum in 32 bits."""
    total = operands.before
    for i, plane in enumerate(planes):
        codes = plane.codes
        start = [isa.sum_pairs(k, x, codes.bias) for x in operands.x_sums] if codes.bias else None

        def add(acc: Vec | None, code: Vec, x: Vec, codes: Codes = codes) -> Vec:
            acc = k.zeros(lanes(I32, isa.rows)) if acc is None else acc
            return isa.signed_dot4(k, acc, code, x) if codes.signed else isa.dot4(k, acc, code, x, codes.bits)

        sums = _accumulated(isa, k, operands, i, range(operands.fours), start, add)
        if plane.factor != 1:
            sums = [[one * plane.factor for one in row] for row in sums]
        total = scaled(isa, k, total, sums, operands.scales())
    assert total is not None
    return total


def scaled(isa: Words, k: Kernel, total: Sums | None, sums: Sums, scales: Sequence[Vec]) -> Sums:
    """total + sums * scales. Floats are integers below 2^24, so that nothing is rounded."""
    if not scales:
        return _added(total, sums)
    if not scales[0].floating:
        return _added(total, [[one * scale for one in row] for row, scale in zip(sums, scales, strict=True)])
    if total is None:
        return [[one.to_float() * scale for one in row] for row, scale in zip(sums, scales, strict=True)]
    return [
        [isa.fma(k, one.to_float(), scale, before) for one, before in zip(row, others, strict=True)]
        for row, scale, others in zip(sums, scales, total, strict=True)
    ]


def block_of_pairs(isa: PairWords, k: Kernel, planes: Sequence[Plane], operands: Operands) -> Sums:
    """The same by sums of pairs in 16 bits, over as many fours as fit: multiplied by scales, they get 32 bits."""
    total = operands.before

    def add(acc: Vec | None, code: Vec, x: Vec) -> Vec:
        pairs = isa.add_pairs(k, code, x)
        return pairs if acc is None else acc + pairs

    for i, plane in enumerate(planes):
        codes, start = plane.codes, None
        whole = fits_pairs(codes, operands.fours)
        most = operands.fours if whole else most_pairs(codes, operands.fours)
        if codes.bias:
            x_pairs = [x.splat(isa.rows).as_(lanes(I16, 2 * isa.rows)) for x in operands.x_sums]
            if whole:
                start = [x * codes.bias for x in x_pairs]
            else:
                biases = [factor * codes.bias for factor in _factors(isa, k, plane, operands)]
                total = _added(total, [[isa.multiply_pairs(k, x, bias) for x in x_pairs] for bias in biases])
        for first in range(0, operands.fours, most):
            pairs = _accumulated(isa, k, operands, i, range(first, first + most), start, add)
            factors = _factors(isa, k, plane, operands)  # read here: before, they would take registers
            wide = [[isa.multiply_pairs(k, x, factor) for x in row] for row, factor in zip(pairs, factors, strict=True)]
            total = _added(total, wide)
    assert total is not None
    return total


def block_of_words(
    isa: Words,
    k: Kernel,
    sizes: tuple[int, int, int],
    codes: Callable[[Vec | int], list[Vec]],
    x: Callable[[Vec | int, int], Vec],
) -> Sums:
    """Sums of products of words; sizes: registers of rows, columns of x, pairs of columns of the weights.

    codes: pair -> words of each register of rows. x: (pair, column) -> two words of x as an i32.
    """
    n_rows, n_columns, pairs = sizes
    none = [k.zeros(I32)] * n_columns
    operands = Operands(n_rows, pairs, lambda _, pair: codes(pair), x, none)

    def add(acc: Vec | None, code: Vec, other: Vec) -> Vec:
        return isa.dot_words(k, k.zeros(lanes(I32, isa.rows)) if acc is None else acc, code, other)

    return _accumulated(isa, k, operands, 0, range(pairs), None, add)


def _accumulated(
    isa: Words, k: Kernel, operands: Operands, plane: int, fours: range, start: list[Vec] | None, add: _Add
) -> Sums:
    """Sums over some fours, from each column's `start` on, in a loop, or written out with sums held in between.

    Else LLVM takes one column after the other, stores what it reads of x for the next register of rows, and adds pairs
    as trees whose parts do not fit the registers.
    """
    rows, columns = range(operands.rows), range(len(operands.x_sums))

    def step(four: Vec | int, before: Callable[[int, int], Vec | None]) -> Sums:
        codes = operands.codes(plane, four)
        found: Sums = [[] for _ in rows]
        for c in columns:
            x = operands.x(four, c).splat(isa.rows)
            for r in rows:
                found[r].append(add(before(r, c), codes[r], x))
        return found

    first = step(fours[0], lambda r, c: None if start is None else start[c])
    if operands.written_out:
        held = _held(isa, k, first)
        for number in fours[1:]:
            held = _held(isa, k, step(number, partial(_at, held)))
        return held
    sums = [[k.var(one) for one in row] for row in first]
    if len(fours) > 1:
        with k.loop(fours[1], fours[-1] + 1) as four:
            for row, values in zip(sums, step(four, lambda r, c: sums[r][c].get()), strict=True):
                for one, value in zip(row, values, strict=True):
                    one.set(value)
    return [[one.get() for one in row] for row in sums]


_Add = Callable[["Vec | None", Vec, Vec], Vec]
"""(the sum before or None, bytes of codes, bytes of x) -> the sum."""


def _at(sums: Sums, row: int, column: int) -> Vec:
    return sums[row][column]


def _held(isa: Words, k: Kernel, sums: Sums) -> Sums:
    """The same, computed here."""
    return [[isa.held(k, one) for one in row] for row in sums]


def _factors(isa: PairWords, k: Kernel, plane: Plane, operands: Operands) -> list[Vec]:
    """By what sums of pairs are multiplied: pairs of i16 for each register of rows."""
    kind = lanes(I16, 2 * isa.rows)
    scales = [scale.as_(kind) for scale in operands.scales()]
    if not scales:
        return [k.constant(kind, plane.factor)] * operands.rows
    return [scale * plane.factor for scale in scales] if plane.factor != 1 else scales


def most_pairs(codes: Codes, fours: int) -> int:
    """Over how many fours sums of pairs fit 16 bits, the bias left apart."""
    unbiased = Codes(codes.bits, signed=codes.signed)
    return next(n for n in range(fours, 0, -1) if fits_pairs(unbiased, n) and fours % n == 0)


def _added(total: Sums | None, more: Sums) -> Sums:
    if total is None:
        return more
    return [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(total, more, strict=True)]
