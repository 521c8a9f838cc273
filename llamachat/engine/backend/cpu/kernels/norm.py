"""RMS norm of rows, with an optional residual: y = other + x / sqrt(mean(x^2) + eps) * weight (arXiv 1910.07467).

Order of additions: lane l of a register adds the squares of columns l, l + lanes, ... from left to right; the lanes are
then combined as a tree. A row is computed whole by one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, Vec, lanes

# Lanes of a sum, the same for every instruction set (LLVM makes several registers of it where it must): so that all of
# them add in one order, and give the same bits. A rounded activation makes a large difference of a small one.
LANES = 16


def lanes_for(size: int, most: int = LANES) -> int:
    """The widest register that divides `size`: a power of two, at most `most`."""
    return min(most, size & -size)


@dataclass(frozen=True)
class RmsNorm(KernelSpec):
    """`groups` neighbouring groups of `size` values in each of `count` rows; weight [size].

    x, y, other: float32 rows of x_stride and y_stride bytes (`other` like y). y may be x. eps: float32.
    """

    size: int
    residual: bool = False
    arguments: ClassVar = ("x", "y", "other", "weight", "count", "groups", "x_stride", "y_stride", "eps")
    reals: ClassVar = ("eps",)
    reads: ClassVar = ("x", "other")
    writes: ClassVar = ("y",)
    split: ClassVar = Shares("count", ("groups",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """The norm, group by group."""
        n = lanes_for(self.size)
        first, last = self.split.share(k)
        with k.loop(first, last) as item:
            row, group = item // k.args.groups, item % k.args.groups * (4 * self.size)
            x = k.pointer("x")[row * k.args.x_stride + group]
            square = k.var(k.zeros(lanes(F32, n)))
            with k.loop(0, 4 * self.size, 4 * n) as at:
                value = x[at].load(lanes(F32, n), 4)
                square.set(isa.fma(k, value, value, square.get()))
            mean = square.get().reduce(lambda a, b: a + b) * (1.0 / self.size)
            scale = (mean.like(1.0) / k.sqrt(mean + k.real("eps"))).splat(n)
            out = row * k.args.y_stride + group
            with k.loop(0, 4 * self.size, 4 * n) as at:
                self._store(k, x[at].load(lanes(F32, n), 4) * scale, at, out)

    def _store(self, k: Kernel, normed: Vec, at: Vec, out: Vec) -> None:
        value = normed * k.pointer("weight")[at].load(normed.type, 4)
        if self.residual:
            value = value + k.pointer("other")[out + at].load(normed.type, 4)
        k.pointer("y")[out + at].store(value, 4)
