"""Matrix products on packed tiles: y[c] = W x[c], one column (decoding) or a register block of columns (prompts).

Order of additions, the same for one column and for many: for every row, the groups of a row from left to right,
total = fma(float(dot), scale * x_scale, total), then total = fma(offset, x_sum, total), where `dot` is an exact
integer; then bias, then either the residual or the gate. A row is computed whole by one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, I8, I16, I32, Ptr, Var, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import ACTIVATIONS, widen_bfloat
from llamachat.engine.backend.cpu.kernels.of_format import FormatKernel
from llamachat.engine.backend.cpu.kernels.panel import GROUP, Record
from llamachat.engine.backend.cpu.kernels.tile import Tile
from llamachat.engine.quants import BLOCK_FORMATS, FORMATS

# Tile rows that one pass over the activations computes; their tiles of a block are neighbours in memory.
UNIT = 2

# How far before its use a tile is asked for when every byte is read once: memory is a quarter faster so, caches little.
AHEAD = 4096


# What is done with a finished row before it is final; `other` is the residual or the gate, laid out like y.
MODES = {"": 0, "residual": 1, **{name: 2 + i for i, name in enumerate(ACTIVATIONS)}}


@dataclass(frozen=True)
class Product(FormatKernel):
    """y[c] = W x[c] for a quantised format, then bias and what `mode` says.

    tiles: W packed; x: quantised panels; y, other: float32 rows of `stride` bytes; bias: float32 [n_rows padded] or 0;
    mode: one of MODES; count: see `Kernel.count`; units: UNIT tile rows each; blocks: blocks in a row;
    direct: rows are unpacked in registers for every panel of columns, which is best for few panels; else once, into
    scratch: `room` bytes for each thread (see `scratch_bytes`).
    """

    columns: int
    direct: bool
    arguments: ClassVar = (
        *("tiles", "x", "y", "bias", "other", "mode", "count", "units", "blocks", "stride", "scratch", "room"),
    )
    reads: ClassVar = ("x", "other")
    writes: ClassVar = ("y", "scratch")
    broadcast: ClassVar = ("x",)
    split: ClassVar = Shares("", ("units",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """The product."""
        tile = Tile(BLOCK_FORMATS[self.format], isa.rows)
        with k.when(k.count() > 0):
            emit_rows = _few_columns if self.direct else _many_columns
            first, last = self.split.share(k)
            with k.loop(first, last) as unit, k.when(k.not_cancelled()):
                emit_rows(self, k, isa, tile, unit)


def _accumulate(
    k: Kernel, isa: Generic, total: Var, dot: Vec, scale: Vec, offset: Vec | None, x_scale: Ptr, x_sum: Ptr
) -> None:
    value = isa.fma(k, dot.to_float(), scale * x_scale.load(F32, 4), total.get())
    if offset is not None:
        value = isa.fma(k, offset, x_sum.load(F32, 4).splat(isa.rows), value)
    total.set(value)


def _few_columns(spec: Product, k: Kernel, isa: Generic, tile: Tile, unit: Vec) -> None:
    """For every panel: the rows, unpacked in registers. Many columns take one tile row after the other."""
    groups, record = tile.format.block // GROUP, Record(spec.columns)
    n_panels = (k.count() + (spec.columns - 1)) // spec.columns
    passes = [range(UNIT)] if 4 * UNIT * spec.columns < isa.registers else [range(r, r + 1) for r in range(UNIT)]
    with k.loop(0, n_panels) as panel:
        totals = [[k.var(k.zeros(lanes(F32, isa.rows))) for _ in range(spec.columns)] for _ in range(UNIT)]
        x = k.pointer("x")[panel * k.args.blocks * (groups * record.bytes)]
        for rows in passes:
            with k.loop(0, k.args.blocks) as block:
                base = k.pointer("tiles")[(unit * k.args.blocks + block) * (UNIT * tile.bytes)]
                if len(passes) == 1:
                    k.prefetch(base[AHEAD], UNIT * tile.bytes)
                else:  # every pass asks for its share of the next unit
                    part = (unit + 1) * UNIT + rows[0]
                    k.prefetch(k.pointer("tiles")[(part * k.args.blocks + block) * tile.bytes], tile.bytes)
                for r in rows:
                    for g in range(groups):
                        at = x[(block * groups + g) * record.bytes]
                        _group_of_columns(k, isa, tile, base[r * tile.bytes], g, at, totals[r])
        _finish(k, isa, unit, panel * spec.columns, totals)


def _group_of_columns(k: Kernel, isa: Generic, tile: Tile, at: Ptr, g: int, record: Ptr, totals: list[Var]) -> None:
    """Adds the products of 32 columns of one tile row with a panel's activations."""
    layout = Record(len(totals))
    for first in range(0, GROUP, tile.group):
        dots = [isa.dot(k, tile.code_bits) for _ in totals]
        for quad in range(first // 4, (first + tile.group) // 4):
            codes = tile.read_codes(k, at, g * GROUP + 4 * quad)
            for c in range(layout.columns):
                four = record[layout.code(quad, c)].load(I32, 4).splat(isa.rows)
                dots[c].add(codes, four)
        group = (g * GROUP + first) // tile.format.group
        scale = tile.read_scale(k, isa, at, group)
        offset = tile.read_offset(k, isa, at, group, scale)
        for c, total in enumerate(totals):
            x_sum = record[layout.sum(c, tile.group, first)]
            _accumulate(k, isa, total, dots[c].value(), scale, offset, record[layout.scale(c)], x_sum)


class _Unpacked:
    """The scratch layout of 32 columns of one tile row: codes as bytes, then scale and offset of each group."""

    def __init__(self, tile: Tile) -> None:
        self.tile, self.groups = tile, GROUP // tile.group
        self.codes_bytes = GROUP * tile.rows
        self.bytes = self.codes_bytes + self.groups * 2 * 4 * tile.rows

    def code(self, quad: int) -> int:
        return quad * 4 * self.tile.rows

    def scale(self, group: int) -> int:
        return self.codes_bytes + group * 2 * 4 * self.tile.rows

    def offset(self, group: int) -> int:
        return self.scale(group) + 4 * self.tile.rows


def scratch_bytes(format_name: str, rows: int, width: int) -> int:
    """What one thread needs to unpack UNIT tile rows of `width` columns."""
    return _Unpacked(Tile(BLOCK_FORMATS[format_name], rows)).bytes * UNIT * (width // GROUP)


def _many_columns(spec: Product, k: Kernel, isa: Generic, tile: Tile, unit: Vec) -> None:
    """Unpacks the rows once, then multiplies them with every panel."""
    scratch = k.pointer("scratch")[k.thread * k.args.room]
    groups = k.args.blocks * (tile.format.block // GROUP)
    has_offset = _unpack(k, isa, tile, unit, scratch)
    record = Record(spec.columns)
    panels = (k.count() + (spec.columns - 1)) // spec.columns
    with k.loop(0, panels) as panel:
        x = k.pointer("x")[panel * groups * record.bytes]
        zero = k.zeros(lanes(F32, isa.rows))
        totals = [[k.var(zero) for _ in range(spec.columns)] for _ in range(UNIT)]
        # Few registers hold the sums of one tile row: with two, compilers store what they read for the second.
        for rows in [range(UNIT)] if isa.registers > 16 else [range(r, r + 1) for r in range(UNIT)]:
            with k.loop(0, groups) as g:
                at = scratch[g * (UNIT * _Unpacked(tile).bytes) + rows[0] * _Unpacked(tile).bytes]
                some = totals[rows[0] : rows[-1] + 1]
                _block_of_columns(k, isa, tile, at, x[g * record.bytes], some, has_offset)
        _finish(k, isa, unit, panel * spec.columns, totals)


def _unpack(k: Kernel, isa: Generic, tile: Tile, unit: Vec, scratch: Ptr) -> bool:
    """Writes codes, scales and offsets of UNIT tile rows to the scratch; returns whether the format has offsets."""
    layout, groups, has_offset = _Unpacked(tile), tile.format.block // GROUP, False
    with k.loop(0, k.args.blocks) as block:
        base = k.pointer("tiles")[(unit * k.args.blocks + block) * (UNIT * tile.bytes)]
        for g in range(groups):
            for r in range(UNIT):
                at, to = base[r * tile.bytes], scratch[((block * groups + g) * UNIT + r) * layout.bytes]
                for quad in range(GROUP // 4):
                    to[layout.code(quad)].store(tile.read_codes(k, at, g * GROUP + 4 * quad), align=16)
                for part in range(layout.groups):
                    group = (g * GROUP + part * tile.group) // tile.format.group
                    scale = tile.read_scale(k, isa, at, group)
                    offset = tile.read_offset(k, isa, at, group, scale)
                    to[layout.scale(part)].store(scale, align=16)
                    if offset is not None:
                        to[layout.offset(part)].store(offset, align=16)
                        has_offset = True
    return has_offset


def _block_of_columns(
    k: Kernel, isa: Generic, tile: Tile, at: Ptr, record: Ptr, totals: list[list[Var]], has_offset: bool
) -> None:
    """Adds the products of 32 columns of neighbouring tile rows with a panel's activations."""
    layout, x, n_rows = _Unpacked(tile), Record(len(totals[0])), len(totals)
    for part in range(layout.groups):
        first = part * tile.group
        dots = [[isa.dot(k, tile.code_bits) for _ in row] for row in totals]
        for quad in range(first // 4, (first + tile.group) // 4):
            codes = [at[r * layout.bytes + layout.code(quad)].load(lanes(I8, 4 * isa.rows), 16) for r in range(n_rows)]
            for c in range(x.columns):
                four = record[x.code(quad, c)].load(I32, 4).splat(isa.rows)
                for r in range(n_rows):
                    dots[r][c].add(codes[r], four)
        for r in range(n_rows):
            scale, offset = (
                at[r * layout.bytes + where(part)].load(lanes(F32, isa.rows), 16)
                for where in (layout.scale, layout.offset)
            )
            for c in range(x.columns):
                sums = record[x.sum(c, tile.group, first)]
                used = offset if has_offset else None
                _accumulate(k, isa, totals[r][c], dots[r][c].value(), scale, used, record[x.scale(c)], sums)


@dataclass(frozen=True)
class FloatProduct(KernelSpec):
    """y[c] = W x[c] for F32, F16 and BF16 weights and float activations; arguments as in `Product`.

    Order of additions: columns of a row from left to right, total = fma(w, x, total).
    """

    format: str
    columns: int
    arguments: ClassVar = Product.arguments
    reads: ClassVar = Product.reads
    writes: ClassVar = Product.writes
    broadcast: ClassVar = Product.broadcast
    split: ClassVar = Product.split

    def emit(self, k: Kernel, isa: Generic) -> None:
        """The product."""
        count, columns = k.count(), self.columns
        first, last = self.split.share(k)
        panels = (count + (columns - 1)) // columns
        with k.loop(first, last) as unit, k.when(k.not_cancelled()), k.loop(0, panels) as panel:
            x = k.pointer("x")[panel * k.args.blocks * (4 * columns)]
            tiles = k.pointer("tiles")[unit * k.args.blocks * (UNIT * self.item * isa.rows)]
            totals = [[k.var(k.zeros(lanes(F32, isa.rows))) for _ in range(columns)] for _ in range(UNIT)]
            with k.loop(0, k.args.blocks) as i:
                if columns == 1:
                    k.prefetch(tiles[i * (UNIT * self.item * isa.rows) + AHEAD], UNIT * self.item * isa.rows)
                for r in range(UNIT):
                    w = read_floats(k, isa, self.format, tiles[(i * UNIT + r) * (self.item * isa.rows)], isa.rows)
                    for c in range(columns):
                        value = x[(i * columns + c) * 4].load(F32, 4).splat(isa.rows)
                        totals[r][c].set(isa.fma(k, w, value, totals[r][c].get()))
            _finish(k, isa, unit, panel * columns, totals)

    @property
    def item(self) -> int:
        """Bytes of a weight."""
        return FORMATS[self.format].layout.itemsize


def read_floats(k: Kernel, isa: Generic, name: str, at: Ptr, n: int) -> Vec:
    """n float32 from n F32, F16 or BF16 values."""
    return READ_FLOATS[name](k, isa, at, n)


def _read_half(k: Kernel, isa: Generic, at: Ptr, n: int) -> Vec:
    return isa.widen_half(k, at.load(lanes(I16, n), 2))


def _read_bfloat(k: Kernel, isa: Generic, at: Ptr, n: int) -> Vec:
    return widen_bfloat(at.load(lanes(I16, n), 2))


READ_FLOATS: dict[str, Callable[[Kernel, Generic, Ptr, int], Vec]] = {
    "F32": lambda k, isa, at, n: at.load(lanes(F32, n), 4),
    "F16": _read_half,
    "BF16": _read_bfloat,
}


def _finish(k: Kernel, isa: Generic, unit: Vec, column: Vec, totals: list[list[Var]]) -> None:
    """Stores UNIT tile rows of every column; then bias and mode, in place."""
    at = unit * (UNIT * 4 * isa.rows)
    for c in range(len(totals[0])):
        for r, row in enumerate(totals):
            k.pointer("y")[(column + c) * k.args.stride + at + 4 * isa.rows * r].store(row[c].get(), align=4)
    plain = (k.args.bias | k.args.mode).equals(0)
    with k.when(plain.equals(0)), k.loop(column, column + len(totals[0])) as token:
        for part in range(UNIT):
            _complete(k, isa, at + 4 * isa.rows * part, token * k.args.stride)


def _complete(k: Kernel, isa: Generic, at: Vec, row: Vec) -> None:
    """One register of y: + bias, then + residual or activation(gate) * y."""
    kind = lanes(F32, isa.rows)
    y = k.pointer("y")[row + at]
    value = k.var(y.load(kind, 4))
    with k.when(k.args.bias > 0):
        value.set(value.get() + k.pointer("bias")[at].load(kind, 4))
    with k.when(k.args.mode.equals(MODES["residual"])):
        value.set(value.get() + k.pointer("other")[row + at].load(kind, 4))
    for name, activation in ACTIVATIONS.items():
        with k.when(k.args.mode.equals(MODES[name])):
            gate = k.pointer("other")[row + at].load(kind, 4)
            value.set(activation(k, isa, gate) * value.get())
    y.store(value.get(), 4)
