"""Weights into blocks, for every format: nearest codes for the best of some scales.

For each group the scales are tried at which the largest weight gets one of several codes near the end of the range;
each is then refined by least squares. Scales that are integers are rounded against the largest of the block, and the
codes are chosen again for what became of the scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.quants.floats import FloatFormat
from llamachat.engine.quants.format import BlockFormat, Bytes
from llamachat.engine.quants.levels import Book, Even, Levels, Listed, Reals, Ternary
from llamachat.engine.quants.trees import Bits, Expr, Float, Lookup, Num, Op, Pick, field_of, leaves
from llamachat.engine.quants.writer import Writer

TERNARY = ("TQ2_0",)
"""Formats of -1, 0 and 1 whose codes could hold another number."""

LARGEST_HALF = 65504.0
_LARGEST = 3e38
_FRACTIONS = np.linspace(0.6, 1.15, 23)
_CHUNK_BLOCKS = 1 << 10


def encode(
    fmt: BlockFormat | FloatFormat,
    values: NDArray[np.floating],
    *,
    importance: NDArray[np.floating] | None = None,
    search: bool = True,
) -> Bytes:
    """Blocks of weights of any shape whose rows are whole blocks: uint8 [n].

    importance: of every column, positive [columns]: what a squared error counts; scales are chosen by it. search: for
    the best scales; else, of codes of 3 bits or more, the largest weight gets the largest one, which is much faster.
    In blocks NaN counts as 0, and what a scale cannot hold saturates.
    """
    if isinstance(fmt, FloatFormat):
        return fmt.encode(values)
    rows = np.ascontiguousarray(values, np.float32).reshape(-1, fmt.block)
    weights = np.ones((1, fmt.block)) if importance is None else np.reshape(importance, (-1, fmt.block))
    encoder, period = _Encoder(fmt, search), len(weights)
    parts = []
    for i in range(0, len(rows), _CHUNK_BLOCKS):
        some = rows[i : i + _CHUNK_BLOCKS]
        parts.append(encoder.blocks(some, weights[np.arange(i, i + len(some)) % period]))
    return np.concatenate(parts) if parts else np.zeros(0, np.uint8)


@dataclass(frozen=True)
class Codes:
    """The kind of codes of a format, and the trees into which they are written, by the names that levels use."""

    levels: Levels
    trees: dict[str, Expr]


def codes_of(fmt: BlockFormat) -> Codes:
    """From the description: a look-up in a small table, entries with signs, entries with a shared bit, or a range."""
    q = fmt.q
    if isinstance(q, Op) and q.op == "*":
        assert isinstance(q.a, Expr)
        return _book(q.a, next(part for part in _parts_of(q.b) if isinstance(part, Lookup | Bits)))
    ternary = next((part for part in _parts_of(q) if isinstance(part, Lookup) and part.table.n == 8), None)
    if ternary is not None:
        shared = next(part for part in _parts_of(q) if isinstance(part, Pick))
        assert isinstance(shared.whole, Op)
        sharing = fmt.block // len(set(shared.numbers))
        trees = {"index": ternary.index, "plus": shared.whole.a}
        return Codes(Ternary(ternary.table.entries.astype(float), sharing), trees)
    if isinstance(q, Lookup):
        return Codes(Listed(tuple(int(one) for one in q.table.entries[:, 0])), {"q": q.index})
    parts = fmt.parts
    if parts.largest == 2 and parts.bias == -1 and isinstance(q, Op) and isinstance(q.a, Op) and q.a.op == "<<":
        return Codes(Listed((-1, 1)), {"q": q.a.a})
    low, high = -127 if parts.signed else parts.bias, parts.largest + parts.bias
    return Codes(Even(low, 1 if fmt.name in TERNARY else high), {"q": q})


def _book(magnitudes: Expr, signs: Expr) -> Codes:
    """Magnitudes are entries of a grid, translated by a table or by 2 n + 1."""
    grid = next(part for part in _parts_of(magnitudes) if isinstance(part, Lookup) and part.table.n > 1)
    numbers = grid.table.entries.astype(np.int64)
    outer = magnitudes
    entries = outer.table.entries[:, 0][numbers] if isinstance(outer, Lookup) else 2 * numbers + 1
    even = isinstance(signs, Lookup)
    return Codes(Book(entries.astype(float), even), {"index": grid.index, "signs": signs})


def _parts_of(tree: Expr | float) -> list[Expr]:
    """All nodes of a tree."""
    if not isinstance(tree, Expr):
        return []
    return [tree, *(part for child in tree.children() for part in _parts_of(child))]


class _Encoder:
    """Writes blocks of one format."""

    def __init__(self, fmt: BlockFormat, search: bool) -> None:
        self.fmt, self.search, self.codes = fmt, search, codes_of(fmt)
        self.levels = self.codes.levels
        self.counts: Reals = np.ones(0)

    def blocks(self, rows: NDArray[np.float32], importance: NDArray[np.floating]) -> Bytes:
        """Of weights [n, block] that count so much."""
        fmt, x = self.fmt, np.nan_to_num(rows.astype(np.float64), nan=0, posinf=_LARGEST, neginf=-_LARGEST)
        x = x.reshape(len(rows), -1, fmt.group)
        self.counts = importance.astype(np.float64).reshape(x.shape)
        writer = Writer(fmt.layout, len(rows))
        scale, offset = self._affine(x) if fmt.offset is not None else (self._scales(x), None)
        step = self._write_factor(writer, fmt.parts.d, fmt.parts.scale, scale, x)
        base = np.zeros_like(step)
        if offset is not None:
            assert fmt.parts.dmin is not None
            base = self._write_factor(writer, fmt.parts.dmin, fmt.parts.minimum, offset, x)
        found, values = self.levels.nearest((x - base) * _inverse(step))
        for name, numbers in found.items():
            writer.put(self.codes.trees[name], numbers.astype(np.int64).reshape(len(rows), -1))
        if fmt.layout.names and "sums" in fmt.layout.names:
            writer.blocks["sums"] = values.reshape(len(rows), -1, 16).sum(axis=2)
        if fmt.layout.names and "s" in fmt.layout.names:
            writer.blocks["s"] = (step * values).sum(axis=(1, 2))
        return writer.blocks.view(np.uint8)

    def _scales(self, x: Reals) -> Reals:
        """The best scale of every group: [n, groups, 1]."""
        low, high = self.levels.extremes
        largest = np.abs(x).max(axis=2, keepdims=True)
        top = np.take_along_axis(x, np.abs(x).argmax(axis=2)[:, :, None], axis=2)
        scale: Reals = np.zeros_like(largest)
        best = np.full(largest.shape, -1.0)
        ends = {low, high} if low != -high and low < 0 else {high}
        for end in sorted(ends):
            start = (top if low != -high else largest) / end
            if not self.search and high > 2:
                scale = start
                break
            for fraction in _FRACTIONS if high > 2 else np.linspace(0.3, 1.3, 21):
                _, values = self.levels.nearest(x * _inverse(start * fraction))
                weighted = values * self.counts
                upper, lower = ((weighted * one).sum(axis=2, keepdims=True) for one in (x, values))
                gain = np.divide(upper**2, lower, out=np.zeros_like(upper), where=(lower > 0) & self._is_allowed(upper))
                better = gain > best
                best = np.where(better, gain, best)
                scale = np.where(better, np.divide(upper, lower, out=np.zeros_like(upper), where=lower > 0), scale)
        return scale

    def _is_allowed(self, upper: Reals) -> NDArray[np.bool_]:
        """Whether a scale may be negative: not where integers of the format cannot be."""
        integers = self.fmt.parts.scale
        if (integers is None and not _small(self.fmt.parts.d)) or (
            integers is not None and limits(integers, self.fmt.layout)[0] < 0
        ):
            return np.ones(upper.shape, bool)
        return upper > 0

    def _affine(self, x: Reals) -> tuple[Reals, Reals]:
        """(scale, offset) of every group, [n, groups, 1] each; the offset is not above 0 where it is an integer's."""
        high = self.levels.extremes[1]
        has_integer = self.fmt.parts.minimum is not None
        least, most = x.min(axis=2, keepdims=True), x.max(axis=2, keepdims=True)
        if has_integer:
            least = np.minimum(least, 0)
        best, scale, offset = np.full(least.shape, np.inf), (most - least) / high, least
        if not self.search:
            return scale, offset
        for fraction in np.linspace(0.5 if high < 8 else 0.75, 1.15, 27):
            s, m = (most - least) * fraction / high, least
            for _ in range(2):
                values = np.clip(np.rint((x - m) * _inverse(s)), 0, high)
                s, m = _line(x, values, self.counts, has_integer)
                error = (self.counts * (s * values + m - x) ** 2).sum(axis=2, keepdims=True)
                better = (error < best) & (s > 0)
                best = np.where(better, error, best)
                scale, offset = np.where(better, s, scale), np.where(better, m, offset)
        return scale, offset

    def _write_factor(self, writer: Writer, real: Expr, integers: Expr | None, wanted: Reals, x: Reals) -> Reals:
        """Writes scales or offsets, [n, groups, 1], and returns what became of them."""
        constant = 1.0
        if isinstance(real, Op):
            factor = real.b
            assert isinstance(factor, int | float)
            real, constant = real.a, float(factor)
        if integers is None:
            return self._write_real(writer, real, wanted / constant, x) * constant
        low, high = limits(integers, self.fmt.layout)
        top = np.take_along_axis(wanted, np.abs(wanted).argmax(axis=1)[:, :, None], axis=1)
        # The largest gets the end of the range that is further from zero.
        d = self._write_real(writer, real, top / (low if low < 0 else high) / constant, x)
        numbers = np.rint(wanted * _inverse(d * constant))
        if low % 2 == 1 and low > 0:
            numbers = 2 * np.rint((wanted * _inverse(d * constant) - 1) / 2) + 1
        numbers = np.clip(numbers, low, high)
        writer.put(integers, numbers[:, :, 0].astype(np.int64))
        return numbers * d * constant

    def _write_real(self, writer: Writer, real: Expr, wanted: Reals, x: Reals) -> Reals:
        """Writes floats of blocks or groups as the format rounds them."""
        if isinstance(real, Float):
            return self._write_small(writer, real, wanted, x)
        wanted = np.clip(wanted, -LARGEST_HALF, LARGEST_HALF)
        is_single = isinstance(real, Num) and self.fmt.layout[real.field].base == np.float32
        rounded = wanted.astype(np.float32 if is_single else np.float16)
        writer.put(real, rounded[:, :, 0])
        return rounded.astype(np.float64)

    def _write_small(self, writer: Writer, real: Float, wanted: Reals, x: Reals) -> Reals:
        """The best of the two neighbours among the 256 or 127 floats of a byte."""
        floats = _bytes_as_floats(self.fmt, real)
        floats = floats[floats * max(self.levels.extremes) <= _LARGEST]
        upper = np.clip(np.searchsorted(floats, wanted), 1, len(floats) - 1)
        errors = []
        for code in (upper - 1, upper):
            _, values = self.levels.nearest(x * _inverse(floats[code]))
            errors.append((self.counts * (floats[code] * values - x) ** 2).sum(axis=2, keepdims=True))
        code = np.where(errors[0] <= errors[1], upper - 1, upper)
        writer.put(real, code[:, :, 0])
        return np.asarray(floats[code])


def _bytes_as_floats(fmt: BlockFormat, leaf: Float) -> Reals:
    """The values of bytes 0, 1 ..., as long as they rise."""
    count = 255 if leaf.kind == "e8m0" else 127
    blocks = np.zeros(count, fmt.layout)
    words = np.arange(count)
    blocks[leaf.field] = words.reshape(-1, *[1] * (blocks[leaf.field].ndim - 1))
    return np.asarray(fmt.values(leaf, blocks.view(np.uint8))[:, 0], np.float64)


def _small(tree: Expr) -> bool:
    return any(isinstance(leaf, Float) for leaf in leaves(tree))


def limits(tree: Expr, layout: np.dtype[np.void]) -> tuple[int, int]:
    """The least and the largest integer of a tree over a block's fields."""

    def read(largest: bool) -> Callable[[Expr, int], int]:
        def leaf_value(leaf: Expr, _: int) -> int:
            if isinstance(leaf, Bits):
                return (1 << leaf.bits) - 1 if largest else 0
            range_ = np.iinfo(layout[field_of(leaf)].base)
            return int(range_.max if largest else range_.min)

        return leaf_value

    found = [int(tree.at(0, read(largest))) for largest in (False, True)]
    return found[0], found[1]


def _inverse(x: Reals) -> Reals:
    return np.divide(1.0, x, out=np.zeros_like(x), where=np.abs(x) > 1e-300)


def _line(x: Reals, values: Reals, counts: Reals, below_zero: bool) -> tuple[Reals, Reals]:
    """Least squares of x = s * values + m over the last axis, weighted; with m <= 0 where that is asked for."""
    weighted = counts * values
    n, sum_v, sum_x, sum_vv, sum_vx = (
        part.sum(axis=2, keepdims=True) for part in (counts, weighted, counts * x, weighted * values, weighted * x)
    )
    determinant = n * sum_vv - sum_v**2
    s = (n * sum_vx - sum_v * sum_x) * _inverse(determinant)
    m = (sum_x - s * sum_v) * _inverse(n)
    if below_zero:
        s, m = np.where(m > 0, sum_vx * _inverse(sum_vv), s), np.minimum(m, 0)
    return s, m
