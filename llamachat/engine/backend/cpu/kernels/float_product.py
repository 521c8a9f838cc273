"""Products with float weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I16, Ptr, Var, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import widen_bfloat
from llamachat.engine.backend.cpu.kernels.product import Product
from llamachat.engine.backend.cpu.kernels.rows import ROWS, Task, complete, parts_of, whole_task
from llamachat.engine.quants import FORMATS


@dataclass(frozen=True)
class FloatProduct(KernelSpec):
    """y[c] = W x[c] for F32, F16 and BF16 weights and float activations; arguments as in `Product`.

    Order of additions: columns of a row from left to right, total = fma(w, x, total).
    """

    format: str
    columns: int
    arguments: ClassVar = Product.arguments
    reals: ClassVar = Product.reals
    reads: ClassVar = Product.reads
    writes: ClassVar = Product.writes
    broadcast: ClassVar = Product.broadcast
    split: ClassVar = Product.split

    def emit(self, k: Kernel, isa: Generic) -> None:
        """The product."""
        first, last = self.split.share(k)
        with k.loop(first, last) as unit, k.when(k.not_cancelled()):
            FloatRows(self.format, self.columns).emit(k, isa, whole_task(k, self.columns), unit)


@dataclass(frozen=True)
class FloatRows:
    """The product of one unit of rows with every panel."""

    format: str
    columns: int

    def emit(self, k: Kernel, isa: Generic, task: Task, unit: Vec) -> None:
        """Panel by panel."""
        columns, parts, row = self.columns, parts_of(isa), ROWS * self.item
        # Sums, weights and a value of x stay in registers, and each value of x is read once for several of them.
        at_once = next(n for n in (8, 4, 2, 1) if parts % n == 0 and n * (columns + 1) < isa.registers)
        with k.loop(0, task.panels) as panel:
            x = k.pointer("x")[task.panel(panel) * k.args.blocks * (4 * columns)]
            tiles = task.tiles[unit * k.args.blocks * row]
            y = [k.pointer("y")[task.row(panel * columns + c) + unit * (4 * ROWS)] for c in range(columns)]
            with k.loop(0, parts, at_once) as part:
                sums = [[k.var(k.zeros(lanes(F32, isa.rows))) for _ in range(columns)] for _ in range(at_once)]
                with k.loop(0, k.args.blocks) as i:
                    at = tiles[i * row + part * (self.item * isa.rows)]
                    self._add(k, isa, at, x[i * (4 * columns)], sums)
                for r, some in enumerate(sums):
                    for c, one in enumerate(some):
                        y[c][(part + r) * (4 * isa.rows)].store(one.get(), 4)
            with k.when((task.bias | k.args.mode) > 0):
                complete(k, isa, task, unit, panel * columns, columns)

    def _add(self, k: Kernel, isa: Generic, tiles: Ptr, x: Ptr, sums: list[list[Var]]) -> None:
        """Adds the products of one column of W and one of x."""
        places = [tiles[r * self.item * isa.rows] for r in range(len(sums))]
        weights = [read_floats(k, isa, self.format, place, isa.rows) for place in places]
        for c in range(self.columns):
            value = x[4 * c].load(F32, 4).splat(isa.rows)
            for w, some in zip(weights, sums, strict=True):
                some[c].set(isa.fma(k, w, value, some[c].get()))

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
