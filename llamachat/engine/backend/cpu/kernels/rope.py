"""Rotary position embedding (Su et al. 2021, arXiv 2104.09864) and temperatures, in place.

Tables hold cos and sin of every position, written by NumPy in float64 and rounded: [position][n_rot/2] cos, then the
same of sin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.norm import LANES, lanes_for


@dataclass(frozen=True)
class Rope(KernelSpec):
    """Heads of `head_dim` rotated in place; x: float32 rows of `stride` bytes with `heads` heads each.

    table: float32 [position][2][n_rot/2], cos then sin.
    """

    head_dim: int
    n_rot: int
    order: str
    arguments: ClassVar = ("x", "table", "heads", "stride")
    reads: ClassVar = ("x",)
    writes: ClassVar = ("x",)
    split: ClassVar = Shares("n_tokens", ("heads",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Head by head of each token."""
        first, last = self.split.share(k)
        rotate = _rotate_halves if self.order == "halves" else _rotate_adjacent
        with k.loop(first, last) as item:
            token, head = item // k.args.heads, item % k.args.heads
            x = k.pointer("x")[token * k.args.stride + head * (4 * self.head_dim)]
            row = k.pointer("table")[k.row(token).position * (4 * self.n_rot)]
            rotate(k, isa, self.n_rot, x, row)


@dataclass(frozen=True)
class Temperature(KernelSpec):
    """x: float32 rows of `stride` bytes with `width` numbers, each row times the number of its position in `table`."""

    arguments: ClassVar = ("x", "table", "width", "stride")
    reads: ClassVar = ("x",)
    writes: ClassVar = ("x",)
    split: ClassVar = Shares("n_tokens")

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row, in whole registers: rows are padded to them."""
        n = min(LANES, 2 * isa.rows)
        first, last = self.split.share(k)
        with k.loop(first, last) as token:
            x = k.pointer("x")[token * k.args.stride]
            factor = k.pointer("table")[k.row(token).position * 4].load(F32, 4).splat(n)
            with k.loop(0, k.args.width * 4, 4 * n) as at:
                x[at].store(x[at].load(lanes(F32, n), 4) * factor, 4)


def _rotated(k: Kernel, isa: Generic, pair: tuple[Vec, Vec], cos: Vec, sin: Vec) -> tuple[Vec, Vec]:
    a, b = pair
    return isa.fma(k, a, cos, b * sin * -1.0), isa.fma(k, a, sin, b * cos)


def _rotate_halves(k: Kernel, isa: Generic, n_rot: int, x: Ptr, row: Ptr) -> None:
    half = n_rot // 2
    n = lanes_for(half, isa.rows)
    kind = lanes(F32, n)
    for i in range(0, half, n):
        at = (x[4 * i], x[4 * (half + i)])
        cos, sin = row[4 * i].load(kind, 4), row[4 * (half + i)].load(kind, 4)
        for place, value in zip(
            at, _rotated(k, isa, (at[0].load(kind, 4), at[1].load(kind, 4)), cos, sin), strict=True
        ):
            place.store(value, 4)


def _rotate_adjacent(k: Kernel, isa: Generic, n_rot: int, x: Ptr, row: Ptr) -> None:
    half = n_rot // 2
    n = lanes_for(half, isa.rows)
    for i in range(0, half, n):
        both = x[8 * i].load(lanes(F32, 2 * n), 4)
        even, odd = both.shuffle(range(0, 2 * n, 2)), both.shuffle(range(1, 2 * n, 2))
        cos, sin = row[4 * i].load(lanes(F32, n), 4), row[4 * (half + i)].load(lanes(F32, n), 4)
        a, b = _rotated(k, isa, (even, odd), cos, sin)
        x[8 * i].store(a.interleave(b), 4)
