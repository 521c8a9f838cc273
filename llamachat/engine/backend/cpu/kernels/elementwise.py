"""Operations number by number: of two values, of a value and a vector or a number for each row, and of one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import ACTIVATIONS, tanh


@dataclass(frozen=True)
class Elementwise(KernelSpec):
    """y = a + b, a * b or activation(a) * b, over rows of `stride` bytes. y may be a or b."""

    operation: str
    arguments: ClassVar = ("a", "b", "y", "count", "stride")
    reads: ClassVar = ("a", "b")
    writes: ClassVar = ("y",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row."""
        first, last = self.split.share(k)
        with k.loop(first * k.args.stride, last * k.args.stride, 4 * isa.rows) as at:
            a, b = (k.pointer(name)[at].load(lanes(F32, isa.rows), 4) for name in ("a", "b"))
            if self.operation in PAIRS:
                value = PAIRS[self.operation](a, b)
            else:
                value = ACTIVATIONS[self.operation](k, isa, a) * b
            k.pointer("y")[at].store(value, 4)


PAIRS: Final[dict[str, Callable[[Vec, Vec], Vec]]] = {"add": lambda a, b: a + b, "mul": lambda a, b: a * b}


@dataclass(frozen=True)
class Broadcast(KernelSpec):
    """y = a + b or a * b; a, y: rows of `stride` bytes, of which the first `width` values count; y may be a.

    b: a vector for all rows, or with one_value a number for each row, `b_stride` bytes apart. lanes divides the width.
    """

    operation: str
    one_value: bool
    lanes: int
    arguments: ClassVar = ("a", "b", "y", "count", "width", "stride", "b_stride")
    reads: ClassVar = ("a", "b")
    writes: ClassVar = ("y",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row."""
        first, last = self.split.share(k)
        kind = lanes(F32, self.lanes)
        with k.loop(first, last) as row:
            at, b = row * k.args.stride, k.pointer("b")[row * k.args.b_stride]
            number = b.load(F32, 4).splat(self.lanes) if self.one_value else None
            with k.loop(0, k.args.width * 4, 4 * self.lanes) as column:
                other = number or b[column].load(kind, 4)
                value = PAIRS[self.operation](k.pointer("a")[at + column].load(kind, 4), other)
                k.pointer("y")[at + column].store(value, 4)


@dataclass(frozen=True)
class Pointwise(KernelSpec):
    """y = a function of x and two constants, over rows of `stride` bytes; y may be x."""

    operation: str
    arguments: ClassVar = ("x", "y", "count", "stride", "p", "q")
    reals: ClassVar = ("p", "q")
    reads: ClassVar = ("x",)
    writes: ClassVar = ("y",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row."""
        first, last = self.split.share(k)
        with k.loop(first * k.args.stride, last * k.args.stride, 4 * isa.rows) as at:
            x = k.pointer("x")[at].load(lanes(F32, isa.rows), 4)
            if self.operation in WITH_CONSTANTS:
                value = WITH_CONSTANTS[self.operation](k, isa, x)
            else:
                value = ACTIVATIONS[self.operation](k, isa, x)
            k.pointer("y")[at].store(value, 4)


def _scaled(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """x p + q."""
    return x * k.real("p") + k.real("q")


def _clamped(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """x between p and q; NaN of NaN."""
    low, high = x.like(k.real("p")), x.like(k.real("q"))
    above = (x < low).select(low, x)
    return (above > high).select(high, above)


def _capped(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """p tanh(x / p)."""
    cap = x.like(k.real("p"))
    return tanh(k, isa, x / cap) * cap


WITH_CONSTANTS: Final[dict[str, Callable[[Kernel, Generic, Vec], Vec]]] = {
    "scale": _scaled,
    "clamp": _clamped,
    "soft_cap": _capped,
}
