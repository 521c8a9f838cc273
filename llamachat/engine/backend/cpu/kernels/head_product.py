"""Products of heads, each with a matrix of its own, float32.

Matrices lie in units of ROWS outputs: [n_head][units][n_in][ROWS]. Order of additions: inputs from first to last,
total = fma(w, x, total), for any number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.rows import ROWS, parts_of

TOGETHER = 4
"""Rows of x that share what is read of a matrix."""


@dataclass(frozen=True)
class HeadProduct(KernelSpec):
    """y[row][head] = W[head] x[row][head]; x, y: float32 rows of x_stride and y_stride bytes, heads side by side.

    w: matrices of n_in inputs in `units` units of ROWS outputs, of which n_out are real.
    """

    arguments: ClassVar = ("x", "w", "y", "count", "n_head", "units", "n_in", "n_out", "x_stride", "y_stride")
    reads: ClassVar = ("x",)
    writes: ClassVar = ("y",)
    broadcast: ClassVar = ("x",)
    split: ClassVar = Shares("", ("n_head", "units"))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Unit by unit of each head: a few rows together, then what is left of them one by one."""
        first, last = self.split.share(k)
        n_rows = k.count()
        together = n_rows // TOGETHER * TOGETHER
        with k.loop(first, last) as item, k.when(k.not_cancelled()):
            with k.loop(0, together, TOGETHER) as row:
                self._rows(k, isa, item, row, TOGETHER)
            with k.loop(together, n_rows) as row:
                self._rows(k, isa, item, row, 1)

    def _rows(self, k: Kernel, isa: Generic, item: Vec, row: Vec, n: int) -> None:
        head, unit = item // k.args.units, item % k.args.units
        tiles = k.pointer("w")[item * k.args.n_in * (4 * ROWS)]
        x = [k.pointer("x")[(row + i) * k.args.x_stride + head * k.args.n_in * 4] for i in range(n)]
        y = [k.pointer("y")[(row + i) * k.args.y_stride + (head * k.args.n_out + unit * ROWS) * 4] for i in range(n)]
        parts = parts_of(isa)
        at_once = next(p for p in (8, 4, 2, 1) if parts % p == 0 and p * (n + 1) < isa.registers)
        left = k.args.n_out - unit * ROWS
        with k.loop(0, parts, at_once) as part:
            sums = [[k.var(k.zeros(lanes(F32, isa.rows))) for _ in range(at_once)] for _ in x]
            with k.loop(0, k.args.n_in) as i:
                at = tiles[i * (4 * ROWS) + part * (4 * isa.rows)]
                w = [at[4 * isa.rows * p].load(lanes(F32, isa.rows), 4) for p in range(at_once)]
                for source, totals in zip(x, sums, strict=True):
                    value = source[i * 4].load(F32, 4).splat(isa.rows)
                    for one, total in zip(w, totals, strict=True):
                        total.set(isa.fma(k, one, value, total.get()))
            for out, totals in zip(y, sums, strict=True):
                for p, total in enumerate(totals):
                    self._store(k, out, (part + p) * isa.rows, total.get(), left)

    def _store(self, k: Kernel, y: Ptr, first: Vec, value: Vec, left: Vec) -> None:
        """A register of outputs; what is behind a head's last one belongs to the next head."""
        whole = first + value.count <= left
        with k.when(whole):
            y[first * 4].store(value, 4)
        with k.when(left < first + value.count):
            for i in range(value.count):
                with k.when(first + i < left):
                    y[(first + i) * 4].store(value.lane(i), 4)
