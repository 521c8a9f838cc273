"""Norms of groups of neighbours in rows, with an optional residual: y = other + norm(x) * weight + bias.

rms: x / sqrt(mean(x^2) + eps) (arXiv 1910.07467); layer: (x - mean) / sqrt(mean((x - mean)^2) + eps) (arXiv
1607.06450); l2: x / max(sqrt(sum(x^2)), eps).

Order of additions: lane l of a register adds the columns (or their squares) l, l + lanes, ... from left to right; the
lanes are then combined as a tree. A group is computed whole by one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, Ptr, Vec, lanes

# Lanes of a sum, the same for every instruction set (LLVM makes several registers of it where it must): so that all of
# them add in one order, and give the same bits. A rounded activation makes a large difference of a small one.
LANES = 16


def lanes_for(size: int, most: int = LANES) -> int:
    """The widest register that divides `size`: a power of two, at most `most`."""
    return min(most, size & -size)


@dataclass(frozen=True)
class Norm(KernelSpec):
    """`groups` neighbouring groups of `size` values in each of `count` rows. y may be x. eps: float32.

    x, y, other: float32 rows of x_stride and y_stride bytes (`other` like y). weight, bias: values of a group;
    weight_group, bias_group: bytes to those of the next group, 0 where all have the same.
    """

    kind: str
    size: int
    weight: bool = True
    bias: bool = False
    residual: bool = False
    arguments: ClassVar = (
        *("x", "y", "other", "weight", "bias", "weight_group", "bias_group"),
        *("count", "groups", "x_stride", "y_stride", "eps"),
    )
    reals: ClassVar = ("eps",)
    reads: ClassVar = ("x", "other")
    writes: ClassVar = ("y",)
    split: ClassVar = Shares("count", ("groups",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """The norm, group by group."""
        n = lanes_for(self.size)
        first, last = self.split.share(k)
        with k.loop(first, last) as item:
            row, group = item // k.args.groups, item % k.args.groups
            x = k.pointer("x")[row * k.args.x_stride + group * (4 * self.size)]
            mean = self._sum(k, x, lambda value, total: value + total) * (1.0 / self.size) if self._centred else None
            middle = mean.splat(n) if mean is not None else None
            square = self._sum(k, x, lambda value, total: isa.fma(k, value, value, total), middle)
            scale = self._scale(k, square).splat(n)
            out = row * k.args.y_stride + group * (4 * self.size)
            with k.loop(0, 4 * self.size, 4 * n) as at:
                value = x[at].load(lanes(F32, n), 4)
                self._store(k, (value if middle is None else value - middle) * scale, at, group, out)

    @property
    def _centred(self) -> bool:
        return self.kind == "layer"

    def _sum(self, k: Kernel, x: Ptr, add: Callable[[Vec, Vec], Vec], middle: Vec | None = None) -> Vec:
        """add(value - middle, sum so far) over a group."""
        n = lanes_for(self.size)
        total = k.var(k.zeros(lanes(F32, n)))
        with k.loop(0, 4 * self.size, 4 * n) as at:
            value = x[at].load(lanes(F32, n), 4)
            total.set(add(value if middle is None else value - middle, total.get()))
        return total.get().reduce(lambda a, b: a + b)

    def _scale(self, k: Kernel, square: Vec) -> Vec:
        """What a group is multiplied with, from the sum of squares."""
        eps = k.real("eps")
        if self.kind == "l2":
            return square.like(1.0) / k.sqrt(square).max(eps)
        return square.like(1.0) / k.sqrt(square * (1.0 / self.size) + eps)

    def _store(self, k: Kernel, value: Vec, at: Vec, group: Vec, out: Vec) -> None:
        if self.weight:
            value = value * k.pointer("weight")[group * k.args.weight_group + at].load(value.type, 4)
        if self.bias:
            value = value + k.pointer("bias")[group * k.args.bias_group + at].load(value.type, 4)
        if self.residual:
            value = value + k.pointer("other")[out + at].load(value.type, 4)
        k.pointer("y")[out + at].store(value, 4)
