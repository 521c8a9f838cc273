"""Products with float weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I16, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import widen_bfloat
from llamachat.engine.backend.cpu.kernels.product import Product
from llamachat.engine.backend.cpu.kernels.rows import AHEAD, ROWS, finish, parts_of
from llamachat.engine.quants import FORMATS


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
        columns, parts, row = self.columns, parts_of(isa), ROWS * self.item
        first, last = self.split.share(k)
        panels = (k.count() + (columns - 1)) // columns
        at_once = parts if parts * columns < isa.registers - columns else 1
        with k.loop(first, last) as unit, k.when(k.not_cancelled()), k.loop(0, panels) as panel:
            x = k.pointer("x")[panel * k.args.blocks * (4 * columns)]
            tiles = k.pointer("tiles")[unit * k.args.blocks * row]
            totals: list[list[Vec]] = []
            for part in range(0, parts, at_once):
                sums = [[k.var(k.zeros(lanes(F32, isa.rows))) for _ in range(columns)] for _ in range(at_once)]
                with k.loop(0, k.args.blocks) as i:
                    if columns == 1:
                        k.prefetch(tiles[i * row + AHEAD], row)
                    for r, some in enumerate(sums):
                        at = tiles[i * row + (part + r) * (self.item * isa.rows)]
                        w = read_floats(k, isa, self.format, at, isa.rows)
                        for c, one in enumerate(some):
                            value = x[(i * columns + c) * 4].load(F32, 4).splat(isa.rows)
                            one.set(isa.fma(k, w, value, one.get()))
                totals += [[one.get() for one in some] for some in sums]
            finish(k, isa, unit, panel * columns, totals)

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
