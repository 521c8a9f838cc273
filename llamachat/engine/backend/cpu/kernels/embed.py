"""Embeddings: rows of a matrix that stays as it is in the file, decoded to float32; and those of positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, I32, Ptr, lanes
from llamachat.engine.backend.cpu.kernels.float_product import read_floats
from llamachat.engine.backend.cpu.kernels.of_format import FormatKernel
from llamachat.engine.backend.cpu.kernels.reader import WIDTH, RowReader
from llamachat.engine.quants import FORMATS
from llamachat.engine.quants.format import BlockFormat


@dataclass(frozen=True)
class Embed(FormatKernel):
    """y[t] = factor * table[tokens[t]]; table: rows of `row_bytes` as in the file; y: rows of `stride`;
    factor: float32.
    """

    arguments: ClassVar = ("table", "y", "row_bytes", "blocks", "stride", "factor")
    reals: ClassVar = ("factor",)
    writes: ClassVar = ("y",)
    split: ClassVar = Shares("n_tokens")

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row."""
        fmt, factor = FORMATS[self.format], k.real("factor")
        first, last = self.split.share(k)
        with k.loop(first, last) as t:
            token = Ptr(k.step.tokens)[t * 4].load(I32, 4).signed(t.type)
            row, y = k.pointer("table")[token * k.args.row_bytes], k.pointer("y")[t * k.args.stride]
            with k.loop(0, k.args.blocks) as block:
                at, to = row[block * fmt.layout.itemsize], y[block * (4 * fmt.block)]
                if isinstance(fmt, BlockFormat):
                    for column in range(0, fmt.block, WIDTH):
                        to[4 * column].store(RowReader(k, isa, fmt, at).weights(column) * factor.splat(WIDTH), 4)
                else:
                    to.store(read_floats(k, isa, self.format, at, 1) * factor, 4)


@dataclass(frozen=True)
class AddPositions(KernelSpec):
    """y[t] = x[t] + table[position of t]; x, y: rows of `stride` bytes, of which `width` values count; y may be x.

    table: float32 rows of `width` values, at least one for every position. lanes divides the width.
    """

    lanes: int
    arguments: ClassVar = ("x", "y", "table", "width", "stride")
    reads: ClassVar = ("x",)
    writes: ClassVar = ("y",)
    split: ClassVar = Shares("n_tokens")

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row."""
        first, last = self.split.share(k)
        kind = lanes(F32, self.lanes)
        with k.loop(first, last) as t:
            at, row = t * k.args.stride, k.pointer("table")[k.row(t).position * (k.args.width * 4)]
            with k.loop(0, k.args.width * 4, 4 * self.lanes) as column:
                value = k.pointer("x")[at + column].load(kind, 4) + row[column].load(kind, 4)
                k.pointer("y")[at + column].store(value, 4)
