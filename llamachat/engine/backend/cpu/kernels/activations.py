"""Activations made ready for products: quantised or copied into panels, and rows taken from a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, I8, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import nearest
from llamachat.engine.backend.cpu.kernels.panel import GROUP, Record


@dataclass(frozen=True)
class Quantize(KernelSpec):
    """Rows of float32 to panels of signed bytes: scale = max|x| / 127 of 32 neighbours, code = round(x / scale).

    x: rows of `stride` bytes, `width` a multiple of 32; panels: records of `columns` tokens.
    """

    columns: int
    arguments: ClassVar = ("x", "panels", "count", "width", "stride")
    reads: ClassVar = ("x",)
    writes: ClassVar = ("panels",)

    @property
    def split(self) -> Shares:
        """One column: tokens. Several: records, because threads that write to one cache line wait."""
        return Shares() if self.columns == 1 else Shares("count", ("width",), panel=self.columns, per=GROUP)

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Record by record."""
        record, n_groups = Record(self.columns), k.args.width // GROUP
        first, last = self.split.share(k)
        if self.columns == 1:
            with k.loop(first, last) as token, k.loop(0, n_groups) as group:
                self._quantize(k, isa, token, group, k.pointer("panels")[(token * n_groups + group) * record.bytes], 0)
            return
        with k.loop(first, last) as item:
            token, at = item // n_groups * self.columns, k.pointer("panels")[item * record.bytes]
            with k.loop(token, (token + self.columns).min(k.count())) as one:
                self._quantize(k, isa, one, item % n_groups, at, one - token)

    def _quantize(self, k: Kernel, isa: Generic, token: Vec, group: Vec, at: Ptr, column: Vec | int) -> None:
        x = k.pointer("x")[token * k.args.stride + group * (4 * GROUP)]
        quantize_group(k, isa, x, at, Record(self.columns), column)


def quantize_group(k: Kernel, isa: Generic, x: Ptr, at: Ptr, record: Record, column: Vec | int = 0) -> None:
    """32 float32 to a column of the record at an address; one that is not finite makes the scale NaN."""
    n = isa.rows
    codes, scale = rounded(k, isa, x)
    for i, code in enumerate(codes):
        quads, first = code.cut(I8).as_(lanes(I32, n // 4)), i * n // 4
        if record.by_column:
            at[record.code(first, column)].store(quads, 4)
            continue
        for quad in range(n // 4):
            at[record.code(first + quad, column)].store(quads.lane(quad), 4)
    for where, value in zip(_SUMS, _sums(k, isa, codes, scale), strict=True):
        at[where(record, column)].store(value, 4)
    at[record.scale(column)].store(scale, 4)


_SUMS: tuple[Callable[[Record, Vec | int], Vec | int], ...] = (
    lambda record, column: record.sum(column),
    lambda record, column: record.sums(column, GROUP, 0),
    lambda record, column: record.sums(column, GROUP // 2, 0),
    lambda record, column: record.sums(column, GROUP // 2, GROUP // 2),
    lambda record, column: record.halves(column),
)


def _sums(k: Kernel, isa: Generic, codes: list[Vec], scale: Vec) -> list[Vec]:
    """What a record says of its codes' sums, in the order of `_SUMS`."""
    half = len(codes) // 2
    fours = []  # of each half: the sums of columns 0, 1, 2, 3 of all fours
    for registers in (codes[:half], codes[half:]):
        total = registers[0]
        for one in registers[1:]:
            total = total + one
        while total.count > 4:
            n = total.count // 2
            total = total.shuffle(range(n)) + total.shuffle(range(n, 2 * n))
        fours.append([total.lane(i) for i in range(4)])
    pairs = [(a + b, c + d) for a, b, c, d in fours]
    (low, high), (low2, high2) = pairs
    both = (low + low2, high + high2)
    whole = (low + high, low2 + high2)
    joined = [_joined(*pair) for pair in (both, *pairs, whole)]
    return [(both[0] + both[1]).to_float() * scale, *joined]


def _joined(low: Vec, high: Vec) -> Vec:
    """Two integers of 16 bits in one i32."""
    return (low & 0xFFFF) | (high << 16)


def rounded(k: Kernel, isa: Generic, x: Ptr) -> tuple[list[Vec], Vec]:
    """32 float32 as registers of i32 codes from -127 to 127, and their scale: NaN where one is not finite."""
    n = isa.rows
    values = [x[4 * i].load(lanes(F32, n), 4) for i in range(0, GROUP, n)]
    sizes = [(v.as_(lanes(I32, n)) & 0x7FFFFFFF).as_(v.type) for v in values]
    largest = sizes[0]
    for size in sizes[1:]:
        largest = largest.max(size)
    top = largest.reduce(lambda a, b: a.max(b))
    zero_or_nan = _sum([v - v for v in values])
    inverse = (top > 0.0).select(top.like(127.0) / top, 0.0)
    return [nearest(v * inverse.splat(n)) for v in values], top * (1.0 / 127.0) + zero_or_nan


def _sum(codes: list[Vec]) -> Vec:
    total = codes[0]
    for code in codes[1:]:
        total = total + code
    return total.reduce(lambda a, b: a + b)


@dataclass(frozen=True)
class CopyPanels(KernelSpec):
    """Rows of float32 to float panels [k][c]; x: rows of `stride` bytes with `width` values."""

    columns: int
    arguments: ClassVar = ("x", "panels", "count", "width", "stride")
    reads: ClassVar = ("x",)
    writes: ClassVar = ("panels",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Token by token."""
        first, last = self.split.share(k)
        with k.loop(first, last) as token:
            x = k.pointer("x")[token * k.args.stride]
            panel = token // self.columns * (4 * self.columns) * k.args.width + token % self.columns * 4
            with k.loop(0, k.args.width) as i:
                value = x[i * 4].load(F32, 4)
                k.pointer("panels")[panel + i * (4 * self.columns)].store(value, 4)


@dataclass(frozen=True)
class TakeRows(KernelSpec):
    """The last `count` of `total` rows, moved to the front of another buffer; rows of `stride` bytes."""

    arguments: ClassVar = ("x", "y", "stride", "count", "total")
    reads: ClassVar = ("x",)
    writes: ClassVar = ("y",)
    broadcast: ClassVar = ("x",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row; a thread reads rows that others made, because they move to the front."""
        skipped = k.count("total") - k.count()
        first, last = self.split.share(k)
        with k.loop(first, last) as row, k.loop(0, k.args.stride, 4 * isa.rows) as at:
            value = k.pointer("x")[(row + skipped) * k.args.stride + at].load(lanes(F32, isa.rows), 4)
            k.pointer("y")[row * k.args.stride + at].store(value, 4)
